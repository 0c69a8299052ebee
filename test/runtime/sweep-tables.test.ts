/** Staging tables that nobody came for: dropped in slices, and never one that a run may still need. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { put } from "../../lib/core/documents.ts";
import type { Intent, PartitionDocument, SlotDocument } from "../../lib/core/documents.ts";
import { daily } from "../../lib/core/partitions.ts";
import { stagingOf } from "../../lib/core/placement.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { slotRef } from "../../lib/core/slot.ts";
import { fromStub, stubOf } from "../../lib/core/stub.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import { defaultSettings } from "../../lib/runtime/services.ts";
import { sweepTables } from "../../lib/runtime/sweep-tables.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const scores = asset({
  key: "demo/scores",
  partitions: daily({ start: "2024-01-01" }),
  target: { table: { dataset: "clean", table: "scores" }, slot: "table", stagingDataset: "raw" },
  materialize: async () => undefined,
});
const plain = asset({ key: "demo/plain", target: "clean.plain", materialize: async () => undefined });

function setUp(assets: readonly AssetDefinition[] = [scores, plain]) {
  const clock = virtualClock();
  const events = memoryEventStore();
  /** Tables as `dataset.table`, with the time of their expiry. */
  const tables = new Map<string, number | undefined>();
  const listed: string[] = [];
  const denied = new Set<string>();
  let reads = 0;
  const warehouse: Pick<Warehouse, "list" | "describe" | "drop"> = {
    async *list({ dataset }, prefix = "") {
      listed.push(dataset);
      if (denied.has(dataset)) throw new Error(`${dataset} may not be listed`);
      const names = [...tables.keys()].filter((name) => name.startsWith(`${dataset}.${prefix}`)).sort();
      for (const name of names) yield { dataset, table: name.slice(dataset.length + 1) };
    },
    describe: async ({ dataset, table }) => {
      const name = `${dataset}.${table}`;
      if (!tables.has(name)) return undefined;
      const expiresAt = tables.get(name);
      return { schema: [], rows: 0, etag: "1", ...(expiresAt === undefined ? {} : { expiresAt }) };
    },
    drop: async ({ dataset, table }) => tables.delete(`${dataset}.${table}`),
  };
  const counted: EventStore = {
    ...events,
    get: (kind, id) => {
      reads += 1;
      return events.get(kind, id);
    },
  };
  const definitions = collectDefinitions([{ file: "functions/demo.ts", exports: { assets } }]).definitions;
  // The sweep takes nothing else of its surroundings.
  const services = {
    events: counted,
    warehouse,
    clock,
    settings: defaultSettings,
    definitions: () => definitions,
  } as unknown as Parameters<typeof sweepTables>[0];
  return {
    clock,
    listed,
    denied,
    tables,
    reads: () => reads,
    stage(of: AssetDefinition, partition: string, fingerprint: string, age = 2 * HOUR): string {
      assert.ok(of.target !== undefined);
      const { dataset, table } = stagingOf({ target: of.target, partitions: of.partitions }, partition, fingerprint);
      tables.set(`${dataset}.${table}`, clock.now() - age + defaultSettings.stagingTtlMs);
      return `${dataset}.${table}`;
    },
    async know(of: AssetDefinition, partition: string, more: Partial<PartitionDocument>): Promise<void> {
      const document: PartitionDocument = { name: of.key, partition, token: 1, ...more };
      const write = put(partitionRef(of.key, partition), document);
      await events.transact({}, () => ({ result: undefined, writes: [write], events: [] }));
    },
    async intend(table: string, staging: string): Promise<void> {
      const [dataset = "", name = ""] = staging.split(".");
      // Nothing else of an intent is looked at.
      const intent = { staging: { dataset, table: name } } as Intent;
      const slot: SlotDocument = { sequence: 1, intent };
      const write = put(slotRef({ dataset: "clean", table }), slot);
      await events.transact({}, () => ({ result: undefined, writes: [write], events: [] }));
    },
    sweep: () => sweepTables(services),
    async round(): Promise<number> {
      let dropped = 0;
      for (let sweeps = 0; sweeps < 20; sweeps++) dropped += await sweepTables(services);
      return dropped;
    },
  };
}

const F = (n: number): string => n.toString(16).padStart(16, "0");
const name = (n: number): string => n.toString(16).padStart(12, "0") + "ffff";

