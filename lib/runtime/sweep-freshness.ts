/** Looks at the freshness of assets whose deadline has passed, that have new data, or whose policy is another than before. */
import type { AssetDefinition } from "../core/asset.ts";
import { put, ref } from "../core/documents.ts";
import type { AssetDocument, DueDocument } from "../core/documents.ts";
import {
  freshnessDueId,
  freshnessId,
  freshnessOf,
  partitionDue,
  policyHash,
  putFreshnessDue,
  recordFreshness,
} from "../core/freshness.ts";
import type { FreshnessPolicy } from "../core/freshness.ts";
import { shortHash } from "../core/hash.ts";
import { namesOf } from "../core/previous-keys.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { EventStore } from "../ports/event-store.ts";
import type { Services } from "./services.ts";

/** The policies that were in force when this was last looked at. */
const CURSOR = "freshness policies";
/** Writes of one transaction. */
const PORTION = 400;

/** After a deployment or a reload: every asset is looked at anew once. One read where nothing has changed. */
export async function followPolicies({ events, clock, definitions }: Services): Promise<void> {
  const policies = [...definitions().assets.values()].flatMap((asset): [string, FreshnessPolicy][] =>
    asset.freshness === undefined ? [] : [[freshnessId(asset), asset.freshness]],
  );
  const value =
    policies.length === 0 ? "" : shortHash(policies.map(([id, policy]) => `${id} ${policyHash(policy)}`).sort());
  const known = await events.get("cursor", CURSOR);
  if ((known?.value ?? "") === value) return;
  const now = clock.now();
  for (let first = 0; first < policies.length; first += PORTION) {
    const writes = policies.slice(first, first + PORTION).map(([id]) => putFreshnessDue(id, now));
    await events.transact({}, () => ({ result: undefined, writes, events: [] }));
  }
  // Last: dying before this sets the same deadlines again.
  await events.transact({ cursor: ref("cursor", CURSOR) }, () => ({
    result: undefined,
    writes: [put(ref("cursor", CURSOR), { value, at: now })],
    events: [],
  }));
}

/** Those of the deadlines that are of freshness. */
export async function sweepFreshness(services: Services, due: readonly DueDocument[]): Promise<void> {
  const ids = due.flatMap(({ freshness }) => (freshness === undefined ? [] : [freshness]));
  if (ids.length === 0) return;
  const assets = new Map([...services.definitions().assets.values()].map((asset) => [freshnessId(asset), asset]));
  for (const id of ids) {
    const asset = assets.get(id);
    if (asset === undefined) await forget(services, id);
    else await look(services, id, asset);
  }
}

/** An asset that is not defined (any more, or while its module is broken): it is looked at when it is there again. */
async function forget({ events }: Services, id: string): Promise<void> {
  const entry = ref("due", freshnessDueId(id));
  await events.transact({ entry }, () => ({ result: undefined, writes: [{ delete: entry }], events: [] }));
}

async function look({ events, clock }: Services, id: string, asset: AssetDefinition): Promise<void> {
  const now = clock.now();
  const { key, freshness: policy } = asset;
  const refs = { freshness: ref("freshness", id) };
  const facts = policy === undefined ? undefined : await freshnessFacts(events, asset, policy, now);
  await events.transact(refs, (state) =>
    recordFreshness(state, {
      id,
      asset: key,
      policy,
      now,
      evaluate: (since) =>
        policy === undefined || facts === undefined
          ? { status: "unknown", because: "" }
          : freshnessOf(policy, { ...asset, slot: asset.target?.slot }, { since, ...facts }, now),
    }),
  );
}

type Looked = Pick<AssetDefinition, "key" | "previousKeys" | "partitions">;

/** What the rule is asked with. Data that is still under a previous name counts. */
export async function freshnessFacts(
  events: Pick<EventStore, "get">,
  asset: Looked,
  policy: FreshnessPolicy,
  now: number,
): Promise<{ readonly newest: AssetDocument | undefined; readonly held: boolean }> {
  const due = partitionDue(policy, asset, now);
  let newest: AssetDocument | undefined;
  let held = false;
  for (const name of namesOf(asset)) {
    newest ??= await events.get("asset", name);
    if (due !== undefined && !held)
      held = (await events.get("partition", partitionRef(name, due.key).id))?.head !== undefined;
  }
  return { newest, held };
}
