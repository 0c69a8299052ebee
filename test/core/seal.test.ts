import assert from "node:assert/strict";
import { test } from "node:test";
import type { AssetDocument, Head, Intent, PartitionDocument, SlotDocument } from "../../lib/core/documents.ts";
import { seal } from "../../lib/core/seal.ts";

const DAY = "2024-05-01";
const head: Head = { materializationId: "m", runId: "r", at: 1, fingerprint: "f", inputs: [] };
const partition: PartitionDocument = { name: "a", partition: DAY, token: 3, head };
const identity = { id: "0123456789abcdef", kind: "asset", name: "a", partition: DAY } as const;
const newest = (day: string): AssetDocument => ({
  key: "a",
  partition: day,
  order: day,
  materializationId: "m",
  at: 1,
});
const showing = (day: string): SlotDocument => {
  const committed = { sequence: 1, partition: day, order: day, runId: "r", materializationId: "m", jobId: "j", at: 1 };
  return { sequence: 1, committed };
};
const publishing = (day: string): SlotDocument => {
  // Only whose it is matters here.
  return { sequence: 2, intent: { partition: day } as Intent };
};

interface State {
  readonly partition: PartitionDocument | undefined;
  readonly slot: SlotDocument | undefined;
  readonly asset: AssetDocument | undefined;
}
const old: State = { partition, slot: showing("2024-05-09"), asset: newest("2024-05-09") };

for (const [title, state, shared, reason] of [
  ["a partition that never was", { ...old, partition: undefined }, true, "it was never materialized"],
  [
    "one that is being worked on",
    { ...old, partition: { ...partition, holder: { runId: "r", token: 3, leaseUntil: 0 } } },
    true,
    "a run is at work on it",
  ],
  [
    "one whose run sleeps",
    { ...old, partition: { ...partition, holder: { runId: "r", token: 3, leaseUntil: 0, parked: true } } },
    false,
    "a run is at work on it",
  ],
  [
    "one with leftovers",
    { ...old, partition: { ...partition, finish: { runId: "r", staging: { dataset: "d", table: "t" } } } },
    true,
    "its last run is not finished yet",
  ],
  ["one with an open publish", { ...old, slot: publishing(DAY) }, false, "a publish into it is under way"],
  ["the newest", { ...old, asset: newest(DAY) }, false, "it is the newest"],
  ["what the one table shows", { ...old, slot: showing(DAY) }, true, "it is what the table shows"],
] as const satisfies readonly (readonly [string, State, boolean, string])[]) {
  test(`${title} is not sealed`, () => {
    const decision = seal(state, { identity, now: 5, by: "job", shared });
    assert.deepEqual(decision, { result: { kind: "kept", reason }, writes: [], events: [] });
  });
}

for (const [title, state, shared] of [
  ["an old partition of one table", old, true],
  ["an old partition with a slot of its own", { ...old, slot: showing(DAY) }, false],
  ["one of an asset without a slot", { ...old, slot: undefined }, true],
  ["one while another is published", { ...old, slot: publishing("2024-05-09") }, true],
] as const satisfies readonly (readonly [string, State, boolean])[]) {
  test(`${title} is sealed, once`, () => {
    const { result, writes, events } = seal(state, { identity, now: 5, by: "job", shared });
    const sealed = { ...partition, seal: { at: 5, runId: "job" } };
    assert.deepEqual(result, { kind: "sealed", partition: sealed });
    assert.deepEqual(writes, [{ put: { kind: "partition", id: `a|${DAY}` }, value: sealed }]);
    assert.deepEqual(
      events.map(({ type, asset, partition: day, run }) => [type, asset, day, run]),
      [["partition.sealed", "a", DAY, "job"]],
    );
    const again = seal({ ...state, partition: sealed }, { identity, now: 9, by: "other", shared });
    assert.deepEqual(again, { result: { kind: "sealed", partition: sealed }, writes: [], events: [] });
  });
}
