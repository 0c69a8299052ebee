/** From a finished file to a started run, through the watcher, beyond its settling time. */
import { fork } from "node:child_process";
import { on, once } from "node:events";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import type { Trip } from "./latency-platform.ts";
import { flightsFile, machineMs, median, ms, percentile, print } from "./measure.ts";

type Message = { readonly ended: number } | { readonly trips: Readonly<Record<string, Trip>> };

const SETTLE_MS = 200;
const WARM_UP = 25;
const { values } = parseArgs({ options: { drops: { type: "string", default: "240" }, json: { type: "boolean" } } });
const drops = Number(values.drops);
if (!Number.isInteger(drops) || drops < 1) throw new Error("--drops is a whole number, at least 1");

const home = await mkdtemp(join(tmpdir(), "sluice-bench-"));
try {
  const finished = new Map<string, number>();
  const trips = await withPlatform(home, async (target) => {
    const names = Array.from({ length: WARM_UP + drops }, (_, index) => nameOf(index));
    const files = await prepare(join(home, "incoming"), names);
    for (const [index, name] of names.entries()) {
      await rename(files.get(name) ?? "", join(target, name));
      if (index >= WARM_UP) finished.set(name, machineMs());
      // Apart by more than a run takes, and in no rhythm.
      await pause(100 + Math.random() * 100);
    }
    return names.length;
  });
  report([...finished].map(([name, at]) => ({ at, ...trips[name] })));
} finally {
  await rm(home, { recursive: true, force: true });
}

/** A day each, so that every drop is a partition of its own. */
function nameOf(index: number): string {
  return `${new Date(Date.UTC(2001, 0, 1 + index)).toISOString().slice(0, 10)}.parquet`;
}

/** Small files, made beforehand, so that a rename finishes each at one moment. */
async function prepare(folder: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  await mkdir(folder);
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    `CREATE TABLE sample_rows AS SELECT * FROM read_parquet('${flightsFile.replaceAll("'", "''")}') LIMIT 100`,
  );
  const files = new Map<string, string>();
  for (const name of names) {
    const file = join(folder, name);
    await connection.run(`COPY sample_rows TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`);
    files.set(name, file);
  }
  connection.closeSync();
  instance.closeSync();
  return files;
}

/** Starts the platform in a process of its own; `work` fills its bucket's folder and says how many runs to wait for. */
async function withPlatform(
  root: string,
  work: (folder: string) => Promise<number>,
): Promise<Readonly<Record<string, Trip>>> {
  const folder = join(root, "buckets", "bench-drops");
  await mkdir(folder, { recursive: true });
  const script = fileURLToPath(new URL("latency-platform.ts", import.meta.url));
  const platform = fork(script, [root, String(SETTLE_MS)]);
  const stopped = new AbortController();
  platform.once("exit", (code) => stopped.abort(new Error(`the platform ended with ${code}`)));
  // `latency-platform.ts` alone sends these.
  const messages = on(platform, "message", { signal: stopped.signal }) as AsyncIterable<[Message]>;
  let expected: number | undefined;
  let asked = false;
  for await (const [message] of messages) {
    if ("trips" in message) {
      if (platform.exitCode === null) await once(platform, "exit");
      return message.trips;
    }
    expected ??= await work(folder);
    if (message.ended < expected || asked) continue;
    asked = true;
    platform.send("stop");
  }
  throw new Error("the platform has said nothing");
}

function report(found: readonly (Trip & { readonly at: number })[]): void {
  const between = (from: (trip: Trip & { at: number }) => number | undefined, to: keyof Trip): number[] =>
    found.flatMap((trip) => {
      const [begin, end] = [from(trip), trip[to]];
      return begin === undefined || end === undefined ? [] : [end - begin];
    });
  const started = between(({ at }) => at + SETTLE_MS, "started");
  if (started.length !== drops) throw new Error(`${drops - started.length} of ${drops} drops have started no run`);
  const steps: readonly (readonly [string, readonly number[]])[] = [
    ["finished file → started run", started],
    ["  finished file → notification", between(({ at }) => at + SETTLE_MS, "announced")],
    ["  notification → started run", between(({ announced }) => announced, "started")],
    ["started run → commit", between((trip) => trip.started, "committed")],
    ["  started run → load job", between((trip) => trip.started, "loading")],
    ["  load, audit → publish job", between(({ loading }) => loading, "publishing")],
    ["  publish job → commit", between(({ publishing }) => publishing, "committed")],
  ];
  print({
    title: `From a finished file to a started run, ${drops} drops, beyond ${SETTLE_MS} ms of settling`,
    table: [
      ["", "median", "p95", "p99", "max", "drops"],
      ...steps.map(([what, times]) => [
        what,
        ms(median(times)),
        ms(percentile(times, 0.95)),
        ms(percentile(times, 0.99)),
        ms(Math.max(...times)),
        String(times.length),
      ]),
    ],
    goals: [{ what: "99th percentile to a started run", value: percentile(started, 0.99), limit: 50, unit: "ms" }],
    figures: Object.fromEntries(steps.map(([what, times]) => [what.trim(), times])),
    notes: [],
  });
}
