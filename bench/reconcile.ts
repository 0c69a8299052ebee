/** One sweep where nothing is due, over as many assets, partitions and objects as are asked for: how long it takes, and what it reads. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSqliteEventStore } from "../lib/local/sqlite-event-store.ts";
import { systemClock } from "../lib/local/system-clock.ts";
import { costOf, quietProject } from "../test/support/quiet-project.ts";
import { median, ms, percentile, print } from "./measure.ts";

const { values } = parseArgs({
  options: {
    assets: { type: "string", default: "1000" },
    partitions: { type: "string", default: "1000" },
    sweeps: { type: "string", default: "120" },
    json: { type: "boolean" },
  },
});
const [assets, partitions, sweeps] = [values.assets, values.partitions, values.sweeps].map(Number);
if (![assets, partitions, sweeps].every((number) => Number.isInteger(number) && (number ?? 0) >= 1))
  throw new Error("--assets, --partitions and --sweeps are whole numbers, at least 1");
const size = { assets: assets ?? 1, partitions: partitions ?? 1 };

const home = await mkdtemp(join(tmpdir(), "sluice-reconcile-"));
try {
  const real = systemClock();
  let minutes = 0;
  // A sweep a minute, without the waiting.
  const clock = { ...real, now: () => real.now() + minutes * 60_000 };
  const events = openSqliteEventStore({ file: join(home, "events.db") });
  try {
    let began = performance.now();
    const project = await quietProject(size, { clock, events });
    const filled = performance.now() - began;
    const sweep = async (): Promise<number> => {
      minutes += 1;
      const start = performance.now();
      await project.runtime.sweepDue();
      await project.runtime.sweepBuckets();
      return performance.now() - start;
    };
    began = performance.now();
    do await sweep();
    while (!(await project.passed()));
    const first = performance.now() - began;
    const { announced } = project;
    const known = announced.length;

    const times: number[] = [];
    const most = { reads: 0, writes: 0, pages: 0, messages: 0 };
    for (let done = 0; done < (sweeps ?? 1); done++) {
      const cost = await costOf(project, async () => times.push(await sweep()));
      for (const name of ["reads", "writes", "pages", "messages"] as const)
        most[name] = Math.max(most[name], cost[name]);
    }
    print({
      title: `Reconciling ${size.assets.toLocaleString("en")} assets with ${size.partitions.toLocaleString("en")} partitions each, nothing due`,
      table: [
        ["", "median", "p99", "longest"],
        ["a sweep", ms(median(times)), ms(percentile(times, 0.99)), ms(Math.max(...times))],
      ],
      goals: [
        { what: "the longest sweep", value: Math.max(...times), limit: 1_000, unit: "ms" },
        { what: "calls of the event store in one sweep", value: most.reads, limit: 20, unit: "calls" },
        { what: "list pages in one sweep", value: most.pages, limit: 70, unit: "pages" },
        { what: "messages", value: most.messages, limit: 0, unit: "messages" },
      ],
      figures: { times, most, firstPassMs: first, filledMs: filled },
      notes: [
        `${known.toLocaleString("en")} objects were announced once by the first pass, in ${(first / 1000).toFixed(1)} s; the store was filled in ${(filled / 1000).toFixed(1)} s.`,
      ],
    });
  } finally {
    events.close();
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
