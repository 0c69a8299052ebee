/** How fresh an asset is, as commands tell it: by the rule itself and the time of asking, whatever was recorded last. */
import { freshnessId, freshnessOf, freshnessText, policyHash } from "../core/freshness.ts";
import type { Freshness } from "../core/freshness.ts";
import { freshnessFacts } from "../runtime/sweep-freshness.ts";
import type { AssetEntry } from "./catalog.ts";
import type { Style } from "./shell.ts";
import type { ReadableStore } from "./workbench.ts";

export interface FreshnessView extends Freshness {
  /** In words. */
  readonly policy: string;
}

/** `undefined` for an asset without a policy. */
export async function freshnessNow(
  store: Pick<ReadableStore, "get">,
  asset: AssetEntry,
  now: number,
): Promise<FreshnessView | undefined> {
  const { freshness: policy } = asset;
  if (policy === undefined) return undefined;
  const known = await store.get("freshness", freshnessId(asset));
  const since = known?.policy === policyHash(policy) ? known.since : now;
  const facts = await freshnessFacts(store, asset, policy, now);
  return {
    policy: freshnessText(policy),
    ...freshnessOf(policy, { ...asset, slot: asset.target?.slot }, { since, ...facts }, now),
  };
}

/** As JSON; nothing without a policy. */
export function freshnessValue(view: FreshnessView | undefined): object {
  if (view === undefined) return {};
  const { deadline, nextAt, ...rest } = view;
  const at = deadline === undefined ? {} : { deadline: new Date(deadline).toISOString() };
  return { freshnessNow: { ...rest, ...at } };
}

export function freshnessCell(view: FreshnessView | undefined): { readonly text: string; readonly style: Style } {
  if (view === undefined) return { text: "–", style: "dim" };
  const styles = { fresh: "green", late: "red", unknown: "dim" } as const;
  return { text: view.status, style: styles[view.status] };
}

/** One line: the status, why, and the policy. */
export function freshnessLine({ status, because, policy }: FreshnessView): string {
  return `${status}: ${because} (${policy})`;
}
