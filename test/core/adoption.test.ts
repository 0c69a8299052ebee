import assert from "node:assert/strict";
import { test } from "node:test";
import { adoptPartition, beginAdoption, completeAdoption, cursorValue, readCursor } from "../../lib/core/adoption.ts";
import type { AdoptState } from "../../lib/core/adoption.ts";
import type {
  AssetDocument,
  Head,
  Holder,
  Intent,
  PartitionDocument,
  PauseDocument,
  SlotDocument,
  Write,
} from "../../lib/core/documents.ts";
import { ref } from "../../lib/core/documents.ts";
import type { RunRequest } from "../../lib/core/request.ts";

const DAY = "2024-05-01";
const NOW = 1_000;
const slot = ref("slot", "d.t$20240501");
const rename = { from: "a/old", to: "a/new" };
const head: Head = { materializationId: "m-1", runId: "r1", at: 1, fingerprint: "f", inputs: [] };
const finish = { runId: "r1", staging: { dataset: "d", table: "t__staging" } };
const old: PartitionDocument = { name: "a/old", partition: DAY, token: 7, head };
const dead: Holder = { runId: "r2", token: 7, leaseUntil: NOW };
const live: Holder = { ...dead, leaseUntil: NOW + 1 };
const asleep: Holder = { ...live, parked: true };
const request = (runKey: string): RunRequest => ({ partition: DAY, runKey, cause: { kind: "manual" }, requestedAt: 1 });

function decide(state: Partial<AdoptState>, isExecuting = (_: string): boolean => false) {
  const whole: AdoptState = { old, own: undefined, slot: undefined, ...state };
  const { result, writes } = adoptPartition(whole, { ...rename, partition: DAY, slot, now: NOW, isExecuting });
  return { result, ...written(writes) };
}

/** What was put, by its id. */
function written(writes: readonly Write[]): { puts: Record<string, unknown>; deletes: string[] } {
  const puts: Record<string, unknown> = {};
  const deletes: string[] = [];
  for (const write of writes) {
    if ("put" in write) puts[write.put.id] = write.value;
    else deletes.push(`${write.delete.kind} ${write.delete.id}`);
  }
  return { puts, deletes };
}

const moved = { name: "a/old", partition: DAY, token: 7, movedTo: "a/new" };

const whole = {
  ...old,
  blocked: { at: 1, runId: "r1", reason: "x" },
  seal: { at: 1, runId: "r1" },
  superseded: { at: 1, inputs: [] },
  cleanedAt: 3,
  finish,
};
const { name: _, ...everything } = whole;

const cases: readonly [string, Partial<AdoptState>, PartitionDocument][] = [
  ["all that is known moves", { old: whole }, { name: "a/new", ...everything }],
  [
    "the newer name's own head stays, and the higher token",
    { old: whole, own: { name: "a/new", partition: DAY, token: 9, head: { ...head, materializationId: "m-2" } } },
    { name: "a/new", partition: DAY, token: 9, head: { ...head, materializationId: "m-2" } },
  ],
  [
    "a run that sleeps goes on under the new name",
    { old: { ...old, holder: asleep } },
    { name: "a/new", partition: DAY, token: 7, head, holder: asleep },
  ],
  [
    "a dead run's claim moves, to be taken over",
    { old: { ...old, holder: dead } },
    { name: "a/new", partition: DAY, token: 7, head, holder: dead },
  ],
  [
    "whoever holds the new name keeps it, and gets the head",
    { old: { ...old, holder: dead }, own: { name: "a/new", partition: DAY, token: 1, holder: { ...live, token: 1 } } },
    { name: "a/new", partition: DAY, token: 7, head, holder: { ...live, token: 1 } },
  ],
  [
    "requests that wait go on waiting, those of both names",
    {
      old: { ...old, holder: dead, pending: { plain: request("p1"), special: [request("s1")] } },
      own: {
        name: "a/new",
        partition: DAY,
        token: 1,
        holder: { ...live, token: 1 },
        pending: { plain: request("p2"), special: [request("s2")] },
      },
    },
    {
      name: "a/new",
      partition: DAY,
      token: 7,
      head,
      holder: { ...live, token: 1 },
      pending: { plain: request("p2"), special: [request("s2"), request("s1")] },
    },
  ],
  [
    "a name that is taken up again begins where it was left",
    { own: { name: "a/new", partition: DAY, token: 12, movedTo: "a/old" } },
    { name: "a/new", partition: DAY, token: 12, head },
  ],
];

for (const [title, state, expected] of cases) {
  test(title, () => {
    const { result, puts } = decide(state);
    assert.deepEqual(result, { kind: "adopted" });
    assert.deepEqual(puts, { "a/old|2024-05-01": moved, "a/new|2024-05-01": expected });
  });
}

