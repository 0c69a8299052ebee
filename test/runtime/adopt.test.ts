/** A rename meets runs at work, other processes and death: what is known of the asset moves once, whole, and to one place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "sluice";
import { claim } from "../../lib/core/claim.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { DocumentKind, Head, PartitionDocument } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { canonicalJson } from "../../lib/core/hash.ts";
import { openIntent, slotRef } from "../../lib/core/slot.ts";
import { claimRefs, runRefs, partitionRef } from "../../lib/core/run-identity.ts";
import type { RunIdentity } from "../../lib/core/run-identity.ts";
import { commitIntent, commitRefs } from "../../lib/core/commit.ts";
import { daily } from "../../lib/core/partitions.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { followRenames } from "../../lib/runtime/follow-renames.ts";
import { adoptFor, adoptPreviousKeys } from "../../lib/runtime/adopt.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { definitionsOf } from "../support/local-platform.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { mortalPorts } from "../support/mortal.ts";
import { plainRuntime } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const NOW = Date.UTC(2024, 5, 1);
const table = { dataset: "d", table: "t" };

function renamed(key: string, previousKeys?: readonly string[]): AssetDefinition {
  return asset({
    key,
    ...(previousKeys === undefined ? {} : { previousKeys }),
    partitions: daily(),
    target: { table, slot: "partition", partitioning: { type: "DAY" } },
    materialize: async () => undefined,
  });
}

/** What a process has, without the ports that adoption does not touch. */
function process(events: EventStore, definition: AssetDefinition, executing = new Set<string>()) {
  const definitions = definitionsOf({ definition });
  return { events, clock: virtualClock(NOW), executing, adopted: new Set<string>(), definitions: () => definitions };
}

const dayOf = (n: number): string => new Date(Date.UTC(2024, 0, 1 + n)).toISOString().slice(0, 10);
const headOf = (n: number): Head => ({
  materializationId: `m-${n}`,
  runId: `r${n}`,
  at: n,
  fingerprint: `f${n}`,
  inputs: [],
});

/** Partitions of `name` in every state but with a live run, and the asset's newest one. */
async function seed(store: EventStore, name: string, count: number): Promise<void> {
  const states: ((n: number) => Partial<PartitionDocument>)[] = [
    (n) => ({ head: headOf(n) }),
    (n) => ({ head: headOf(n), holder: { runId: `r${n}`, token: n, leaseUntil: NOW - 1 } }),
    (n) => ({ head: headOf(n), seal: { at: 1, runId: "s" }, cleanedAt: 2 }),
    (n) => ({ holder: { runId: `r${n}`, token: n, leaseUntil: NOW + 9_999, parked: true } }),
    (n) => ({ superseded: { at: n, inputs: [] }, blocked: { at: n, runId: "b", reason: "check" } }),
  ];
  const writes = Array.from({ length: count }, (_, n) => {
    const state = states[n % states.length]?.(n) ?? {};
    return put(partitionRef(name, dayOf(n)), { name, partition: dayOf(n), token: n, ...state });
  });
  const newest = { key: name, partition: dayOf(count - 1), order: dayOf(count - 1), materializationId: "m", at: 1 };
  await store.transact({}, () => ({
    result: undefined,
    writes: [...writes, put(ref("asset", name), newest)],
    events: [],
  }));
}

function contentOf(documents: MemoryDocuments): unknown {
  const kinds: readonly DocumentKind[] = ["partition", "asset", "slot", "cursor", "pause"];
  return {
    documents: kinds.flatMap((kind) => documents.all(kind).map((one) => `${kind} ${canonicalJson(one)}`)).sort(),
    events: documents.events.map(({ id, type }) => [id, type]),
  };
}

