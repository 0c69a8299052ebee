import type { AssetDefinition } from "../core/asset.ts";
import { PermanentError } from "../core/errors.ts";
import type { Execution } from "./execution.ts";

/** The request's config as the asset's schema reads it, its defaults filled in. Throws `PermanentError` (`bad-config`). */
export function configOf(asset: AssetDefinition, { request }: Execution): unknown {
  // A statement without placeholders is the same whatever a request says.
  if (asset.config === undefined) return asset.sql === undefined ? (request.config ?? {}) : {};
  const parsed = asset.config.safeParse(request.config ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new PermanentError(
    `the request's config is not what ${asset.key} takes: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    { code: "bad-config" },
  );
}