test("a live run is left alone, and its partition with it", () => {
  const busy = decide({ old: { ...old, holder: live } });
  assert.deepEqual(busy, { result: { kind: "busy", until: NOW + 1 }, puts: {}, deletes: [] });
  // In this very process, however old its lease looks.
  const here = decide({ old: { ...old, holder: dead } }, (runId) => runId === "r2");
  assert.deepEqual(here, { result: { kind: "busy", until: NOW }, puts: {}, deletes: [] });
});

test("what has moved, or never was, is not moved again", () => {
  for (const none of [undefined, moved]) {
    assert.deepEqual(decide({ old: none }), { result: { kind: "adopted" }, puts: {}, deletes: [] });
  }
});

test("an open publish becomes the new name's, and nobody's own; that of another partition or asset does not", () => {
  // Only whose it is matters here.
  const intent = { sequence: 4, name: "a/old", partition: DAY, token: 7, event: { asset: "a/old" } } as Intent;
  const open: SlotDocument = { sequence: 4, intent };
  const taken = { sequence: 4, intent: { ...intent, name: "a/new", token: 0, event: { asset: "a/new" } } };
  assert.deepEqual(decide({ slot: open }).puts[slot.id], taken);
  for (const other of [{ partition: "2024-05-02" }, { name: "b" }]) {
    assert.equal(decide({ slot: { ...open, intent: { ...intent, ...other } } }).puts[slot.id], undefined);
  }
});

const newest = (key: string, order: string): AssetDocument => ({
  key,
  partition: order,
  order,
  materializationId: "m",
  at: 1,
});

for (const [title, state, shown] of [
  ["the asset's newest partition moves", { old: newest("a/old", DAY), own: undefined }, newest("a/new", DAY)],
  ["over an older one", { old: newest("a/old", DAY), own: newest("a/new", "2024-04-01") }, newest("a/new", DAY)],
  ["not over a newer one", { old: newest("a/old", DAY), own: newest("a/new", "2024-06-01") }, undefined],
  ["an asset that never was", { old: undefined, own: undefined }, undefined],
] as const) {
  test(title, () => {
    const input = { ...rename, partition: DAY, known: true, now: NOW };
    const { writes, events } = completeAdoption(state, input);
    const { puts, deletes } = written(writes);
    assert.deepEqual(puts["a/new"], shown);
    assert.deepEqual(puts["adopt a/old as a/new"], { value: "done 2024-05-01", at: NOW });
    assert.ok(deletes.includes("cursor adopt a/new as a/old"));
    assert.equal(deletes.includes("asset a/old"), state.old !== undefined);
    assert.deepEqual(
      events.map((event) => [event.type, event.asset]),
      [["asset.renamed", "a/new"]],
    );
    assert.deepEqual(completeAdoption(state, { ...input, known: false }).events, []);
  });
}

const mark: PauseDocument = { asset: "a/old", at: NOW, movedTo: "a/new" };
const pause = (asset: string): PauseDocument => ({ asset, at: 1, reason: "why" });
const back: PauseDocument = { asset: "a/new", at: 1, movedTo: "a/old" };

for (const [title, state, puts, deletes] of [
  ["the old name is marked", {}, { "a/old": mark }, []],
  ["a pause goes on under the new name", { old: pause("a/old") }, { "a/old": mark, "a/new": pause("a/new") }, []],
  ["the new name's own pause stays", { old: pause("a/old"), own: { ...pause("a/new"), at: 2 } }, { "a/old": mark }, []],
  ["who goes back takes the name up again", { own: back }, { "a/old": mark }, ["pause a/new"]],
  [
    "and a pause of the other one with it",
    { old: pause("a/old"), own: back },
    { "a/old": mark, "a/new": pause("a/new") },
    [],
  ],
  [
    "what is marked stays marked, whoever restarts an older deployment",
    { old: { ...mark, movedTo: "a/newer" } },
    {},
    [],
  ],
] as const) {
  test(`a rename begins: ${title}`, () => {
    const whole = { old: undefined, own: undefined, ...state };
    const { writes, events } = beginAdoption(whole, { ...rename, now: NOW });
    assert.deepEqual({ ...written(writes), events }, { puts, deletes, events: [] });
  });
}

test("a cursor is read as it was written, whatever the partition is called; anything else is a beginning", () => {
  for (const cursor of [
    { done: false, partition: "" },
    { done: true, partition: DAY },
    { done: true, partition: "done with\nlines" },
  ]) {
    assert.deepEqual(readCursor(cursorValue(cursor)), cursor);
  }
  for (const none of [undefined, "", "nonsense"]) assert.deepEqual(readCursor(none), { done: false, partition: "" });
});