test("more than a page moves, to the last partition; a second time nothing is written", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  await seed(store, "a/old", 1_203);
  await adoptPreviousKeys(process(store, renamed("a/new", ["a/old"])));
  const partitions = documents.all("partition").map(([, partition]) => partition);
  assert.equal(partitions.filter(({ name, movedTo }) => name === "a/old" && movedTo === "a/new").length, 1_203);
  const own = partitions.filter(({ name }) => name === "a/new");
  assert.equal(own.length, 1_203);
  assert.deepEqual(own.find(({ partition }) => partition === dayOf(1_202))?.cleanedAt, 2);
  assert.equal(documents.get("asset", "a/new")?.partition, dayOf(1_202));
  assert.equal(documents.get("asset", "a/old"), undefined);
  assert.deepEqual(
    documents.events.map(({ type }) => type),
    ["asset.renamed"],
  );

  const before = contentOf(documents);
  let writes = 0;
  const counting: EventStore = {
    ...store,
    transact: (refs, decide) =>
      store.transact(refs, (state) => {
        const decision = decide(state);
        writes += decision.writes.length;
        return decision;
      }),
  };
  const again = process(counting, renamed("a/new", ["a/old"]));
  await adoptPreviousKeys(again);
  assert.equal(await adoptFor(again, renamed("a/new", ["a/old"])), true);
  assert.equal(writes, 0);
  assert.deepEqual(contentOf(documents), before);
});

test("whoever dies after any step is followed by another, to the same end", async () => {
  const definition = renamed("a/new", ["a/oldest", "a/old"]);
  const undisturbed = memoryDocuments();
  const begin = async (documents: MemoryDocuments): Promise<EventStore> => {
    const store = memoryEventStore(documents);
    await seed(store, "a/old", 61);
    await seed(store, "a/oldest", 540);
    return store;
  };
  await adoptPreviousKeys(process(await begin(undisturbed), definition));
  for (let step = 1; ; step++) {
    assert.ok(step < 80, "the adoption never ends");
    const documents = memoryDocuments();
    const store = await begin(documents);
    const unused = { objects: {}, warehouse: {}, bus: {}, secrets: {}, clock: {}, random: {} };
    // Adoption calls no other port.
    const all = { ...unused, events: store } as unknown as Parameters<typeof mortalPorts>[0];
    const { ports, death } = mortalPorts(all, step);
    const done = adoptPreviousKeys(process(ports.events, definition));
    const died = await Promise.race([death, done.then(() => undefined)]);
    await adoptPreviousKeys(process(store, definition));
    assert.deepEqual(contentOf(documents), contentOf(undisturbed), `after ${died ?? "no death"}, step ${step}`);
    if (died === undefined) break;
  }
});

test("two at once move everything once", async () => {
  const documents = memoryDocuments();
  const alone = memoryDocuments();
  const definition = renamed("a/new", ["a/old"]);
  for (const one of [documents, alone]) await seed(memoryEventStore(one), "a/old", 40);
  await adoptPreviousKeys(process(memoryEventStore(alone), definition));
  await Promise.all([1, 2, 3].map(() => adoptPreviousKeys(process(memoryEventStore(documents), definition))));
  assert.deepEqual(contentOf(documents), contentOf(alone));
});

test("a live run under the old name is waited for; what has moved meanwhile stays moved", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  await seed(store, "a/old", 3);
  const busy = partitionRef("a/old", dayOf(1));
  const hold = (leaseUntil: number): Promise<void> =>
    store.transact({ busy }, ({ busy: partition }) => ({
      result: undefined,
      writes:
        partition === undefined ? [] : [put(busy, { ...partition, holder: { runId: "r", token: 1, leaseUntil } })],
      events: [],
    }));
  await hold(NOW + 60_000);
  const definition = renamed("a/new", ["a/old"]);
  const other = process(store, definition);
  assert.equal(await adoptFor(other, definition), false);
  assert.equal(await adoptFor(other, definition), false, "it is not taken for done");
  assert.equal(documents.get("partition", `a/new|${dayOf(2)}`)?.head?.materializationId, "m-2");
  assert.equal(documents.get("partition", `a/old|${dayOf(2)}`)?.movedTo, "a/new");
  assert.equal(documents.get("partition", busy.id)?.movedTo, undefined);
  assert.equal(documents.get("asset", "a/new"), undefined);

  await hold(NOW - 1);
  assert.equal(await adoptFor(process(store, definition, new Set(["r"])), definition), false, "it runs right here");
  assert.equal(await adoptFor(other, definition), true);
  assert.equal(documents.get("partition", busy.id)?.movedTo, "a/new");
  assert.equal(documents.get("asset", "a/new")?.partition, dayOf(2));
});

