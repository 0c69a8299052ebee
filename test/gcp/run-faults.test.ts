/**
 * Whole runs with a fault at a call that a seed picks: of Storage, of BigQuery, or of an event store and a bus in memory.
 * `run-faults.emulator.ts` has Firestore, Pub/Sub and Cloud Tasks; `run-faults.sweep.ts` goes through every fault at every call.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryBackbone } from "./run-faults-memory.ts";
import { everyFault, roundUnder, shuffled } from "./run-faults-plan.ts";
import { faultWorld, scenarios } from "./run-faults.ts";

/** Others are tried by `SEED=1 SAMPLE=200 node --test test/gcp/run-faults.test.ts`. */
const SEED = Number(process.env["SEED"] ?? 20_240_501);
const SAMPLE = Number(process.env["SAMPLE"] ?? 30);

test("whatever fails in a run, nothing is lost, doubled or left over", async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const world = await faultWorld(memoryBackbone);
  t.after(() => world.close());
  const planned = await everyFault(world);
  const services = new Set(planned.map(({ injection }) => injection.service));
  assert.deepEqual([...services].sort(), ["bigquery", "bus", "event store", "storage"]);
  for (const one of shuffled(planned, SEED).slice(0, SAMPLE)) {
    await roundUnder(world, one).catch((error: unknown) => {
      throw new Error(`SEED=${SEED}`, { cause: error });
    });
  }
});

test("the proof can fail: without redelivery, a fault loses a run", async (t) => {
  const world = await faultWorld(async (options) => {
    const backbone = await memoryBackbone(options);
    const take = async () => (await backbone.take()).map((taken) => ({ ...taken, settle: () => taken.settle(true) }));
    return { ...backbone, take };
  });
  t.after(() => world.close());
  for (const scenario of scenarios) {
    await world.round(scenario);
    // The claim is lost, and with it the message.
    const injection = { service: "event store", at: 0, fault: { fault: "reset-before" }, calls: 1 } as const;
    await assert.rejects(world.round(scenario, injection), /one run, which succeeded/);
  }
});
