/**
 * Every fault at every call of every scenario: for hours on a slow machine. `node --test test/gcp/run-faults.sweep.ts`; a part of
 * it by `--test-name-pattern "import.*storage"`. The order is the seed's.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { withEmulators } from "../support/emulators.ts";
import { emulatorBackbone } from "./run-faults-emulators.ts";
import type { Service } from "./run-faults-injector.ts";
import { memoryBackbone } from "./run-faults-memory.ts";
import { everyFault, roundUnder, shuffled } from "./run-faults-plan.ts";
import { faultWorld, scenarios } from "./run-faults.ts";
import type { Backbone, BackboneOptions } from "./run-faults.ts";

const SEED = Number(process.env["SEED"] ?? 20_240_501);

function sweep(
  name: string,
  services: readonly Service[],
  open: (options: BackboneOptions) => Promise<Backbone>,
): void {
  describe(name, () => {
    for (const scenario of scenarios) {
      for (const service of services) {
        test(`${scenario}, ${service}`, { timeout: 4 * 3_600_000 }, async (t) => {
          t.diagnostic(`SEED=${SEED}`);
          const world = await faultWorld(open);
          t.after(() => world.close());
          const planned = (await everyFault(world)).filter(
            (one) => one.scenario === scenario && one.injection.service === service,
          );
          const problems: unknown[] = [];
          for (const one of shuffled(planned, SEED)) {
            await roundUnder(world, one).catch((error: unknown) => problems.push(error));
          }
          t.diagnostic(`${planned.length} runs`);
          assert.deepEqual(problems, [], `SEED=${SEED}`);
        });
      }
    }
  });
}

sweep("documents and messages in memory", ["storage", "bigquery", "event store", "bus"], memoryBackbone);

await withEmulators((emulators) => {
  after(() => Promise.all([emulators.firestore.close(), emulators.pubsub.close()]));
  sweep("on the emulators", ["firestore", "pubsub", "tasks"], (options) => emulatorBackbone(emulators, options));
});