test("under the old name nobody begins anything any more, from the first step on", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  await seed(store, "a/old", 3);
  const busy = { runId: "r", token: 1, leaseUntil: NOW + 60_000 };
  const first = partitionRef("a/old", dayOf(1));
  const value = { name: "a/old", partition: dayOf(1), token: 1, holder: busy };
  await store.transact({}, () => ({ result: undefined, writes: [put(first, value)], events: [] }));
  const begin = (name: string, partition: string) => {
    const identity: RunIdentity = { id: "0123456789abcdef", kind: "asset", name, partition };
    const request = { partition, runKey: "k", cause: { kind: "manual" as const }, requestedAt: 1 };
    return store.transact(claimRefs(identity), (state) => claim(state, { identity, request, now: NOW, leaseMs: 50 }));
  };
  const definition = renamed("a/new", ["a/old"]);
  assert.equal(await adoptFor(process(store, definition), definition), false);
  // One that is still at work, one that has moved, and one that nobody has known so far.
  for (const n of [1, 2, 9]) {
    const outcome = await begin("a/old", dayOf(n));
    assert.equal(outcome.kind === "moved" ? outcome.to : outcome.kind, "a/new");
  }
  assert.equal((await begin("a/new", dayOf(9))).kind, "claimed");
  assert.equal(documents.get("partition", `a/old|${dayOf(9)}`), undefined);
});

test("an older process finds what its upstreams show, wherever it has moved", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  await seed(store, "a", 3);
  let calls = 0;
  const get: EventStore["get"] = (kind, id) => {
    calls += 1;
    return store.get(kind, id);
  };
  const found = followRenames({ get });
  assert.equal((await found.get("partition", `a|${dayOf(0)}`))?.head?.materializationId, "m-0");
  assert.equal((await found.get("asset", "a"))?.key, "a");
  assert.equal(calls, 2, "what is there costs nothing more");
  for (const [key, previous] of [
    ["b", ["a"]],
    ["c", ["a", "b"]],
  ] as const)
    await adoptPreviousKeys(process(store, renamed(key, previous)));
  const later = put(partitionRef("c", dayOf(7)), { name: "c", partition: dayOf(7), token: 1, head: headOf(7) });
  await store.transact({}, () => ({ result: undefined, writes: [later], events: [] }));
  for (const n of [0, 7])
    assert.equal((await found.get("partition", `a|${dayOf(n)}`))?.head?.materializationId, `m-${n}`);
  assert.equal((await found.get("asset", "a"))?.key, "c");
  assert.equal(await found.get("partition", "nobody|x"), undefined);
});

test("what waits for the end of a pause goes out under the new name, once its partitions are there", async () => {
  const clock = virtualClock(NOW);
  const definition = renamed("a/new", ["a/old"]);
  const { runtime, events, published } = plainRuntime({ definitions: definitionsOf({ definition }), clock });
  const older = plainRuntime({
    definitions: definitionsOf({ definition: renamed("a/old") }),
    clock,
    events: () => events,
  });
  const DAY = dayOf(0);
  const plain = { partition: DAY, runKey: "k", cause: { kind: "schedule" as const }, requestedAt: 1 };
  const pending = { plain, special: [] };
  const writes = [put(partitionRef("a/old", DAY), { name: "a/old", partition: DAY, token: 1, pending })];
  await events.transact({}, () => ({ result: undefined, writes, events: [] }));
  await older.runtime.operations.pause("a/old");
  await older.runtime.operations.resume("a/old");
  await runtime.adoptPreviousKeys();
  await older.runtime.sweepDue();
  assert.deepEqual(older.published, []);
  await runtime.sweepDue();
  assert.deepEqual(
    published.map((text) => text.split(" ")[0]),
    ["asset.a.new"],
  );
});

test("what an older deployment adds later is adopted by the next process", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  const definition = renamed("a/new", ["a/old"]);
  await seed(store, "a/old", 3);
  await adoptPreviousKeys(process(store, definition));
  const late = dayOf(9);
  const writes = [
    put(partitionRef("a/old", late), { name: "a/old", partition: late, token: 1, head: headOf(9) }),
    put(ref("asset", "a/old"), { key: "a/old", partition: late, order: late, materializationId: "m-9", at: 9 }),
  ];
  await store.transact({}, () => ({ result: undefined, writes, events: [] }));
  await adoptPreviousKeys(process(store, definition));
  assert.equal(documents.get("partition", `a/new|${late}`)?.head?.materializationId, "m-9");
  assert.equal(documents.get("asset", "a/new")?.partition, late);
});

