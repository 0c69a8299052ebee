import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { playSeeds } from "./batch.ts";
import { corpus } from "./corpus.ts";
import { guards } from "./guards.ts";
import { play } from "./play.ts";
import { IMPORT, projects } from "./projects.ts";
import { GUARD_BOUND } from "./prove.ts";
import { MOODS, scheduleOf } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { shrink, sizeOf } from "./shrink.ts";

const FRESH = 600;

describe("under every schedule: exactly once, and nothing lost", () => {
  test(`${FRESH} seeds that nobody has chosen`, async (t) => {
    const from = Math.floor(Math.random() * 1e9);
    const { violations } = await playSeeds({ from, seeds: FRESH, atMost: 1 });
    const [first] = violations;
    assert.equal(first, undefined, `npm run simulate -- --seed ${first?.seed} --trace: ${first?.what}`);
    t.diagnostic(`from seed ${from}`);
  });

  // A world in which nothing ever goes wrong would prove nothing. Of seeds left to chance, a few hundred may lack what is rare.
  test(`${FRESH} seeds lead everywhere`, async () => {
    const { violations, paths, faults } = await playSeeds({ from: 0, seeds: FRESH, atMost: 1 });
    assert.deepEqual(violations, []);
    for (const needed of [
      "materialization",
      "takeover of another run's partition",
      "run taken up again",
      "intent settled: rolled-forward",
      "intent settled: closed",
      "request coalesced or kept",
      "run skipped: superseded",
      "run skipped: unchanged",
      "run skipped: incomplete",
      "run failed: check-failed",
      "run restarted, its inputs changed",
      "object.deleted",
      "partition.sealed",
      "backfill ended: done",
      "run.canceled",
      "run canceled too late",
      "asset.paused",
      "asset.resumed",
      "request kept for the end of a pause",
      "version stored",
    ])
      assert.ok((paths[needed] ?? 0) > 0, `no schedule has led to: ${needed}`);
    for (const needed of [
      "crash, request made",
      "crash, request not made",
      "late request lands",
      "twice",
      "drop",
      "fail",
      "steal",
      "cancel answered: asked",
      "cancel answered: asked-before",
      "cancel answered: ended",
      "canceled, and asked for again",
    ])
      assert.ok((faults[needed] ?? 0) > 0, `no schedule had this fault: ${needed}`);
  });

  test("the seeds of rare projects lead where only they can", async () => {
    const only = ["pool of one", "pool of two", "single run", "stored"];
    const { violations, paths } = await playSeeds({ from: 0, seeds: 2_500, only, atMost: 1 });
    assert.deepEqual(violations, []);
    for (const needed of [
      "run parked: pool-full",
      "range made by a single run",
      "partition recorded by a single run",
      "version stored",
    ])
      assert.ok((paths[needed] ?? 0) > 0, `no schedule has led to: ${needed}`);
  });

  for (const { title, schedule } of corpus) {
    test(`once failed: ${title}`, async () => {
      const { violation, world } = await play(schedule, projects()(schedule.project), { traced: true });
      assert.equal(violation, undefined, world.trace.join("\n"));
    });
  }
});

describe("a whole day without a single notification", () => {
  for (const name of ["incremental", "incremental count", "overwrite marker", "by day", "appended", "rows", "renamed"])
    test(`is loaded all the same: ${name}`, async () => {
      const project = projects()(name);
      const parts = project.marker ? ([...project.parts, "marker"] as const) : project.parts;
      const acts = [1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((day) =>
        parts.map((part) => ({ at: day, act: { do: "write", day, part, silent: true } as const })),
      );
      const common = { project: name, sensor: false, skews: [0, 0], mood: 0, sweepsLast: false } as const;
      const { violation, world } = await play({ ...common, acts, choices: [] }, project, { traced: true });
      assert.equal(violation, undefined, world.trace.join("\n"));
      const loaded = world.documents.events.filter(({ type, asset }) => type === "materialized" && asset === IMPORT);
      // Where each interval replaces the one before, those that came too late are passed over.
      assert.ok(name.startsWith("overwrite") ? loaded.length >= 1 : loaded.length === 9, `${loaded.length}`);
      assert.ok(world.trace.some((line) => line.includes("sweepBuckets")));
    });
});

describe("a seed says all", () => {
  test("the same seed plays the same schedule to the same end", async () => {
    for (const seed of [7, 99, 1234, 31337]) {
      const first = await tracedEnd(seed);
      assert.deepEqual(await tracedEnd(seed), first);
      assert.ok(first.trace.length > 3);
    }
  });

  test("every mood, every project and both clocks come up", () => {
    const project = projects();
    const schedules = Array.from({ length: 1_000 }, (_, seed) => scheduleOf(seed, project));
    assert.equal(new Set(schedules.map(({ mood }) => mood)).size, MOODS.length);
    assert.equal(new Set(schedules.map(({ skews }) => skews[1])).size, 3);
    assert.ok(new Set(schedules.map((schedule) => schedule.project)).size > 15);
  });

  test("a failing schedule is cut down to one that fails alike and is short", async () => {
    const project = projects();
    const guard = guards.find(({ name }) => name === "second look at inputs");
    assert.ok(guard !== undefined);
    const fails = async (schedule: Schedule): Promise<boolean> => {
      const { violation } = await play(schedule, project(schedule.project), { sabotage: guard.sabotage() });
      return violation?.includes("but its inputs are") === true;
    };
    let seed = 0;
    while (!(await fails(scheduleOf(seed, project)))) seed++;
    const small = await shrink(scheduleOf(seed, project), fails, 200);
    assert.ok(await fails(small));
    const { acts, disturbances } = sizeOf(small);
    assert.ok(acts <= 6 && disturbances <= 8, JSON.stringify(small));
  });
});

describe("the proof can fail: without a guard, something is found", async () => {
  const text = await readFile(new URL("../../docs/reliability.md", import.meta.url), "utf8");
  for (const guard of guards) {
    test(guard.name, async () => {
      const row = text.split("\n").find((line) => line.split("|")[1]?.trim() === guard.name);
      const seed = Number(row?.split("|")[3]);
      const remedy = "run npm run simulate -- --guards";
      assert.ok(Number.isSafeInteger(seed) && seed < GUARD_BOUND, `docs/reliability.md has no seed for it: ${remedy}`);
      const project = projects();
      const schedule = scheduleOf(seed, project);
      const played = await play(schedule, project(schedule.project), { sabotage: guard.sabotage() });
      assert.ok(played.violation !== undefined, `seed ${seed} finds nothing any more: ${remedy}`);
      const honest = await play(schedule, project(schedule.project));
      assert.equal(honest.violation, undefined, "the same schedule fails with the guard as well");
    });
  }
});

async function tracedEnd(seed: number) {
  const project = projects();
  const schedule = scheduleOf(seed, project);
  const { world, violation } = await play(schedule, project(schedule.project), { traced: true });
  return { trace: world.trace, violation, events: world.documents.events.map(({ id }) => id) };
}
