import { z } from "zod";
import { PermanentError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Secrets } from "../ports/secrets.ts";
import { Code, codeOf, googleError } from "./grpc-errors.ts";
import { restCalls } from "./rest-calls.ts";

export interface SecretManagerOptions {
  readonly projectId: string;
  readonly clock: Clock;
  /** How long a value is used without looking again. Default 60 s. */
  readonly cacheMs?: number;
  /** `host:port` of a stand-in for the service, spoken to without credentials. */
  readonly emulatorHost?: string;
}

export interface SecretManager extends Secrets {
  /** Forgets every value and ends all connections; may be called twice. */
  close(): Promise<void>;
}

/**
 * Secrets from Secret Manager, with the first call for each. A value is kept in memory for a short time, and
 * nowhere else: no error and no log holds it.
 */
export function secretManager(options: SecretManagerOptions): SecretManager {
  const { projectId, clock, cacheMs = 60_000, emulatorHost } = options;
  const cache = new Map<string, { readonly value: Promise<string>; readonly until: number }>();
  const rest = restCalls({
    api: "https://secretmanager.googleapis.com",
    ...(emulatorHost === undefined ? {} : { emulatorHost }),
  });

  async function read(name: string): Promise<string> {
    try {
      const path = `/v1/projects/${projectId}/secrets/${name}/versions/latest:access`;
      const { payload } = versionSchema.parse(await rest.call({ method: "GET", path }));
      return Buffer.from(payload.data, "base64").toString();
    } catch (error) {
      throw refusalOf(error, name, projectId);
    }
  }

  return {
    async access(name) {
      if (!/^[A-Za-z0-9_-]{1,255}$/.test(name)) {
        throw new PermanentError(
          `${JSON.stringify(name.slice(0, 80))} is no name of a secret: use up to 255 letters, digits, - and _`,
          { code: "bad-input" },
        );
      }
      const known = cache.get(name);
      if (known !== undefined && clock.now() < known.until) return await known.value;
      const value = read(name);
      const entry = { value, until: clock.now() + cacheMs };
      cache.set(name, entry);
      // What failed is tried again at once; whoever waits for it hears of the failure.
      value.catch(() => {
        if (cache.get(name) === entry) cache.delete(name);
      });
      return await value;
    },
    async close() {
      cache.clear();
      await rest.close();
    },
  };
}

const versionSchema = z.object({ payload: z.object({ data: z.string().default("") }).default({ data: "" }) });

function refusalOf(error: unknown, name: string, projectId: string): Error {
  const add = `printf %s "$VALUE" | gcloud secrets versions add ${name} --data-file=- --project=${projectId}`;
  const code = codeOf(error);
  if (code === Code.notFound) {
    return new PermanentError(
      `the secret ${name} is not in project ${projectId}, or has no version: gcloud secrets create ${name} --project=${projectId}, then ${add}`,
      { code: "not-found" },
    );
  }
  const remedies = {
    [Code.permissionDenied]: `gcloud secrets add-iam-policy-binding ${name} --project=${projectId} --role=roles/secretmanager.secretAccessor --member=… for the account that runs this`,
    [Code.failedPrecondition]: `its latest version is disabled or destroyed: ${add}`,
  };
  return googleError(error, { what: `the secret ${name} of project ${projectId}`, remedies });
}