test("a name that is another asset's, now or before, is left to it, whatever the definitions say", async () => {
  for (const exports of [
    { definition: renamed("a/new", ["a/old"]), other: asset({ key: "a/old", materialize: async () => undefined }) },
    {
      definition: renamed("a/new", ["a/old"]),
      other: asset({ key: "b", previousKeys: ["a/old"], materialize: async () => undefined }),
    },
    { definition: renamed("a/old", ["a/old"]) },
  ]) {
    const documents = memoryDocuments();
    const store = memoryEventStore(documents);
    await seed(store, "a/old", 3);
    const before = contentOf(documents);
    const { definitions, problems } = collectDefinitions([{ file: "functions/a.ts", exports }]);
    assert.equal(problems.length, 1);
    await adoptPreviousKeys({ ...process(store, renamed("x")), definitions: () => definitions });
    assert.deepEqual(contentOf(documents), before);
  }
});

test("back to the old name, and forth again: the heads are always with the present one", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  await seed(store, "a", 5);
  for (const [key, previous] of [
    ["b", "a"],
    ["a", "b"],
    ["b", "a"],
  ] as const) {
    const definition = renamed(key, [previous]);
    await adoptPreviousKeys(process(store, definition));
    assert.equal(documents.get("partition", `${key}|${dayOf(0)}`)?.head?.materializationId, "m-0");
    assert.equal(documents.get("partition", `${key}|${dayOf(0)}`)?.movedTo, undefined);
    assert.equal(documents.get("partition", `${previous}|${dayOf(0)}`)?.movedTo, key);
    assert.equal(documents.get("asset", key)?.partition, dayOf(4));
  }
});

test("a zombie of the old name, past its lease, can neither publish nor commit nor be claimed again", async () => {
  const documents = memoryDocuments();
  const store = memoryEventStore(documents);
  const DAY = dayOf(0);
  const old: RunIdentity = { id: "0123456789abcdef", kind: "asset", name: "a/old", partition: DAY };
  const request = { partition: DAY, runKey: "k", cause: { kind: "manual" as const }, requestedAt: 1 };
  const destination = { ...table, partition: DAY.replaceAll("-", "") };
  const outcome = await store.transact(runRefs(old), (state) =>
    claim(state, { identity: old, request, now: NOW - 100, leaseMs: 50 }),
  );
  assert.ok(outcome.kind === "claimed");
  const refs = { partition: partitionRef("a/old", DAY), slot: slotRef(destination) };
  const { at, ...head } = headOf(0);
  const wish = {
    identity: old,
    token: outcome.token,
    order: DAY,
    rollback: false,
    now: NOW - 90,
    destination,
    staging: { dataset: "d", table: "s" },
    head,
    event: {
      v: 1 as const,
      id: "e",
      at,
      asset: "a/old",
      type: "materialized" as const,
      materializationId: "m-0",
      fingerprint: "f",
      inputs: [],
    },
    events: [],
  };
  const opened = await store.transact(refs, (state) => openIntent(state, wish));
  assert.ok(opened.kind === "open");
  const { intent } = opened;

  const definition = renamed("a/new", ["a/old"]);
  assert.equal(await adoptFor(process(store, definition), definition), true);
  const adopted = documents.get("slot", refs.slot.id)?.intent;
  assert.deepEqual(adopted, { ...intent, name: "a/new", token: 0, event: { ...wish.event, asset: "a/new" } });

  const commit = (one: typeof intent) =>
    store.transact(commitRefs(one), (state) => commitIntent(state, { intent: one, now: NOW, rolledForward: true }));
  assert.equal(await commit(intent), undefined, "the zombie knows it by the old name");
  assert.equal((await store.transact(refs, (state) => openIntent(state, wish))).kind, "lost");
  const again = await store.transact(runRefs(old), (state) =>
    claim(state, { identity: old, request, now: NOW, leaseMs: 50 }),
  );
  assert.deepEqual(again, { kind: "moved", to: "a/new", request });

  const done = await commit(adopted ?? intent);
  assert.equal(done?.status, "succeeded");
  assert.equal(documents.get("partition", `a/new|${DAY}`)?.head?.materializationId, "m-0");
  assert.equal(documents.get("partition", `a/old|${DAY}`)?.head, undefined);
  const topics = done?.outbox.map(({ topic }) => topic);
  assert.deepEqual(topics, ["materialized.a.new"]);
});
