/** From the start of a function's process to its first answer, and to its first committed run. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startCloudServices } from "../test/support/cloud-services.ts";
import type { CloudServices } from "../test/support/cloud-services.ts";
import { withEmulator } from "../test/support/emulators.ts";
import type { Emulator } from "../test/support/emulators.ts";
import { freePort, startFunction } from "../test/support/function-process.ts";
import { openDuck, scoresSql } from "../test/support/parquet.ts";
import {
  ASSET,
  BUCKET,
  DATASETS,
  FUNCTION,
  builtProject,
  helloWorld,
  objectOf,
  unbundled,
} from "./cold-start-builds.ts";
import { median, ms, print } from "./measure.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "11" },
    assets: { type: "string", default: "500" },
    json: { type: "boolean" },
  },
});
const rounds = Number(values.rounds);
const assets = Number(values.assets);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds is a whole number, at least 1");

interface Subject {
  readonly name: string;
  readonly source: string;
  readonly target: string;
  /** Whether it carries out runs. */
  readonly runs: boolean;
  readonly first200: number[];
  readonly started: number[];
  readonly committed: number[];
}

const home = mkdtempSync(join(tmpdir(), "sluice-cold-"));
const emulators: Emulator[] = [];
const emulator = async (kind: "firestore" | "pubsub"): Promise<string> => {
  await withEmulator(kind, (found) => void emulators.push(found));
  const host = emulators.at(-1)?.host;
  if (host === undefined) throw new Error(`this benchmark needs Google's ${kind} emulator, which comes with gcloud`);
  return host;
};
let cloud: CloudServices | undefined;
try {
  const firestore = await emulator("firestore");
  const pubsub = await emulator("pubsub");
  cloud = await startCloudServices({ firestore, pubsub, buckets: [BUCKET], datasets: DATASETS });
  await cloud.createTopic(`materialized.${ASSET.replace("/", ".")}`);
  const one = await builtProject(join(home, "one"), 1);
  const many = await builtProject(join(home, "many"), assets);
  const subject = (name: string, source: string, target = "sluice"): Subject => {
    return { name, source, target, runs: target === "sluice", first200: [], started: [], committed: [] };
  };
  const ours = subject("built, 1 asset", one);
  const ofMany = subject(`built, ${assets} assets`, many);
  const hello = subject("hello world", helloWorld(join(home, "hello"), "index.js"), "hello");
  const helloMjs = subject("hello world as .mjs", helloWorld(join(home, "hello-mjs"), "index.mjs"), "hello");
  const eager = subject("not bundled, all at once", await unbundled(join(home, "eager"), one));
  const subjects = [ours, ofMany, hello, helloMjs, eager];

  const duck = await openDuck();
  const rows = await duck.file(scoresSql("2024-05-01", 100));
  duck.close();
  let day = 0;
  // The first round warms the disk's cache and is not counted; from then on they take turns, each after another one.
  for (let round = 0; round <= rounds; round++) {
    for (const next of shuffled(subjects)) {
      const first200 = await firstAnswer(next);
      const run = next.runs ? await firstRun(next, cloud, dayAt(++day), rows) : undefined;
      if (round === 0) continue;
      next.first200.push(first200);
      if (run !== undefined) next.started.push(run.started);
      if (run !== undefined) next.committed.push(run.committed);
    }
  }
  report({ subjects, ours, ofMany, hello, eager });
} finally {
  await cloud?.close();
  for (const running of emulators) await running.close();
  rmSync(home, { recursive: true, force: true });
}

function shuffled<T>(values: readonly T[]): readonly T[] {
  const drawn = values.map((value) => ({ value, lot: Math.random() }));
  return drawn.sort((a, b) => a.lot - b.lot).map(({ value }) => value);
}

/** A day of its own for every run, each newer than the last. */
function dayAt(index: number): string {
  return new Date(Date.UTC(2001, 0, index)).toISOString().slice(0, 10);
}

async function firstAnswer({ source, target }: Subject): Promise<number> {
  const port = await freePort();
  const began = performance.now();
  const running = startFunction(port, { source, target, env: { SLUICE_FUNCTION: FUNCTION } });
  await running.listening();
  const took = performance.now() - began;
  running.kill();
  await running.ended;
  return took;
}

/** The message is there from the start, as it is when a message makes the cloud start an instance. */
async function firstRun(
  { source, target }: Subject,
  services: CloudServices,
  partition: string,
  rows: Buffer,
): Promise<{ readonly started: number; readonly committed: number }> {
  await services.gcs.put(BUCKET, objectOf(partition), rows);
  const port = await freePort();
  const began = performance.now();
  const at: Record<string, number> = {};
  const env = { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: JSON.stringify(services.config) };
  const running = startFunction(port, {
    source,
    target,
    env,
    onOutput(text) {
      for (const type of ["run.started", "materialized"])
        if (text.includes(`"type":"${type}"`)) at[type] ??= performance.now() - began;
    },
  });
  const data = Buffer.from(JSON.stringify({ partition })).toString("base64");
  const message = { data, messageId: `m-${partition}`, publishTime: new Date().toISOString() };
  const answer = await running.post(`/asset.${ASSET.replace("/", ".")}`, { message, subscription: "s" });
  running.kill();
  await running.ended;
  const { "run.started": started, materialized: committed } = at;
  if (!answer.ok || started === undefined || committed === undefined)
    throw new Error(`the run of ${partition} ended with ${answer.status}:\n${running.output()}`);
  return { started, committed };
}

interface Measured {
  readonly subjects: readonly Subject[];
  readonly ours: Subject;
  readonly ofMany: Subject;
  readonly hello: Subject;
  readonly eager: Subject;
}

function report({ subjects, ours, ofMany, hello, eager }: Measured): void {
  const ratio = (a: readonly number[], b: readonly number[]): number => median(a) / median(b);
  const cell = (times: readonly number[]): string => (times.length === 0 ? "–" : ms(median(times)));
  print({
    title: `Cold start, medians of ${rounds} interleaved rounds, from the start of the process`,
    table: [
      ["", "first 200", "first run started", "first run committed"],
      ...subjects.map(({ name, first200, started, committed }) => [
        name,
        cell(first200),
        cell(started),
        cell(committed),
      ]),
    ],
    goals: [
      { what: "first 200, against hello world", value: ratio(ours.first200, hello.first200), limit: 1, unit: "×" },
      {
        what: "committed run, against not bundled and all at once",
        value: ratio(ours.committed, eager.committed),
        limit: 0.5,
        unit: "×",
      },
      {
        what: `first 200 of ${assets} assets, against 1`,
        value: ratio(ofMany.first200, ours.first200),
        limit: 1.05,
        unit: "×",
      },
      {
        what: `committed run of ${assets} assets, against 1`,
        value: ratio(ofMany.committed, ours.committed),
        limit: 1.05,
        unit: "×",
      },
    ],
    figures: subjects.map(({ name, first200, started, committed }) => ({ name, first200, started, committed })),
    notes: [],
  });
}
