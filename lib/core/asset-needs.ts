/** What an asset touches by its options: its source, its own table or rows, and its resources. */
import type { AnyOptions } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import { managerNeeds } from "./io-manager.ts";
import type { Need } from "./needs.ts";
import { targetNeeds } from "./target.ts";
import type { Target } from "./target.ts";

export function needsOf(
  { key, origin }: { readonly key: AssetKey; readonly origin: AssetKey },
  options: Pick<AnyOptions, "source" | "resources" | "ioManager"> & { readonly target: Target | undefined },
): readonly Need[] {
  const { source, target, resources, ioManager } = options;
  const needs: Need[] = Object.values(resources ?? {}).flatMap((resource) => resource.needs);
  if (source !== undefined) {
    needs.push({
      kind: "read-objects",
      bucket: source.bucket,
      prefix: source.pathBase,
      reason: `${key} is loaded from it`,
    });
  }
  if (ioManager !== undefined) needs.push(...managerNeeds(ioManager, origin));
  if (target !== undefined) needs.push(...targetNeeds(key, target));
  return needs;
}
