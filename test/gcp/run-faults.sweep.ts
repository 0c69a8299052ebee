/**
 * Every fault at every call of every scenario: some thousand runs, about a second each. `node --test test/gcp/run-faults.sweep.ts`;
 * a part of it by `--test-name-pattern "import.*storage"`. The order is the seed's.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { withEmulators } from "../support/emulators.ts";
import { emulatorBackbone } from "./run-faults-emulators.ts";
import type { Service } from "./run-faults-injector.ts";
import { memoryBackbone } from "./run-faults-memory.ts";
import { everyFault, roundUnder, shuffled } from "./run-faults-plan.ts";
import type { Planned } from "./run-faults-plan.ts";
import { faultWorld, scenarios } from "./run-faults.ts";
import type { Backbone, BackboneOptions, Scenario } from "./run-faults.ts";

const SEED = Number(process.env["SEED"] ?? 20_240_501);

/** A world keeps all that it has seen: after so many runs, a new one is quicker. */
const ROUNDS = 50;

async function plannedOn(
  open: (options: BackboneOptions) => Promise<Backbone>,
  scenario: Scenario,
  service: Service,
): Promise<readonly Planned[]> {
  const world = await faultWorld(open);
  try {
    return (await everyFault(world)).filter((one) => one.scenario === scenario && one.injection.service === service);
  } finally {
    await world.close();
  }
}

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
          const planned = shuffled(await plannedOn(open, scenario, service), SEED);
          const problems: unknown[] = [];
          for (let first = 0; first < planned.length; first += ROUNDS) {
            const world = await faultWorld(open);
            for (const one of planned.slice(first, first + ROUNDS))
              await roundUnder(world, one).catch((error: unknown) => problems.push(error));
            await world.close();
            const played = Math.min(first + ROUNDS, planned.length);
            process.stderr.write(
              `${scenario}, ${service}: ${played} of ${planned.length}, ${problems.length} failed\n`,
            );
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
