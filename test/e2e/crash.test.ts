/** A process may die after any of its steps, and its successors as well: the partition comes out right, and nothing is left over. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SourceMode } from "sluice";
import {
  ASSET,
  contentOf,
  dayOf,
  days,
  fileOf,
  line,
  onlyWhole,
  otherRuntime,
  portsOf,
  reader,
  uriOf,
} from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

/** What comes first after the death of a run. */
const successors = {
  "its deadline alone": async () => undefined,
  "the same message again": async (_platform: LocalPlatform, _day: string, redeliver: () => Promise<void>) =>
    await redeliver(),
  "a correction": async (platform: LocalPlatform, day: string) => {
    await platform.put(uriOf(day), await fileOf(duck, day, 2, 25));
  },
} as const;

for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
  for (const [what, succeed] of Object.entries(successors)) {
    test(`a process that dies after any of its steps, then ${what} (${mode})`, async () => {
      await using platform = await localPlatform({ exports: days({ mode }) });
      const watching = reader(platform);
      const allowed: string[] = [];
      const content = new Map<string, string>();
      for (let step = 1; ; step++) {
        assert.ok(step < 80, "the run never ends");
        const day = dayOf(step);
        const object = await platform.objects.write("drops", `days/${day}.parquet`, [await fileOf(duck, day, 1)]);
        const runKey = `gs://drops/days/${day}.parquet#${object.generation}`;
        const message = pushOf({ partition: day, runKey });
        allowed.push(line(day, 1), line(day, 2, 25));
        const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
        const done = otherRuntime(platform, ports).receive(ASSET, { body: message });
        const died = await Promise.race([death, done.then(() => undefined)]);
        await landed(platform, jobs);
        await platform.runtime.releaseAbandoned();
        // Without a trace of the first delivery there is nothing but redelivery, which the transport owes.
        const started = (await platform.allRuns()).some((run) => run.partition === day);
        if (!started || died !== undefined) {
          const redeliver = () => platform.runtime.receive(ASSET, { body: message });
          if (started) await succeed(platform, day, redeliver);
          else await redeliver();
        }
        await platform.quiet();
        const corrected = died !== undefined && started && what === "a correction";
        const shown = line(day, corrected ? 2 : 1, corrected ? 25 : 20);
        if (mode === SourceMode.Overwrite) content.clear();
        content.set(day, shown);
        assert.deepEqual(await contentOf(platform), [...content.values()], `after ${died ?? "no death"}, step ${step}`);
        assert.deepEqual(await platform.leftovers(), [], `after ${died ?? "no death"}, step ${step}`);
        const made = (await platform.eventsOf("materialized")).filter(({ partition }) => partition === day);
        assert.ok(made.length <= (corrected ? 2 : 1), `${made.length} materializations after ${died ?? "no death"}`);
        if (died === undefined) break;
      }
      onlyWhole(await watching.stop(), allowed);
    });
  }
}

/**
 * Waits for the jobs of the dead. A load that lands after its successor has put away its staging leaves a table behind, which
 * harms nobody and expires.
 */
async function landed(platform: LocalPlatform, jobs: readonly string[]): Promise<void> {
  for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
}

/** A small generator, so that a failing chain can be repeated. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
  test(`processes that die one after the other, each at work on what the last one left (${mode})`, async (t) => {
    const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
    t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
    const below = seeded(seed);
    await using platform = await localPlatform({ exports: days({ mode }) });
    const watching = reader(platform);
    const allowed: string[] = [];
    const shown = new Map<string, string>();
    for (let round = 1; round <= 12; round++) {
      const day = dayOf(round);
      const name = `days/${day}.parquet`;
      let version = 1;
      let { generation } = await platform.objects.write("drops", name, [await fileOf(duck, day, version)]);
      const story: string[] = [];
      for (let death = 0; death < 3; death++) {
        const { ports, death: died, jobs } = mortalPorts(portsOf(platform), 1 + below(28));
        const mortal = otherRuntime(platform, ports);
        const runs = (await platform.allRuns()).filter((run) => run.partition === day && run.endedAt === undefined);
        const wakes = below(2) === 0 ? runs.map((run) => ({ wake: run.id })) : [];
        const messages = [...wakes, { partition: day, runKey: `gs://drops/${name}#${generation}` }];
        for (const message of messages) {
          const done = mortal.receive(ASSET, { body: pushOf(message) }).then(() => "nothing");
          story.push(await Promise.race([died, done]));
        }
        await landed(platform, jobs);
        await expireAll(platform, day);
        if (below(3) === 0) {
          version += 1;
          ({ generation } = await platform.objects.write("drops", name, [
            await fileOf(duck, day, version, 20 + version),
          ]));
        }
      }
      for (let v = 1; v <= version; v++) allowed.push(line(day, v, v === 1 ? 20 : 20 + v));
      await platform.publish("bucket.drops", { bucket: "drops", name, generation });
      await platform.runtime.releaseAbandoned();
      await platform.quiet(15_000);
      if (mode === SourceMode.Overwrite) shown.clear();
      shown.set(day, line(day, version, version === 1 ? 20 : 20 + version));
      assert.deepEqual(await contentOf(platform), [...shown.values()], `${day}: ${story.join(", ")}`);
      assert.deepEqual(await platform.leftovers(), [], `${day}: ${story.join(", ")}`);
      const made = (await platform.eventsOf("materialized")).filter(({ partition }) => partition === day);
      const loaded = made.map(({ inputs }) => inputs[0]?.generation);
      assert.equal(new Set(loaded).size, loaded.length, `${day} loaded a generation twice: ${story.join(", ")}`);
    }
    onlyWhole(await watching.stop(), allowed);
  });
}

/** Lets the leases of a day's runs run out, without waking anybody. */
async function expireAll(platform: LocalPlatform, day: string): Promise<void> {
  const partition = { kind: "partition", id: `test/days|${day}` } as const;
  await platform.events.transact({ partition }, (state) => ({
    result: undefined,
    writes:
      state.partition?.holder === undefined
        ? []
        : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
    events: [],
  }));
}
