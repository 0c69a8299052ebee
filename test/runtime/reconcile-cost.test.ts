/** What reconciling costs where nothing is due: as much with a hundred thousand partitions as with a hundred; and what it finds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isTime } from "../../lib/runtime/sweep-buckets.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { costOf, dayOf, quietProject } from "../support/quiet-project.ts";
import type { QuietProject, Size } from "../support/quiet-project.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const killed = new Error("killed");

async function setUp(size: Size, ports: Partial<Parameters<typeof quietProject>[1]> = {}) {
  const clock = virtualClock();
  const events = memoryEventStore();
  const project = await quietProject(size, { clock, events, ...ports });
  return { ...project, clock, events };
}

/** As the function `reconcile` does, once a minute. */
async function sweep({ runtime }: Pick<QuietProject, "runtime">): Promise<void> {
  await runtime.sweepDue();
  await runtime.sweepBuckets();
}

/** How many sweeps it takes until everything was listed once. */
async function firstPass(project: Awaited<ReturnType<typeof setUp>>): Promise<number> {
  for (let sweeps = 1; ; sweeps++) {
    await sweep(project);
    if (await project.passed()) return sweeps;
    await project.clock.advance(MINUTE);
  }
}

test("nothing due: as many reads with a hundred thousand partitions as with a hundred, some pages, and no message", async (t) => {
  const worst: Record<"reads" | "writes" | "pages" | "messages", number>[] = [];
  for (const [assets, partitions] of [
    [10, 10],
    [100, 30],
    [1_000, 100],
  ] as const) {
    const project = await setUp({ assets, partitions });
    assert.equal(await firstPass(project), 1 + Math.floor((assets * partitions) / 10_000));
    // What was never listed before is announced once, whatever its age.
    assert.equal(new Set(project.announced).size, assets * partitions);
    const most = { reads: 0, writes: 0, pages: 0, messages: 0 };
    let pages = 0;
    for (let minutes = 0; minutes < 120; minutes++) {
      await project.clock.advance(MINUTE);
      const cost = await costOf(project, () => sweep(project));
      pages += cost.pages;
      for (const name of ["reads", "writes", "pages", "messages"] as const)
        most[name] = Math.max(most[name], cost[name]);
    }
    worst.push(most);
    // All of it was listed again meanwhile.
    assert.ok(pages >= (assets * partitions) / 1_000);
  }
  const [small] = worst;
  t.diagnostic(`the most in one sweep: ${JSON.stringify(worst)}`);
  for (const { reads, pages, messages } of worst) {
    assert.ok(reads <= (small?.reads ?? 0) + 10, `each page of a slice keeps its place: ${JSON.stringify(worst)}`);
    assert.ok(reads <= 20, JSON.stringify(worst));
    assert.ok(pages <= 70, JSON.stringify(worst));
    assert.equal(messages, 0, JSON.stringify(worst));
  }
});

test("all finalize events of a day are lost: each of its objects is announced within the day, and soon", async () => {
  const assets = 300;
  const project = await setUp({ assets, partitions: 60 });
  await firstPass(project);
  await project.clock.advance(HOUR);
  project.announced.length = 0;
  const day = dayOf(project.clock.now());
  const wanted = new Set<string>();
  for (let index = 0; index < assets; index++) {
    project.drop(index, day);
    wanted.add(`drops-${index % 10}/data/n${String(index).padStart(6, "0")}/${day}.parquet#2`);
  }
  let sweeps = 0;
  while (!wanted.isSubsetOf(new Set(project.announced))) {
    assert.ok(++sweeps <= 30, `${new Set(project.announced).size} of ${wanted.size} were announced`);
    await project.clock.advance(MINUTE);
    await sweep(project);
  }
  assert.deepEqual(new Set(project.announced), wanted, "and nothing else");
  // Should that be lost as well: again and again, ever more rarely.
  for (const hours of [2, 8, 32, 128]) {
    project.announced.length = 0;
    for (let times = 0; times < 20; times++) {
      await project.clock.advance((hours * HOUR) / 8);
      await project.runtime.sweepBuckets();
    }
    assert.ok(wanted.isSubsetOf(new Set(project.announced)), `${hours}`);
    const repeated = project.announced.filter((object) => wanted.has(object)).length;
    assert.ok(repeated <= 6 * wanted.size, `${repeated} announcements, ${hours}`);
  }
});

