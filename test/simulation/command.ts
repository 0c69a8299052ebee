/**
 * The simulator's command.
 *
 *   npm run simulate -- --seeds 100000 [--from S] [--jobs K]   plays seeds, and says what was exercised
 *                  [--from random]                         seeds that were most likely never played, and prints which
 *                  [--only "by day,rows"]                  those of some projects alone
 *   npm run simulate -- --seed N [--trace]                     plays one, and cuts it down when it fails
 *   npm run simulate -- --guards                               proves the guards, and writes the table into docs/reliability.md
 */
import { readFile, writeFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { playSeeds } from "./batch.ts";
import type { Batch } from "./batch.ts";
import { play } from "./play.ts";
import { projects } from "./projects.ts";
import { optionsOf } from "./options.ts";
import { guardsTable } from "./prove.ts";
import { scheduleOf } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { shrink, sizeOf } from "./shrink.ts";
import { addTally, newTally } from "./tally.ts";
import type { Counts, Tally } from "./tally.ts";

const GUARDS = { begin: "<!-- guards -->", end: "<!-- /guards -->" } as const;
const DOCUMENT = new URL("../../docs/reliability.md", import.meta.url);

const read = optionsOf(process.argv.slice(2), Math.random);
if ("problem" in read) {
  process.stderr.write(`error: ${read.problem}\n`);
  process.exit(2);
}
const { options } = read;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function many(from: number, seeds: number, jobs: number): Promise<boolean> {
  // Said before they are played: who ends early can be played again as well.
  if (options.chosen) print(`the seeds from ${from} on: --seeds ${seeds} --from ${from} plays them again`);
  const began = performance.now();
  const cpu = process.cpuUsage();
  const done = Array.from({ length: jobs }, () => 0);
  const tell = (job: number) => (count: number) => {
    done[job] = count;
    const total = done.reduce((sum, each) => sum + each, 0);
    const rate = Math.round((total / (performance.now() - began)) * 1000);
    if (process.stderr.isTTY) process.stderr.write(`\r${total} of ${seeds} schedules, ${rate} a second `);
  };
  const share = Math.ceil(seeds / jobs);
  const parts = Array.from({ length: jobs }, (_, job) => ({
    from: from + job * share,
    seeds: Math.max(0, Math.min(share, seeds - job * share)),
    only: options.only,
  }));
  const tallies = await Promise.all(
    parts.map((part, job) => (jobs === 1 ? playSeeds({ ...part, onProgress: tell(job) }) : inThread(part, tell(job)))),
  );
  const tally = newTally();
  for (const part of tallies) addTally(tally, part);
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const { user, system } = process.cpuUsage(cpu); // of all threads, those that collect garbage included
  const cpuMs = (user + system) / 1_000;
  summary(tally, {
    from,
    to: from + seeds - 1,
    ms: performance.now() - began,
    cpuMs,
  });
  const project = projects();
  for (const { seed, what } of tally.violations.slice(0, 3)) {
    print(`\nseed ${seed}: ${what}`);
    await cutDown(scheduleOf(seed, project), what, false);
  }
  return tally.violations.length === 0;
}

function inThread(part: Batch, onProgress: (done: number) => void): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: part });
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`a thread ended early, with ${code}`)));
    // Only worker.ts speaks here.
    worker.on("message", (message: { done?: number; tally?: Tally }) => {
      if (message.done !== undefined) onProgress(message.done);
      if (message.tally !== undefined) resolve(message.tally);
    });
  });
}

interface Played {
  /** The first seed, and the last one. */
  readonly from: number;
  readonly to: number;
  readonly ms: number;
  readonly cpuMs: number;
}

function summary(
  { schedules, projects: played, faults, paths, violations }: Tally,
  { from, to, ms, cpuMs }: Played,
): void {
  const rate = (over: number): string => Math.round((schedules / over) * 1000).toLocaleString("en");
  print(`${schedules.toLocaleString("en")} schedules, of the seeds ${from} to ${to}, in ${(ms / 1000).toFixed(1)} s:`);
  print(`${rate(ms)} a second, ${rate(cpuMs)} a second of processor time`);
  list("projects", played);
  list("faults", faults);
  list("paths", paths);
  print(
    violations.length === 0
      ? "no violation"
      : `${violations.length} violations, at seeds ${violations.map(({ seed }) => seed).join(", ")}`,
  );
}

function list(title: string, counts: Counts): void {
  print(`${title}:`);
  const sorted = Object.entries(counts).sort(([, one], [, other]) => other - one);
  for (const [name, count] of sorted) print(`  ${count.toLocaleString("en").padStart(12)}  ${name}`);
}

async function one(seed: number, trace: boolean): Promise<boolean> {
  const project = projects();
  const schedule = scheduleOf(seed, project);
  const { violation, world } = await play(schedule, project(schedule.project), { traced: trace });
  if (trace) for (const line of world.trace) print(line);
  print(violation === undefined ? `seed ${seed} (${schedule.project}): no violation` : `seed ${seed}: ${violation}`);
  if (violation !== undefined) await cutDown(schedule, violation, true);
  return violation === undefined;
}

/** Ids and numbers differ between a schedule and a smaller one that shows the same. */
function gist(violation: string): string {
  return violation.replaceAll(/[0-9a-f]{12,}|#\d+|\d{4}-?\d\d-?\d\d|\d+/g, "…").slice(0, 60);
}

async function cutDown(schedule: Schedule, violation: string, show: boolean): Promise<void> {
  const project = projects();
  const wanted = gist(violation);
  const small = await shrink(schedule, async (candidate) => {
    const played = await play(candidate, project(candidate.project));
    return played.violation !== undefined && gist(played.violation) === wanted;
  });
  const { acts, disturbances } = sizeOf(small);
  print(`cut down to ${acts} acts and ${disturbances} disturbances:`);
  print(JSON.stringify(small));
  if (!show) return;
  const { world, violation: found } = await play(small, project(small.project), { traced: true });
  for (const line of world.trace) print(`  ${line}`);
  print(`  ${found ?? "no violation"}`);
}

async function prove(): Promise<void> {
  Error.stackTraceLimit = 0;
  const lines = await guardsTable(projects(), (name) => void process.stderr.write(`${name}\n`));
  const text = await readFile(DOCUMENT, "utf8");
  const [begin, end] = [text.indexOf(GUARDS.begin), text.indexOf(GUARDS.end)];
  if (begin < 0 || end < begin) throw new Error(`docs/reliability.md lacks ${GUARDS.begin} and ${GUARDS.end}`);
  const made = `${text.slice(0, begin)}${GUARDS.begin}\n\n${lines.join("\n")}\n\n${text.slice(end)}`;
  await writeFile(DOCUMENT, made);
  for (const line of lines) print(line);
}

if (options.guards) await prove();
else {
  const { seed, from, seeds, jobs, trace } = options;
  if (!(seed === undefined ? await many(from, seeds, jobs) : await one(seed, trace))) process.exitCode = 1;
}
