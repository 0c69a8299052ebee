import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import {
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import { inspectFile } from "../../lib/local/folder-file.ts";
import { type FolderObjectStoreOptions, folderObjectStore } from "../../lib/local/folder-object-store.ts";
import { readFolder, walkObjects } from "../../lib/local/folder-walk.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import { objectStoreConformance } from "../ports/object-store-conformance.ts";

objectStoreConformance({
  name: "folder",
  async open(context) {
    // So long that nothing is seen because of its age.
    const { store } = await openStore(context, { settleMs: 3_600_000 });
    return { store, bucket: "conformance" };
  },
  deviations: {
    "long-segments": "file systems hold at most 255 bytes between two slashes",
    "object-and-folder": "a file and a folder cannot have the same name",
  },
});

const bucket = "bucket";

async function openStore(context: TestContext, options: Partial<FolderObjectStoreOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), "sluice-store-"));
  context.after(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, bucket));
  const store = folderObjectStore({ root, clock: systemClock(), ...options });
  return { root: store.root, folder: join(store.root, bucket), store };
}

/** A clock that stands `offset` beside the real one. */
function shifted() {
  const real = systemClock();
  const clock: Clock & { offset: number } = { offset: 0, now: () => real.now() + clock.offset, sleep: real.sleep };
  return clock;
}

async function names(listing: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of listing) found.push(name);
  return found;
}

async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts).toString();
}

const bytes = (content: string) => [Buffer.from(content)];

test("a file dropped by hand is an object once it has not changed for the settling time", async (t) => {
  const clock = shifted();
  const { folder, store } = await openStore(t, { clock, settleMs: 60_000 });
  await writeFile(join(folder, "drop"), "half");
  assert.equal(await store.stat(bucket, "drop"), undefined);
  assert.deepEqual(await names(store.list(bucket)), []);
  await assert.rejects(
    text(store.read(bucket, "drop")),
    (error) => error instanceof PermanentError && error.code === "not-found",
  );
  const waiting = await store.look(bucket, "drop");
  assert.ok(waiting !== undefined && waiting.waitMs > 50_000 && waiting.waitMs <= 60_000);

  clock.offset = 60_001;
  assert.equal((await store.look(bucket, "drop"))?.waitMs, 0);
  const whole = await store.stat(bucket, "drop");
  assert.deepEqual(whole, waiting.object);
  assert.equal(await text(store.read(bucket, "drop")), "half");

  await writeFile(join(folder, "drop"), "whole");
  clock.offset = 0;
  assert.equal(await store.stat(bucket, "drop"), undefined);
  clock.offset = 60_001;
  assert.notEqual((await store.stat(bucket, "drop"))?.generation, whole?.generation);
});

test("who knows the generation of an object need not wait for it again, also after another process wrote it", async (t) => {
  const settleMs = 3_600_000;
  const { root, store } = await openStore(t, { settleMs });
  const { generation } = await store.write(bucket, "kept", bytes("one"));
  const next = folderObjectStore({ root, clock: systemClock(), settleMs });
  assert.equal(await next.stat(bucket, "kept"), undefined);
  assert.equal(await text(next.read(bucket, "kept", { generation })), "one");
  const second = await next.write(bucket, "kept", bytes("two"), { ifGeneration: generation });
  const last = folderObjectStore({ root, clock: systemClock(), settleMs });
  assert.equal(await last.delete(bucket, "kept", generation), "changed");
  assert.equal(await last.delete(bucket, "kept", second.generation), "deleted");
  assert.equal(await last.delete(bucket, "kept", second.generation), "missing");
});

test("a modification time in the future, as copy tools leave it, holds nothing up; nor does a clock that was set back", async (t) => {
  const clock = shifted();
  const { folder, store } = await openStore(t, { clock, settleMs: 60_000 });
  await writeFile(join(folder, "drop"), "x");
  await utimes(join(folder, "drop"), 4_000_000_000, 4_000_000_000);
  assert.equal(await store.stat(bucket, "drop"), undefined);
  clock.offset = 60_001;
  assert.ok(await store.stat(bucket, "drop"));
  clock.offset = -3_600_000;
  assert.ok(await store.stat(bucket, "drop"));
});