test("recent intervals are listed in each sweep, wherever a long pass is", async () => {
  const project = await setUp({ assets: 20, partitions: 2_000 });
  await project.runtime.sweepBuckets();
  assert.equal(await project.passed(), false);
  const day = dayOf(project.clock.now());
  for (let index = 0; index < 20; index++) project.drop(index, day);
  project.announced.length = 0;
  await project.clock.advance(MINUTE);
  await project.runtime.sweepBuckets();
  const found = project.announced.filter((object) => object.endsWith("#2"));
  assert.equal(new Set(found).size, 20);
});

test("a sweep that takes long stops, and the next one goes on from there", async () => {
  let listed = 0;
  const clock = virtualClock();
  let late = 0;
  const slow = { ...clock, now: () => clock.now() + late };
  const project = await quietProject(
    { assets: 10, partitions: 200 },
    {
      clock: slow,
      events: memoryEventStore(),
      onListed: () => {
        listed += 1;
        late += 100;
      },
    },
  );
  let sweeps = 0;
  do {
    assert.ok(++sweeps <= 12);
    const before = listed;
    await project.runtime.sweepBuckets();
    assert.ok(listed - before <= 202, "20 seconds are over");
  } while (!(await project.passed()));
  assert.ok(sweeps >= 9);
  assert.equal(new Set(project.announced).size, 2_000);
});

test("whoever is killed in every sweep comes to the end all the same, and nothing is passed over", async () => {
  let left = Infinity;
  const events = memoryEventStore();
  const project = await setUp(
    { assets: 50, partitions: 100 },
    {
      // The dead write nothing down any more.
      events: { ...events, transact: (...args) => (left <= 0 ? Promise.reject(killed) : events.transact(...args)) },
      onListed: () => {
        if (left-- <= 0) throw killed;
      },
    },
  );
  let sweeps = 0;
  do {
    assert.ok(++sweeps < 20);
    left = 1_300;
    await project.runtime.sweepBuckets().catch(() => undefined);
  } while (!(await project.passed()));
  assert.ok(sweeps >= 4);
  assert.equal(new Set(project.announced).size, 5_000);
});

test("a bucket that cannot be listed, or nobody told of, holds up no other; then all of it is found", async () => {
  let denied = "drops-2";
  let unknown = "drops-4";
  const project = await setUp(
    { assets: 10, partitions: 3 },
    {
      onListed: (bucket) => {
        if (bucket === denied) throw new Error(`${bucket} may not be listed`);
      },
      onPublish: (bucket) => {
        if (bucket === unknown) throw new Error(`the topic of ${bucket} is gone`);
      },
    },
  );
  const sweepFailing = () => assert.rejects(project.runtime.sweepBuckets(), /drops-2 may not be listed/);
  const day = dayOf(project.clock.now());
  await sweepFailing();
  assert.equal(new Set(project.announced).size, 24, "all of the other eight");
  await project.clock.advance(HOUR);
  project.announced.length = 0;
  for (let index = 0; index < 10; index++) project.drop(index, day);
  // Long enough for what is new to grow old: nothing of the two is found only when its age has doubled once more.
  for (let minutes = 0; minutes < 11; minutes++) {
    await sweepFailing();
    await project.clock.advance(MINUTE);
  }
  assert.equal(new Set(project.announced).size, 8);
  [denied, unknown] = ["", ""];
  project.announced.length = 0;
  await project.runtime.sweepBuckets();
  const found = new Set(project.announced.filter((object) => /^drops-[24]/.test(object)));
  assert.equal(found.size, 8, [...found].join(" "));
  project.announced.length = 0;
  await project.clock.advance(MINUTE);
  await project.runtime.sweepBuckets();
  assert.deepEqual(project.announced, [], "and it is over");
});

test("an object is announced while it is young, and once whenever its age has doubled, however often it is looked at", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: MINUTE, max: 6 * HOUR }), { minLength: 300, maxLength: 600 }), (steps) => {
      const updated = Date.UTC(2024, 0, 1);
      let before = updated - DAY;
      let now = before;
      const ages: number[] = [];
      for (const step of steps) {
        now += step;
        if (now < updated) continue;
        if (isTime(updated, before, now)) ages.push(now - updated);
        before = now;
      }
      const grown = ages.filter((age) => age >= 20 * MINUTE);
      const age = now - updated;
      if (age < HOUR) return;
      const doublings = Math.log2(age / (10 * MINUTE));
      assert.ok(grown.length <= doublings + 2, `${grown.length} times in ${doublings} doublings`);
      const last = ages.at(-1) ?? 0;
      assert.ok(age < last * 2 + 6 * HOUR, `last at ${last}, and now it is ${age}`);
    }),
    { numRuns: 100 },
  );
});
