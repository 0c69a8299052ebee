/** Whole runs with a fault at a call of Firestore, Pub/Sub or Cloud Tasks, as a deployed function speaks to them. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { withEmulators } from "../support/emulators.ts";
import { emulatorBackbone } from "./run-faults-emulators.ts";
import { everyFault, roundUnder, shuffled } from "./run-faults-plan.ts";
import { faultWorld } from "./run-faults.ts";

const SEED = Number(process.env["SEED"] ?? 20_240_501);

/** Single faults, and lasting ones. */
const SAMPLES = [
  { service: "firestore", single: 4, lasting: 1 },
  { service: "pubsub", single: 2, lasting: 1 },
  { service: "tasks", single: 2, lasting: 1 },
] as const;

await withEmulators((emulators) => {
  after(() => Promise.all([emulators.firestore.close(), emulators.pubsub.close()]));

  test("whatever fails between a run and its store or bus, nothing is lost, doubled or left over", async (t) => {
    t.diagnostic(`SEED=${SEED}`);
    const world = await faultWorld((options) => emulatorBackbone(emulators, options));
    t.after(() => world.close());
    const planned = shuffled(await everyFault(world), SEED);
    for (const { service, single, lasting } of SAMPLES) {
      const own = planned.filter(({ injection }) => injection.service === service);
      assert.ok(own.length > 0, `no call of ${service}`);
      const once = own.filter(({ injection }) => injection.calls === 1).slice(0, single);
      const often = own.filter(({ injection }) => injection.calls > 1).slice(0, lasting);
      for (const one of [...once, ...often]) {
        await roundUnder(world, one).catch((error: unknown) => {
          throw new Error(`SEED=${SEED}`, { cause: error });
        });
      }
    }
  });
});