test("every way to exchange a file changes its generation", async (t) => {
  const { folder, store } = await openStore(t, { settleMs: 0 });
  const path = join(folder, "file");
  const old = new Date("2024-05-01T00:00:00Z");
  const ways: readonly (readonly [string, () => Promise<void>])[] = [
    ["written", () => writeFile(path, "one")],
    ["overwritten with as many bytes", () => writeFile(path, "two")],
    [
      "copied over with its old times",
      async () => {
        await writeFile(join(folder, ".other"), "six");
        await copyFile(join(folder, ".other"), path);
        await utimes(path, old, old);
      },
    ],
    [
      "the same again",
      async () => {
        await copyFile(join(folder, ".other"), path);
        await utimes(path, old, old);
      },
    ],
    [
      "moved away and back",
      async () => {
        await rename(path, join(folder, ".away"));
        await rename(join(folder, ".away"), path);
      },
    ],
    [
      "replaced by a link",
      async () => {
        await rm(path);
        await link(join(folder, ".other"), path);
      },
    ],
  ];
  const seen = new Set<string>();
  for (const [way, act] of ways) {
    await act();
    const generation = (await store.stat(bucket, "file"))?.generation ?? "";
    assert.match(generation, /^[0-9]{1,19}$/);
    assert.ok(!seen.has(generation), way);
    seen.add(generation);
    // So that the kernel's clock ticks, which it has done long before a file dropped by hand has settled.
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
});

test("no two writes have one modification time, however coarse the kernel's clock is", async (t) => {
  const now = 1_700_000_000_000;
  const { store } = await openStore(t, { clock: { ...systemClock(), now: () => now } });
  const times = new Set<bigint>();
  for (let index = 0; index < 50; index++) {
    await store.write(bucket, `a${index % 5}`, bytes("x"));
    times.add((await stat(store.pathOf(bucket, `a${index % 5}`), { bigint: true })).mtimeNs);
  }
  assert.equal(times.size, 50);
  for (const time of times) assert.equal(Number(time / 1_000_000n), now, "the time is the kernel's, not the store's");
});

test("a generation is the same after a restart", async (t) => {
  const { root, store } = await openStore(t);
  const written = await store.write(bucket, "a", bytes("x"));
  const other = folderObjectStore({ root, clock: { ...systemClock(), now: () => Date.now() + 1000 } });
  assert.deepEqual(await other.stat(bucket, "a"), written);
});

test("dot-files, links, pipes and folders are no objects, and links are not followed", async (t) => {
  const { root, folder, store } = await openStore(t, { settleMs: 0 });
  const outside = await mkdtemp(join(tmpdir(), "sluice-outside-"));
  t.after(() => rm(outside, { recursive: true, force: true }));
  await writeFile(join(outside, "secret"), "secret");
  await mkdir(join(folder, "empty", "deep"), { recursive: true });
  await mkdir(join(folder, ".git"));
  for (const file of [".DS_Store", ".x.swp", ".git/config", "real"]) await writeFile(join(folder, file), "x");
  await symlink(join(outside, "secret"), join(folder, "link"));
  await symlink(outside, join(folder, "linked"));
  await symlink(outside, join(root, "linked-bucket"));
  const mkfifo = spawn("mkfifo", [join(folder, "pipe")]);
  await once(mkfifo, "close");

  assert.deepEqual(await names(store.list(bucket)), ["real"]);
  assert.deepEqual(await names(store.list(bucket, { prefix: "linked/" })), []);
  assert.deepEqual(await names(store.list("linked-bucket")), []);
  for (const [from, name] of [
    [bucket, "link"],
    [bucket, "linked/secret"],
    ["linked-bucket", "secret"],
    [bucket, "empty"],
    [bucket, "pipe"],
    [bucket, ".DS_Store"],
  ] as const) {
    assert.equal(await store.stat(from, name), undefined, name);
    await assert.rejects(
      text(store.read(from, name)),
      (error) => error instanceof PermanentError && error.code === "not-found",
      name,
    );
    assert.equal(await store.delete(from, name, "1"), "missing", name);
  }
  await assert.rejects(store.write(bucket, "linked/deep/new", bytes("x")), /symbolic link/);
  await assert.rejects(store.write("linked-bucket", "new", bytes("x")), /symbolic link/);
  assert.deepEqual(await readdir(outside), ["secret"]);
  await store.write(bucket, "link", bytes("mine"));
  assert.equal(readFileSync(join(outside, "secret"), "utf8"), "secret");
});

test("an empty folder gives way to an object of its name", async (t) => {
  const { folder, store } = await openStore(t);
  await mkdir(join(folder, "a"));
  await mkdir(join(folder, "b"));
  await store.write(bucket, "a", bytes("x"));
  await store.write(bucket, "b", bytes("x"), { ifGeneration: null });
  assert.deepEqual(await names(store.list(bucket)), ["a", "b"]);
});

test("a listing reads only the folders that can hold what is asked for", async (t) => {
  const { folder, store } = await openStore(t);
  for (const name of [
    "2024.txt",
    "2024/05/a/f",
    "2024/05/deep/b/f",
    "2024/06/c/f",
    "2024/07/d/f",
    "2025/01/e/f",
    "x",
  ]) {
    await store.write(bucket, name, bytes("x"));
  }
  const read = async (options: { prefix?: string; startAfter?: string }) => {
    const folders: string[] = [];
    const counting = (path: string) => {
      folders.push(path.slice(folder.length + 1));
      return readFolder(path);
    };
    for await (const _file of walkObjects({ folder, ...options, readFolder: counting }));
    return folders;
  };
  assert.deepEqual(await read({ prefix: "2024/05/" }), ["2024/05", "2024/05/a", "2024/05/deep", "2024/05/deep/b"]);
  assert.deepEqual(await read({ prefix: "2024/05/d" }), ["2024/05", "2024/05/deep", "2024/05/deep/b"]);
  assert.deepEqual(await read({ prefix: "2024/05/deep/b/f" }), ["2024/05/deep/b"]);
  assert.deepEqual(await read({ prefix: "none/of/this" }), ["none/of"]);
  assert.deepEqual(await read({ startAfter: "2024/07/d/f" }), [
    "",
    "2024",
    "2024/07",
    "2024/07/d",
    "2025",
    "2025/01",
    "2025/01/e",
  ]);
  assert.deepEqual(await read({ prefix: "2024/", startAfter: "2024/06/z" }), [
    "2024",
    "2024/06",
    "2024/07",
    "2024/07/d",
  ]);
  assert.deepEqual(await read({ prefix: "2024/", startAfter: "2025" }), []);
});

test("what vanishes during a listing is left out", async (t) => {
  const { folder, store } = await openStore(t);
  for (const name of ["a/1", "b/1", "c/1", "d/1"]) await store.write(bucket, name, bytes("x"));
  const seen: string[] = [];
  const vanishing = async (path: string) => {
    const entries = await readFolder(path);
    if (path === folder) await rm(join(folder, "b"), { recursive: true });
    if (path === join(folder, "c")) await rm(join(folder, "c/1"));
    return entries;
  };
  for await (const { name, path } of walkObjects({ folder, readFolder: vanishing })) {
    if ((await inspectFile(path)) !== undefined) seen.push(name);
  }
  assert.deepEqual(seen, ["a/1", "d/1"]);
});

test("a file that is written to while it is read fails the read, and one that is replaced does not", async (t) => {
  const { folder, store } = await openStore(t);
  await store.write(bucket, "a", bytes("x".repeat(600_000)));
  const torn = async () => {
    for await (const _part of store.read(bucket, "a")) appendFileSync(join(folder, "a"), "y");
  };
  await assert.rejects(torn(), RetryableError);

  await store.write(bucket, "b", bytes("x".repeat(600_000)));
  writeFileSync(join(folder, ".new"), "new");
  let read = "";
  for await (const part of store.read(bucket, "b")) {
    if (read === "") renameSync(join(folder, ".new"), join(folder, "b"));
    read += Buffer.from(part).toString();
  }
  assert.equal(read, "x".repeat(600_000));
});

test("a delete that meets another file than the one it checked puts it back", async (t) => {
  const { root, folder, store } = await openStore(t);
  let changed = 0;
  for (let round = 0; round < 60; round++) {
    const { generation } = await store.write(bucket, "d/x", bytes("checked"));
    writeFileSync(join(folder, ".new"), `other ${round}`);
    const deleting = store.delete(bucket, "d/x", generation);
    // A stranger's rename, at a different moment of the delete in each round.
    for (let turn = 0; turn < round % 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    await mkdir(join(folder, "d"), { recursive: true });
    await rename(join(folder, ".new"), join(folder, "d/x")).catch(() =>
      rename(join(folder, ".new"), join(folder, "late")),
    );
    if ((await deleting) === "changed") changed++;
    const late = await stat(join(folder, "late")).catch(() => undefined);
    const kept = join(folder, late === undefined ? "d/x" : "late");
    assert.equal(readFileSync(kept, "utf8"), `other ${round}`, "the stranger's file is lost");
    await rm(kept);
  }
  assert.ok(changed > 0);
  assert.deepEqual(await readdir(join(root, ".sluice-tmp", "trash")), []);
});

test("a delete removes the folders that it empties, and nothing more", async (t) => {
  const { folder, store } = await openStore(t);
  const { generation } = await store.write(bucket, "a/b/c/x", bytes("x"));
  await store.write(bucket, "a/y", bytes("x"));
  assert.equal(await store.delete(bucket, "a/b/c/x", generation), "deleted");
  assert.deepEqual(await readdir(join(folder, "a")), ["y"]);
  assert.equal(await store.delete(bucket, "a/y", (await store.stat(bucket, "a/y"))?.generation ?? ""), "deleted");
  assert.deepEqual(await readdir(folder), []);
});

test("opening finishes what a dead process left, and leaves alone what may be under way", async (t) => {
  const clock = shifted();
  const { root, folder, store } = await openStore(t, { clock });
  const scratch = join(root, ".sluice-tmp");
  await writeFile(join(scratch, "write", "1-dead"), "half");

  /** As a delete leaves it that dies between taking the file away and looking at it. */
  const takeAway = async (name: string, exchange: boolean) => {
    await store.write(bucket, name, bytes(`content of ${name}`));
    const path = store.pathOf(bucket, name);
    const content = (await inspectFile(path))?.content ?? "";
    if (exchange) await writeFile(path, "a stranger's");
    const trashed = join(scratch, "trash", `${content}~${name.length}`, bucket, name);
    await mkdir(dirname(trashed), { recursive: true });
    await rename(path, trashed);
  };
  await takeAway("checked/1", false);
  await takeAway("exchanged/12", true);
  await takeAway("replaced/123", true);
  await store.write(bucket, "replaced/123", bytes("newer"));
  await takeAway("blocked/1234", true);
  await rm(join(folder, "blocked"), { recursive: true });
  await store.write(bucket, "blocked", bytes("a file now"));

  folderObjectStore({ root, clock });
  assert.equal((await readdir(join(scratch, "trash"))).length, 4);
  assert.equal((await readdir(join(scratch, "write"))).length, 1);

  clock.offset = 3_700_000;
  const next = folderObjectStore({ root, clock });
  assert.deepEqual(await readdir(join(scratch, "trash")), []);
  assert.deepEqual(await readdir(join(scratch, "write")), []);
  assert.deepEqual(await names(next.list(bucket)), ["blocked", "exchanged/12", "replaced/123"]);
  assert.equal(await text(next.read(bucket, "exchanged/12")), "a stranger's");
  assert.equal(await text(next.read(bucket, "replaced/123")), "newer");
});

test("a writer that is killed leaves the object as it was", async (t) => {
  const { root, store } = await openStore(t);
  const before = await store.write(bucket, "a", bytes("as it was"));
  const script = `
    import { folderObjectStore } from ${JSON.stringify(import.meta.resolve("../../lib/local/folder-object-store.ts"))};
    import { systemClock } from ${JSON.stringify(import.meta.resolve("../../lib/local/system-clock.ts"))};
    const store = folderObjectStore({ root: ${JSON.stringify(root)}, clock: systemClock() });
    const body = async function* () {
      yield Buffer.alloc(100_000);
      console.log("half");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    };
    await store.write("bucket", "a", body());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "close");
  assert.deepEqual(await store.stat(bucket, "a"), before);
  assert.deepEqual(await names(store.list(bucket)), ["a"]);
  assert.equal((await readdir(join(root, ".sluice-tmp", "write"))).length, 1);
});

test("of several processes that each want to be the first, one is", async (t) => {
  const { root, store } = await openStore(t);
  const script = `
    import { folderObjectStore } from ${JSON.stringify(import.meta.resolve("../../lib/local/folder-object-store.ts"))};
    import { systemClock } from ${JSON.stringify(import.meta.resolve("../../lib/local/system-clock.ts"))};
    const store = folderObjectStore({ root: ${JSON.stringify(root)}, clock: systemClock() });
    const won = [];
    for (let round = 0; round < 50; round++) {
      await store.write("bucket", "n" + round, [Buffer.from(process.argv[1])], { ifGeneration: null }).then(
        () => won.push(round),
        (error) => { if (error.code !== "precondition-failed") throw error; },
      );
    }
    console.log(JSON.stringify(won));`;
  const run = async (id: string): Promise<number[]> => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, id], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (part: Buffer) => (output += part.toString()));
    await once(child, "close");
    // The script above prints a list of numbers.
    return JSON.parse(output) as number[];
  };
  const won = (await Promise.all(["1", "2", "3"].map(run))).flat();
  assert.deepEqual(
    won.sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, round) => round),
  );
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal((await names(store.list(bucket))).length, 50);
});

test("onFinalized hears of each write when the object can be read", async (t) => {
  const heard: string[] = [];
  const { store } = await openStore(t, {
    onFinalized: async ({ name, generation }) => {
      heard.push(`${name} ${generation} ${await text(store.read(bucket, name, { generation }))}`);
    },
  });
  const first = await store.write(bucket, "a", bytes("1"), { ifGeneration: null });
  const second = await store.write(bucket, "a", bytes("2"));
  await assert.rejects(store.write(bucket, "a", bytes("3"), { ifGeneration: null }));
  assert.deepEqual(heard, [`a ${first.generation} 1`, `a ${second.generation} 2`]);
});

test("resolveUri", async (t) => {
  const { root, store } = await openStore(t);
  assert.equal(store.resolveUri("gs://bucket/a//b"), join(root, "bucket/a/%2F/b"));
  assert.throws(() => store.resolveUri("/etc/passwd"), /gs:\/\/bucket\/name/);
});
