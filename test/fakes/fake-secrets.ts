/** A fake of Secret Manager's REST, as far as the unmodified client reads secrets with it. */
import { jsonReply, startHttpFake } from "./http-fake.ts";
import type { HttpFake } from "./http-fake.ts";
import { RpcError, answeringRpc } from "./rpc-error.ts";

export interface FakeSecrets extends HttpFake {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
}

/** What a secret holds: the bytes of its latest version, or why there are none to be had. */
export type FakeSecret = { readonly value: string | Uint8Array } | "no-version" | "disabled" | "forbidden";

/** `secrets` is read at every call, so a test may change it. */
export async function startFakeSecrets(
  projectId: string,
  secrets: ReadonlyMap<string, FakeSecret>,
): Promise<FakeSecrets> {
  const fake = await startHttpFake(
    answeringRpc(async ({ method, path }) => {
      const [, project, name = ""] =
        /^\/v1\/projects\/([^/]+)\/secrets\/([^/]+)\/versions\/latest:access$/.exec(path) ?? [];
      if (method !== "GET" || project !== projectId) throw new RpcError("NOT_FOUND", "Not Found");
      const secret = secrets.get(name);
      const at = `projects/${project}/secrets/${name}`;
      if (secret === undefined || secret === "no-version")
        throw new RpcError("NOT_FOUND", `Secret [${at}] not found or has no versions.`);
      if (secret === "disabled") {
        const message = `Secret Version [${at}/versions/1] is in DISABLED state.`;
        throw new RpcError("FAILED_PRECONDITION", message);
      }
      if (secret === "forbidden") {
        const message = `Permission 'secretmanager.versions.access' denied for resource '${at}/versions/latest' (or it may not exist).`;
        throw new RpcError("PERMISSION_DENIED", message);
      }
      return jsonReply(200, {
        name: `${at}/versions/1`,
        payload: { data: Buffer.from(secret.value).toString("base64") },
      });
    }),
  );
  return { ...fake, host: new URL(fake.url).host };
}
