import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { appendFile, cp, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type BucketWatcher, type BucketWatcherOptions, watchBuckets } from "../../lib/local/bucket-watcher.ts";
import { type FolderObjectStore, folderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";

const settleMs = 100;
const clock = systemClock();

interface Watched {
  readonly root: string;
  readonly store: FolderObjectStore;
  readonly watcher: BucketWatcher;
  readonly reports: ObjectInfo[];
  readonly errors: string[];
  /** What the store and the watcher take for the time; the machine's unless a test says otherwise. */
  readonly time: { now(): number };
  /** While this is done no file counts as finished, however long the machine takes for it. */
  unfinished<T>(act: () => Promise<T>): Promise<T>;
  /** Writes a file by hand, with the folders above it; it is not finished before that. */
  drop(path: string, content: string): Promise<void>;
  /** The reported objects as `bucket/name`, sorted. */
  reported(): string[];
}

async function watched(
  t: TestContext,
  options: Partial<BucketWatcherOptions> = {},
  drops: readonly string[] = [],
): Promise<Watched> {
  const root = await mkdtemp(join(tmpdir(), "sluice-watch-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  let acts = 0;
  const unfinished = async <T>(act: () => Promise<T>): Promise<T> => {
    acts += 1;
    return await act().finally(() => (acts -= 1));
  };
  const drop = (path: string, content: string) =>
    unfinished(async () => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    });
  for (const path of drops) await drop(path, path);
  if (drops.length > 0) await sleep(settleMs + 20);
  const reports: ObjectInfo[] = [];
  const errors: string[] = [];
  const onFinalized = async (object: ObjectInfo) => void reports.push(object);
  const time = { now: Date.now };
  const ownClock = { ...clock, now: () => time.now() };
  const store = folderObjectStore({ root, clock: ownClock, settleMs, onFinalized: (object) => watcher.report(object) });
  const look: FolderObjectStore["look"] = async (bucket, name) => {
    // Asked before and after, so that no look is at both a half written file and the end of its writing.
    const isUnfinished = acts > 0;
    const seen = await store.look(bucket, name);
    return seen && (isUnfinished || acts > 0) ? { ...seen, waitMs: settleMs } : seen;
  };
  const watcher = watchBuckets({
    store: { ...store, look },
    clock: ownClock,
    onFinalized,
    onError: (error) => errors.push(error.message),
    ...options,
  });
  t.after(() => watcher.close());
  const reported = () => reports.map(({ bucket, name }) => `${bucket}/${name}`).sort();
  return { root: store.root, store, watcher, reports, errors, time, unfinished, drop, reported };
}

function sleep(ms: number): Promise<void> {
  return clock.sleep(ms);
}

/** Waits for what should come, and then a little for what should not. */
async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  for (let turn = 0; !isTrue(); turn++) {
    assert.ok(turn < 24_000, `never came: ${what}`);
    await sleep(5);
  }
  await sleep(2 * settleMs);
}

test("what was there at the start is reported once before ready, and what comes later once it has settled", async (t) => {
  const w = await watched(t, {}, ["bucket-a/1", "bucket-a/deep/er/2", "bucket-b/3", "bucket-b/.hidden", "stray-file"]);
  await w.watcher.ready;
  assert.deepEqual(w.reported(), ["bucket-a/1", "bucket-a/deep/er/2", "bucket-b/3"]);
  await w.drop("bucket-a/4", "x");
  await w.drop("bucket-b/new/folder/5", "x");
  await w.drop("bucket-new/a/6", "x");
  await eventually(() => w.reports.length >= 6, "three more");
  assert.deepEqual(w.reported(), [
    "bucket-a/1",
    "bucket-a/4",
    "bucket-a/deep/er/2",
    "bucket-b/3",
    "bucket-b/new/folder/5",
    "bucket-new/a/6",
  ]);
  for (const object of w.reports) assert.deepEqual(await w.store.stat(object.bucket, object.name), object);
  assert.deepEqual(w.errors, []);
});

test("a file that is being written at the start is reported when it is whole", async (t) => {
  const w = await watched(t);
  await w.watcher.close();
  await w.drop("bucket/a", "half");
  w.time.now = () => statSync(join(w.root, "bucket/a")).ctimeMs;
  const reports: ObjectInfo[] = [];
  const watcher = watchBuckets({ ...silent, store: w.store, onFinalized: async (object) => void reports.push(object) });
  t.after(() => watcher.close());
  await watcher.ready;
  assert.deepEqual(reports, []);
  await appendFile(join(w.root, "bucket/a"), " whole");
  w.time.now = Date.now;
  await eventually(() => reports.length > 0, "the file");
  assert.deepEqual(
    reports.map(({ size }) => size),
    [10],
  );
});

const silent = { clock, onError: (error: Error) => assert.fail(error) };

test("a file that grows slowly is reported once, when it is whole, and again when it changes", async (t) => {
  const w = await watched(t, {}, ["bucket/other"]);
  await w.watcher.ready;
  const slow = join(w.root, "bucket/slow");
  // While it grows, no time passes after each of its changes, however slow the machine is.
  w.time.now = () => (existsSync(slow) ? statSync(slow).ctimeMs : Date.now());
  for (let part = 0; part < 12; part++) {
    await appendFile(slow, "0123456789");
    assert.equal(w.reports.length, 1, "reported while it was being written");
    await sleep(settleMs / 3);
  }
  w.time.now = Date.now;
  await eventually(() => w.reports.length > 1, "the whole file");
  assert.deepEqual(
    w.reports.slice(1).map(({ name, size }) => `${name} ${size}`),
    ["slow 120"],
  );
  await w.unfinished(() => writeFile(slow, "corrected"));
  await eventually(() => w.reports.length > 2, "the corrected file");
  assert.equal(w.reports.length, 3);
  assert.deepEqual([w.reports[2]?.size, w.reports[2]?.generation === w.reports[1]?.generation], [9, false]);
});

test("drops by rename, by cp of a file and of a tree, with old times, and by moving a whole folder in", async (t) => {
  const w = await watched(t, {}, ["bucket/first"]);
  const elsewhere = await mkdtemp(join(tmpdir(), "sluice-source-"));
  t.after(() => rm(elsewhere, { recursive: true, force: true }));
  await mkdir(join(elsewhere, "tree/x/y"), { recursive: true });
  for (const file of ["tree/1", "tree/x/2", "tree/x/y/3"]) await writeFile(join(elsewhere, file), "x");
  await writeFile(join(elsewhere, "large"), Buffer.alloc(30_000_000, "x"));
  await utimes(join(elsewhere, "large"), 1_000_000_000, 1_000_000_000);
  await w.watcher.ready;

  await w.unfinished(async () => {
    await w.drop("bucket/.renamed.tmp", "x");
    await rename(join(w.root, "bucket/.renamed.tmp"), join(w.root, "bucket/renamed"));
    const copying = spawn("cp", ["-p", join(elsewhere, "large"), join(w.root, "bucket/large")]);
    const copied = once(copying, "close");
    await cp(join(elsewhere, "tree"), join(w.root, "bucket/copied"), { recursive: true });
    await rename(join(elsewhere, "tree"), join(w.root, "bucket/moved"));
    await copied;
  });
  await eventually(() => w.reports.length >= 9, "all drops");
  const tree = ["1", "x/2", "x/y/3"];
  const expected = [
    "first",
    "large",
    "renamed",
    ...tree.map((name) => `copied/${name}`),
    ...tree.map((name) => `moved/${name}`),
  ];
  assert.deepEqual(w.reported(), expected.map((name) => `bucket/${name}`).sort());
  assert.equal(w.reports.find(({ name }) => name === "large")?.size, 30_000_000);
  assert.deepEqual(w.errors, []);
});

test("a thousand files at once are each reported once", async (t) => {
  const w = await watched(t, {}, ["bucket/first"]);
  await w.watcher.ready;
  const paths = Array.from({ length: 1000 }, (_, index) => `bucket/${index % 10}/${index}`);
  await Promise.all(paths.map((path) => w.drop(path, path)));
  await eventually(() => w.reports.length >= 1001, "a thousand files");
  assert.deepEqual(w.reported(), ["bucket/first", ...paths].sort());
});

test("writes of the store are reported at once and only once", async (t) => {
  const w = await watched(t);
  await w.watcher.ready;
  const written = await w.store.write("bucket", "a/b", [Buffer.from("x")]);
  assert.deepEqual(w.reports, [written]);
  const again = await w.store.write("bucket", "a/b", [Buffer.from("x")]);
  const first = await w.store.write("bucket", "a/c", [Buffer.from("x")], { ifGeneration: null });
  await sleep(4 * settleMs);
  await w.watcher.rescan();
  assert.deepEqual(w.reports, [written, again, first]);
});

test("folders that are deleted, moved and made again stay watched, and nothing breaks", async (t) => {
  const w = await watched(t, {}, ["bucket/d/1", "bucket/e/f/2"]);
  await w.watcher.ready;
  await w.unfinished(async () => {
    for (let round = 0; round < 5; round++) {
      await rm(join(w.root, "bucket/d"), { recursive: true });
      await w.drop("bucket/d/1", `round ${round}`);
    }
    await rename(join(w.root, "bucket/e"), join(w.root, "bucket/g"));
    await w.drop("bucket/gone", "x");
    await rm(join(w.root, "bucket/gone"));
  });
  await eventually(
    () => w.reported().includes("bucket/g/f/2") && w.reports.length >= 4,
    "the last round and the moved file",
  );
  await w.drop("bucket/g/f/3", "x");
  await w.drop("bucket/d/4", "x");
  await eventually(() => w.reports.length >= 6, "drops in both folders");
  assert.deepEqual(w.reported(), [
    "bucket/d/1",
    "bucket/d/1",
    "bucket/d/4",
    "bucket/e/f/2",
    "bucket/g/f/2",
    "bucket/g/f/3",
  ]);

  await rm(join(w.root, "bucket"), { recursive: true });
  await sleep(settleMs);
  await w.drop("bucket/back", "x");
  await eventually(() => w.reports.length >= 7, "the bucket that came back");
  assert.deepEqual(w.errors, []);
});

test("folders that are gone are not watched any longer", async (t) => {
  const w = await watched(t, {}, ["bucket/keep/1"]);
  await w.watcher.ready;
  const watches = () => process.getActiveResourcesInfo().filter((kind) => kind === "FSEventWrap").length;
  const before = watches();
  assert.ok(before >= 3, `${before} watches: of the root, the bucket and its folder`);
  for (let index = 0; index < 20; index++) await mkdir(join(w.root, `bucket/gone/${index}/deep`), { recursive: true });
  await eventually(() => watches() === before + 41, "a watch for each new folder");
  await rm(join(w.root, "bucket/gone"), { recursive: true });
  await eventually(() => watches() === before, "the end of these watches");
});

test("a file that changes while its report is under way is reported again", async (t) => {
  const sizes: number[] = [];
  const w: Watched = await watched(t, {
    onFinalized: async ({ size }) => {
      sizes.push(size);
      if (sizes.length === 1) await w.drop("bucket/a", "corrected");
      await sleep(2 * settleMs);
    },
  });
  await w.watcher.ready;
  await w.drop("bucket/a", "x");
  await eventually(() => sizes.length >= 2, "the correction");
  assert.deepEqual(sizes, [1, 9]);
});

test("only the buckets that are asked for are watched, as they are asked for", async (t) => {
  const wanted = ["bucket-a"];
  const w = await watched(t, { buckets: () => wanted }, ["bucket-a/1", "bucket-b/2"]);
  await w.watcher.ready;
  await w.drop("bucket-b/3", "x");
  await w.drop("bucket-a/4", "x");
  await eventually(() => w.reports.length >= 2, "both of a");
  assert.deepEqual(w.reported(), ["bucket-a/1", "bucket-a/4"]);
  wanted.push("bucket-b");
  await w.watcher.rescan();
  assert.deepEqual(w.reported(), ["bucket-a/1", "bucket-a/4", "bucket-b/2", "bucket-b/3"]);
  await w.drop("bucket-b/5", "x");
  await eventually(() => w.reports.length >= 5, "the new one of b");
});

test("what can be no object gets one clear line, and everything else goes on", async (t) => {
  const w = await watched(t, {}, ["bucket/a\nb", "bucket/good"]);
  await w.watcher.ready;
  await symlink(join(w.root, "bucket/good"), join(w.root, "bucket/link"));
  await w.drop("bucket/c\\d/e", "x");
  await w.drop("bucket/日本 *.parquet", "x");
  await eventually(() => w.reports.length >= 2, "the good one");
  await w.watcher.rescan();
  assert.deepEqual(w.reported(), ["bucket/good", "bucket/日本 *.parquet"]);
  assert.deepEqual(
    new Set(w.errors.map((line) => line.split(" is ignored: ")[0])),
    new Set(['"bucket/a\\nb"', '"bucket/c\\\\d"', '"bucket/link"']),
  );
  assert.equal(w.errors.length, 3);
  assert.ok(w.errors.every((line) => !line.includes("\n")));
});

test("an announcement that fails is an error and is made again", async (t) => {
  let failing = true;
  const heard: string[] = [];
  const onFinalized = async ({ name }: ObjectInfo) => {
    heard.push(name);
    if (failing) throw new Error("the bus is full");
  };
  const w = await watched(t, { onFinalized }, ["bucket/a"]);
  await w.watcher.ready;
  assert.deepEqual(w.errors, ["gs://bucket/a could not be announced: the bus is full"]);
  failing = false;
  await w.watcher.rescan();
  await w.watcher.rescan();
  assert.deepEqual(heard, ["a", "a"]);
});

test("nothing is reported after close, which waits for the report under way", async (t) => {
  let ended = 0;
  const begun = Promise.withResolvers<void>();
  const w = await watched(t, {
    onFinalized: async () => {
      begun.resolve();
      await sleep(150);
      ended++;
    },
  });
  await w.watcher.ready;
  await w.drop("bucket/a", "x");
  await begun.promise;
  await w.unfinished(async () => {
    await w.drop("bucket/b", "x");
    await w.watcher.close();
  });
  assert.equal(ended, 1);
  await w.drop("bucket/c", "x");
  await w.store.write("bucket", "d", []);
  await sleep(3 * settleMs);
  assert.equal(ended, 1);
  await w.watcher.close();
});

test("a file is reported once it has settled, and not before", async (t) => {
  const arrived = new Map<string, number>();
  const w = await watched(t, { onFinalized: async ({ name }) => void arrived.set(name, Date.now()) }, ["bucket/first"]);
  await w.watcher.ready;
  const finished = new Map<string, number>();
  for (let index = 0; index < 60; index++) {
    await w.drop(`bucket/${index}`, "x");
    // The file's own time: this process may come to look at the clock a good while after it has written.
    finished.set(`${index}`, (await stat(join(w.root, `bucket/${index}`))).ctimeMs);
    await sleep(7);
  }
  await eventually(() => arrived.size >= 61, "all");
  const beyond = [...finished]
    .map(([name, at]) => (arrived.get(name) ?? Infinity) - at - settleMs)
    .sort((a, b) => a - b);
  assert.ok((beyond[0] ?? NaN) >= -15, `reported ${beyond[0]} ms too early`);
  t.diagnostic(`after it had settled: median ${beyond[30]?.toFixed(1)} ms`);
});
