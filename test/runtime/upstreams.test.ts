import assert from "node:assert/strict";
import { test } from "node:test";
import { eager } from "../../lib/core/automation.ts";
import { automaticRunKey, explain } from "../../lib/core/condition.ts";
import { put } from "../../lib/core/documents.ts";
import type { SluiceEvent, StoredEvent } from "../../lib/core/events.ts";
import { daily } from "../../lib/core/partitions.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { readFacts, readUpstreams, versionsOf } from "../../lib/runtime/upstreams.ts";
import type { Follower } from "../../lib/runtime/upstreams.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";

const NOON = Date.UTC(2024, 4, 10, 12);
const source: Follower = {
  key: "a/source",
  deps: [],
  mappings: {},
  partitions: daily({ start: "2024-05-01" }),
};
const total: Follower = {
  key: "a/total",
  deps: ["a/source"],
  mappings: {},
  partitions: undefined,
  automation: eager(),
};

const made = (id: string, at: number): SluiceEvent => ({
  v: 1,
  id,
  at,
  asset: source.key,
  partition: "2024-05-01",
  type: "materialized",
  materializationId: id,
  fingerprint: "f",
  inputs: [],
});

/** A store some of whose events are taken, and have their positions, but cannot be seen yet. */
function setUp() {
  const memory = memoryEventStore();
  const hidden = new Set<string>();
  const events: EventStore = {
    ...memory,
    async history({ limit = 100, ...query }) {
      const { items } = await memory.history({ ...query, limit: 1_000 });
      return { items: items.filter(({ id }: StoredEvent) => !hidden.has(id)).slice(0, limit) };
    },
  };
  const reader = { events, assets: new Map([source, total].map((asset) => [asset.key, asset])) };
  /** The downstream is made from what can be seen. */
  const consume = async (): Promise<void> => {
    const upstreams = versionsOf(await readUpstreams(reader, total, ""));
    const at = partitionRef(total.key, "");
    const head = { materializationId: "m", runId: "r", at: NOON, fingerprint: "f", inputs: [], upstreams };
    await memory.transact({}, () => ({
      result: 0,
      writes: [put(at, { name: total.key, partition: "", token: 1, head })],
      events: [],
    }));
  };
  const decide = async () => {
    const facts = await readFacts(reader, total, "", NOON);
    return { due: explain(eager(), facts), runKey: automaticRunKey(eager(), facts) };
  };
  return { memory, hidden, consume, decide };
}

test("a commit that comes to light after a later one is news all the same", async () => {
  for (const between of [0, 1, 5]) {
    const { memory, hidden, consume, decide } = setUp();
    await memory.append([made("long ago", NOON - 86_400_000)]);
    // Its time was taken first, but the others are visible before it.
    await memory.append([made("slow", NOON - 3)]);
    hidden.add("slow");
    for (let n = 0; n <= between; n++) await memory.append([made(`quick ${n}`, NOON - 2)]);
    await consume();
    const before = await decide();
    assert.equal(before.due.value, false, "it was made from all that could be seen");
    hidden.clear();
    const { due, runKey } = await decide();
    assert.equal(due.value, true, due.because);
    assert.notEqual(runKey, before.runKey, "and its run is another one");
    await consume();
    assert.equal((await decide()).due.value, false, "once");
  }
});

test("the version of a whole upstream is that of its last materialization, unless others are about as new", async () => {
  const { memory, consume, decide } = setUp();
  await memory.append([made("m-1", NOON - 86_400_000), made("m-2", NOON - 3_600_000)]);
  await consume();
  const own = async () => (await memory.get("partition", "a/total|"))?.head?.upstreams;
  assert.deepEqual(await own(), { "a/source|*": "m-2" });
  await memory.append([made("m-3", NOON - 3_599_000)]);
  const { due } = await decide();
  assert.equal(due.value, true);
  const shown = (part: typeof due): readonly string[] => [...part.events, ...part.parts.flatMap(shown)];
  assert.ok(shown(due).includes("m-3"), "people are shown the materialization itself");
  await consume();
  assert.match((await own())?.["a/source|*"] ?? "", /^m-3\+[0-9a-f]{8}$/);
});
