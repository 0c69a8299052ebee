/** A part of a deployment: the functions of some assets, what comes to them, and what all of that needs. */
import type { AssetKey } from "../../lib/core/asset-key.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { selectAssets } from "../../lib/core/selection.ts";
import type { AssetAttributes } from "../../lib/core/selection.ts";
import type { Manifest } from "../manifest.ts";
import { idOf } from "./item.ts";
import type { Item } from "./item.ts";

/** The ids of the units that run the chosen assets. Throws `DefinitionError` for what chooses nothing: see `selectAssets`. */
export function unitsChosen(expression: string, { assets, graph }: Definitions): ReadonlySet<string> {
  const attributes = new Map<AssetKey, AssetAttributes>(assets);
  return new Set(
    selectAssets(expression, graph, attributes).map((key) => {
      const multi = assets.get(key)?.multi;
      return multi === undefined ? `asset ${key}` : `job ${multi.name}`;
    }),
  );
}

/** In the order of `items`. */
export function closureOf({ functions }: Manifest, items: readonly Item[], units: ReadonlySet<string>): Item[] {
  const chosen = functions.filter(({ unit }) => units.has(unit));
  const members = new Set(chosen.map(({ serviceAccount }) => `serviceAccount:${serviceAccount}`));
  const roots = new Set(chosen.map(({ name }) => idOf("function", name)));
  const fed = (item: Item): boolean => item.needs.some((need) => roots.has(need));
  // Subscriptions and triggers first, then what starts them: schedules and buckets.
  for (const kinds of [
    ["subscription", "trigger"],
    ["schedule", "notification"],
  ])
    for (const item of items) if (kinds.includes(item.kind) && fed(item)) roots.add(item.id);
  for (const item of items) {
    const grants = item.policy?.grants ?? [];
    if (
      item.kind === "policy" &&
      (item.on?.some((id) => roots.has(id)) === true || grants.some(({ member }) => members.has(member)))
    )
      roots.add(item.id);
  }
  const byId = new Map(items.map((item) => [item.id, item]));
  const needed = new Set<string>();
  const need = (id: string): void => {
    if (needed.has(id)) return;
    needed.add(id);
    byId.get(id)?.needs.forEach(need);
  };
  roots.forEach(need);
  return items.filter(({ id }) => needed.has(id));
}
