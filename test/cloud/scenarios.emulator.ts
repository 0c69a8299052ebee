/** The acts of the local demo, by the built functions in the local cloud; and the same on one machine: the events are equal. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { withEmulators } from "../support/emulators.ts";
import { openLocalCloud } from "../support/local-cloud.ts";
import type { LocalCloud } from "../support/local-cloud.ts";
import { localPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";
import { ACTS } from "../support/scenario/acts.ts";
import type { Act } from "../support/scenario/acts.ts";
import { FLIGHTS, seriesOf, sources } from "../support/scenario/flights.ts";
import { cloudGround, platformGround } from "../support/scenario/ground.ts";
import type { Ground } from "../support/scenario/ground.ts";
import { normalized } from "../support/scenario/same-history.ts";
import type { StoredEvent } from "../../lib/core/events.ts";

const entrySchema = z.object({
  severity: z.enum(["DEBUG", "INFO", "WARNING", "ERROR"]),
  message: z.string().min(1),
  "logging.googleapis.com/labels": z.record(z.string(), z.string()).optional(),
  event: z.object({ id: z.string() }).optional(),
});

await withEmulators((emulators) => {
  let cloud: LocalCloud;
  let duck: Duck;
  before(async () => {
    duck = await openDuck();
    cloud = await openLocalCloud({ emulators, project: "acts", functions: sources() });
  });
  after(async () => {
    await cloud.close();
    duck.close();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  /** Plays one act; the result is the history since it began. */
  async function play(ground: Ground, act: Act, soFar: number): Promise<readonly StoredEvent[]> {
    await act.play({
      ground,
      series: seriesOf(duck),
      async settled() {
        await ground.quiet();
        return (await ground.history()).slice(soFar);
      },
    });
    return (await ground.history()).slice(soFar);
  }

  describe("in the local cloud", () => {
    const inCloud = new Map<string, readonly StoredEvent[]>();
    for (const act of ACTS) {
      test(act.name, async () => {
        const soFar = [...inCloud.values()].reduce((sum, events) => sum + events.length, 0);
        try {
          inCloud.set(act.name, await play(cloudGround(cloud), act, soFar));
        } catch (error) {
          process.stderr.write(`${cloud.logs()}\n`);
          throw error;
        }
      });
    }

    test("no message was left undelivered, and nothing unfinished is left behind", async () => {
      assert.deepEqual(await cloud.deadLetters(), []);
      assert.deepEqual(await cloud.leftovers(), []);
    });

    test("functions write log entries and nothing else, and a run's events are found by its label", async () => {
      const lines = [...cloud.functions.values()].flatMap(({ log }) => log()).filter((line) => line !== "");
      // A line that is none throws; `severity` and `message` are what Cloud Logging shows.
      const entries = lines.map((line) => entrySchema.parse(JSON.parse(line)));
      const [run] = (await cloud.allRuns()).filter(({ name }) => name === FLIGHTS);
      const logged = entries.filter((entry) => entry["logging.googleapis.com/labels"]?.["sluice_run"] === run?.id);
      const stored = (await cloud.history()).filter((event) => event.run === run?.id);
      assert.ok(stored.length >= 4);
      assert.deepEqual(
        logged.map(({ event }) => event?.id),
        stored.map(({ id }) => id),
      );
      const [failed, ...others] = entries.filter(({ severity }) => severity === "ERROR");
      assert.match(failed?.message ?? "", /^transport\/routes 2001-01-05 run\.failed: /);
      assert.deepEqual(others, []);
    });

    test("on one machine the same acts give the same events", async (t) => {
      const exports = Object.assign({}, ...cloud.modules.map((module) => module.exports)) as Record<string, unknown>;
      await using platform = await localPlatform({ exports });
      const cloudHistory = await cloud.history();
      let soFar = 0;
      for (const act of ACTS) {
        const here = await play(platformGround(platform), act, soFar);
        soFar += here.length;
        await t.test(act.name, async () => {
          const there = inCloud.get(act.name);
          assert.ok(there !== undefined, "the act was not played in the cloud");
          assert.deepEqual(normalized(cloudHistory, there), normalized(await platform.history(), here));
        });
      }
      assert.deepEqual(platform.complaints, []);
    });
  });
});