test("what the dead have left goes; what is young, held, intended or to be finished stays, and so does everything else", async () => {
  const world = setUp();
  await world.know(scores, "2024-05-01", {});
  const orphans = [world.stage(scores, "2024-05-01", name(1)), world.stage(scores, "2024-05-01", name(2))];
  const kept = [world.stage(scores, "2024-05-01", name(3), MINUTE)];
  // Also of one that sleeps, and of one that died and was not taken over yet.
  await world.know(scores, "2024-05-02", { holder: { runId: F(1), token: 1, leaseUntil: 0, parked: true } });
  kept.push(world.stage(scores, "2024-05-02", name(4)));
  await world.know(scores, "2024-05-03", { holder: { runId: F(1), token: 1, leaseUntil: 0 } });
  kept.push(world.stage(scores, "2024-05-03", name(5)));
  const left = world.stage(scores, "2024-05-04", name(6));
  const [dataset = "", table = ""] = left.split(".");
  await world.know(scores, "2024-05-04", { finish: { runId: F(1), staging: { dataset, table } } });
  orphans.push(world.stage(scores, "2024-05-04", name(7)));
  kept.push(left);
  // What nobody knows of, or is known under another name by now.
  kept.push(world.stage(scores, "2024-05-05", name(8)));
  await world.know(scores, "2024-05-06", { movedTo: "demo/other" });
  kept.push(world.stage(scores, "2024-05-06", name(9)));
  await world.know(plain, "", {});
  const open = world.stage(plain, "", name(10));
  await world.intend("plain", open);
  kept.push(open);
  orphans.push(world.stage(plain, "", name(11)));
  for (const other of [
    "raw.scores__20240501",
    "clean.scores",
    "clean.plain",
    "raw.other__staging_20240501_00000000000a",
  ]) {
    world.tables.set(other, undefined);
    kept.push(other);
  }

  assert.equal(await world.round(), orphans.length);
  assert.deepEqual([...world.tables.keys()].sort(), kept.sort());
});

test("a dataset that may not be listed holds up no other, and has its turn again in the next round", async () => {
  const world = setUp();
  await world.know(scores, "2024-05-01", {});
  await world.know(plain, "", {});
  const [inRaw, inClean] = [world.stage(scores, "2024-05-01", name(1)), world.stage(plain, "", name(2))];
  world.denied.add("clean");
  await assert.rejects(world.sweep(), /clean may not be listed/);
  assert.equal(await world.round(), 1);
  assert.deepEqual([world.tables.has(inRaw), world.tables.has(inClean)], [false, true]);
  world.denied.clear();
  await world.clock.advance(2 * HOUR);
  assert.equal(await world.round(), 1);
});

test("a staging without an end is left alone: its age is not known", async () => {
  const world = setUp();
  await world.know(scores, "2024-05-01", {});
  world.tables.set(world.stage(scores, "2024-05-01", name(1)), undefined);
  assert.equal(await world.round(), 0);
});

test("a sweep looks into a bounded number of tables, goes on where the last one ended, and rests for an hour", async () => {
  const world = setUp();
  await world.know(scores, "2024-05-01", {});
  for (let n = 0; n < 50; n++) world.stage(scores, "2024-05-01", name(n));
  const slices: number[] = [];
  for (let sweeps = 0; sweeps < 6; sweeps++) {
    const before = world.reads();
    slices.push(await world.sweep());
    assert.ok(world.reads() - before <= 41, String(world.reads() - before));
  }
  assert.deepEqual(slices, [0, 20, 20, 10, 0, 0], "the other dataset first, and the end of the round last");
  assert.equal(world.tables.size, 0);

  world.stage(scores, "2024-05-01", name(99));
  const [lists, reads] = [world.listed.length, world.reads()];
  assert.equal(await world.round(), 0);
  assert.deepEqual([world.listed.length, world.reads() - reads], [lists, 20], "one read a sweep, and no list");
  await world.clock.advance(HOUR);
  assert.equal(await world.round(), 1);
});

test("tables that stay do not keep the sweep from those behind them", async () => {
  const world = setUp();
  await world.know(scores, "2024-05-01", { holder: { runId: F(1), token: 1, leaseUntil: 0 } });
  await world.know(scores, "2024-05-02", {});
  for (let n = 0; n < 45; n++) world.stage(scores, "2024-05-01", name(n));
  world.stage(scores, "2024-05-02", name(1));
  assert.equal(await world.round(), 1);
  assert.equal(world.tables.size, 45);
});

test("where no code of an asset is, only datasets that show nobody's table are looked through", async () => {
  // In the function `reconcile`, which may change no visible table.
  const stubs = [scores, plain].map((each) => fromStub(stubOf(each)) as unknown as AssetDefinition);
  const world = setUp(stubs);
  await world.know(scores, "2024-05-01", {});
  await world.know(plain, "", {});
  world.stage(scores, "2024-05-01", name(1));
  const visible = world.stage(plain, "", name(2));
  assert.equal(await world.round(), 1);
  assert.deepEqual([...world.tables.keys()], [visible]);
  assert.deepEqual([...new Set(world.listed)], ["raw"]);
});
