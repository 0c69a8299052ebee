import type { AssetDefinition } from "../core/asset.ts";
import { PermanentError } from "../core/errors.ts";
import { faultText, readConfig } from "../core/read-config.ts";
import type { RunRequest } from "../core/request.ts";
import type { Execution } from "./execution.ts";

type Request = Pick<RunRequest, "config">;

/** The request's config as the asset's schema reads it, its defaults filled in. Throws `PermanentError` (`bad-config`). */
export function configOf(asset: AssetDefinition, { request }: Execution): unknown {
  // A statement without placeholders is the same whatever a request says.
  if (asset.config === undefined) return asset.sql === undefined ? (request.config ?? {}) : {};
  const { data, faults } = readConfig(asset.config, request.config ?? {});
  if (faults === undefined) return data;
  throw new PermanentError(`the request's config is not what ${asset.key} takes: ${faultText(faults)}`, {
    code: "bad-config",
  });
}

/** Why such a request of an asset or a job is refused, if it is, before any run of it. `who`: how it is called. */
export function configRefusal(
  { config, sql }: Partial<Pick<AssetDefinition, "config" | "sql">>,
  request: Request,
  who: string,
): string | undefined {
  if (config === undefined)
    return sql === undefined || Object.keys(request.config ?? {}).length === 0
      ? undefined
      : `${who} takes no config, and was given ${Object.keys(request.config ?? {}).join(", ")}`;
  const { faults } = readConfig(config, request.config ?? {});
  return faults === undefined ? undefined : `the config is not what ${who} takes: ${faultText(faults)}`;
}
