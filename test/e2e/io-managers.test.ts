/** Every I/O manager by one suite, and what is particular to those that keep no table. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import {
  DefinitionError,
  asset,
  assetCheck,
  bigqueryTable,
  check,
  gcs,
  ioManager,
  parquetFiles,
  sql,
  sqlAsset,
} from "sluice";
import type { IoManager } from "sluice";
import { z } from "zod";
import type { StoredVersion } from "../../lib/core/documents.ts";
import { fromStub, stubOf } from "../../lib/core/stub.ts";
import { ioManagerConformance } from "../support/io-manager-conformance.ts";
import { jsonLines } from "../support/json-lines.ts";
import { definitionsOf, localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

ioManagerConformance({
  name: "bigqueryTable",
  make: (options) => bigqueryTable(options),
  lateLeavings: {
    pattern: /^staging table|^staged kept\/days\//,
    reason:
      "late files are staged beside those of the next run, which deletes them; a late load has a table of its own, which expires",
  },
});
ioManagerConformance({
  name: "parquetFiles",
  make: (options) => parquetFiles({ location: "gs://team-files/parquet", ...options }),
  bucket: "team-files",
});
ioManagerConformance({
  name: "an author's own",
  make: (options) => ({ ...jsonLines, ...options }),
  bucket: "team-files",
});

/** What a head says of where its rows are. */
async function storedOf(platform: LocalPlatform, key: string, partition = ""): Promise<StoredVersion | undefined> {
  return (await platform.events.get("partition", `${key}|${partition}`))?.head?.stored;
}
async function run(platform: LocalPlatform, key: string, request: object = {}): Promise<string> {
  await platform.publish(`asset.${key.replaceAll("/", ".")}`, request);
  await platform.quiet();
  const [last] = (await platform.allRuns()).filter(({ name }) => name === key);
  return last?.status === "succeeded" ? "succeeded" : `${last?.status ?? "none"}: ${last?.reason ?? ""}`;
}
const filesIn = async (platform: LocalPlatform, bucket: string): Promise<readonly string[]> =>
  await Array.fromAsync(platform.objects.list(bucket), ({ name }) => name);
const schema = z.object({ n: z.int() });
const rows = (count: number, from = 0) => Array.from({ length: count }, (_, i) => ({ n: from + i }));

/** An asset of these rows, and one that sums them up. */
function summed(manager: IoManager<never>, make: () => Iterable<{ n: number }>) {
  const sums: number[] = [];
  const kept = asset({ key: "own/kept", schema, ioManager: manager, retry: { delaySeconds: 0.01 }, materialize: make });
  const sum = asset({
    key: "own/sum",
    target: "none",
    inputs: { kept },
    retry: { delaySeconds: 0.01 },
    async materialize(_context, { kept }) {
      let total = 0;
      for await (const { n } of kept) total += n;
      sums.push(total);
    },
  });
  return { exports: { kept, sum }, sums };
}

test("Parquet files end at their size, are read one after the other, and are named by what the run says", async () => {
  const COUNT = 200_000;
  const manager = parquetFiles({ location: "gs://files/a/b/", partBytes: 100_000 });
  const { exports, sums } = summed(manager, () => rows(COUNT));
  await using platform = await localPlatform({ exports });
  assert.equal(await run(platform, "own/kept"), "succeeded");
  assert.equal(await run(platform, "own/sum"), "succeeded");
  assert.deepEqual(sums, [(COUNT * (COUNT - 1)) / 2]);
  const [made] = await platform.eventsOf("materialized");
  const { location, files, bytes } = made?.metadata ?? {};
  const names = await filesIn(platform, "files");
  assert.deepEqual([made?.rows, names.length, names.length > 3], [COUNT, files, true]);
  assert.equal(location, `gs://files/a/b/own/kept/all/${(await storedOf(platform, "own/kept"))?.version ?? ""}/`);
  const sizes = await Array.fromAsync(platform.objects.list("files"), ({ size }) => size);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    bytes,
  );
  assert.ok(Math.max(...sizes) < 250_000, `${Math.max(...sizes)} bytes`);
});

test("an older version that cannot be removed holds nobody up, is told of, and goes when it can", async () => {
  let broken = true;
  let count = 0;
  const removed: string[] = [];
  const manager = ioManager({
    ...jsonLines,
    remove: async (...args: Parameters<NonNullable<typeof jsonLines.remove>>) => {
      if (broken) throw new Error("the archive is closed");
      removed.push(args[0].version);
      await jsonLines.remove?.(...args);
    },
  });
  const { exports, sums } = summed(manager, () => rows(++count));
  await using platform = await localPlatform({ exports });
  for (let i = 0; i < 3; i++) assert.equal(await run(platform, "own/kept"), "succeeded");
  assert.equal((await filesIn(platform, "team-files")).length, 3);
  const lines = (await platform.eventsOf("log")).map(({ message }) => message);
  assert.match(
    lines.join("\n"),
    /version \w{16} of own\/kept cannot be removed, and is tried again: the archive is closed/,
  );
  broken = false;
  assert.equal(await run(platform, "own/kept"), "succeeded");
  assert.deepEqual([(await filesIn(platform, "team-files")).length, removed.length], [1, 3]);
  assert.equal(await run(platform, "own/sum"), "succeeded");
  assert.deepEqual(sums, [6]);
});

test("a manager that breaks its contract ends the run, and leaves nothing behind", async () => {
  const wrong = {
    "returned before it had read all rows": ioManager({ ...jsonLines, write: async () => ({}) }),
    "returned a handle that is not JSON": ioManager({
      ...jsonLines,
      async write(...args) {
        await jsonLines.write(...args);
        return new Date();
      },
    }),
    "has 100002 bytes, and may have 100000": ioManager({
      ...jsonLines,
      async write(...args) {
        await jsonLines.write(...args);
        return "x".repeat(100_000);
      },
    }),
  };
  for (const [message, manager] of Object.entries(wrong)) {
    const { exports } = summed(manager, () => rows(1000));
    await using platform = await localPlatform({ exports });
    assert.match(await run(platform, "own/kept"), new RegExp(`^failed: .*${message}`));
    assert.deepEqual([await filesIn(platform, "team-files"), await platform.leftovers()], [[], []]);
    assert.deepEqual((await platform.events.get("partition", "own/kept|"))?.writing, undefined);
  }
});

test("what a manager throws is retried like any other failure, whether it stores, reads or hangs up in the middle", async () => {
  let failures = 0;
  const failing = (): void => {
    if (++failures % 2 === 1) throw new Error("hung up");
  };
  const manager = ioManager({
    ...jsonLines,
    async write(context, rows, clients) {
      async function* some() {
        for await (const row of rows) {
          if (row["n"] === 300) failing();
          yield row;
        }
      }
      return await jsonLines.write(context, some(), clients);
    },
    async *read(context, handles, clients) {
      yield* jsonLines.read(context, handles, clients);
      failing();
    },
  });
  const { exports, sums } = summed(manager, () => rows(1000));
  await using platform = await localPlatform({ exports });
  assert.equal(await run(platform, "own/kept"), "succeeded");
  assert.equal(await run(platform, "own/sum"), "succeeded");
  assert.deepEqual([failures, sums], [4, [499_500]]);
  assert.equal((await filesIn(platform, "team-files")).length, 1);
});

test("a version that is replaced and removed while somebody reads it is read again from the start", async () => {
  const reading = Promise.withResolvers<void>();
  const replaced = Promise.withResolvers<void>();
  let count = 100;
  const manager = parquetFiles({ location: "gs://files", partBytes: 1 });
  const kept = asset({ key: "own/kept", schema, ioManager: manager, materialize: () => rows(count) });
  const totals: number[] = [];
  const sum = asset({
    key: "own/sum",
    target: "none",
    inputs: { kept },
    retry: { delaySeconds: 0.01 },
    async materialize(_context, { kept }) {
      let total = 0;
      reading.resolve();
      await replaced.promise;
      for await (const { n } of kept) total += n;
      totals.push(total);
    },
  });
  await using platform = await localPlatform({ exports: { kept, sum } });
  assert.equal(await run(platform, "own/kept"), "succeeded");
  const slow = run(platform, "own/sum");
  await reading.promise;
  count = 10;
  await platform.deliver({ kind: "asset", key: "own/kept" }, { runKey: "again" });
  replaced.resolve();
  assert.equal(await slow, "succeeded");
  assert.deepEqual(totals, [45]);
  const reasons = (await platform.eventsOf("run.parked")).map(({ reason }) => reason);
  assert.deepEqual(reasons, ["own/kept was materialized again while own/sum read it"]);
});

test("another I/O manager takes over: its readers ask for its own rows, and the files of the one before go", async () => {
  const made = (manager: IoManager<never>) => summed(manager, () => rows(4));
  const files = made(parquetFiles({ location: "gs://files" }));
  const platform = await localPlatform({ exports: files.exports });
  assert.equal(await run(platform, "own/kept"), "succeeded");
  await platform.shut();
  const lines = made(jsonLines);
  const second = await localPlatform({ exports: lines.exports, home: platform.home });
  assert.match(
    await run(second, "own/sum"),
    /^failed: own\/kept was not stored by its I\/O manager of today, and own\/sum is made from it: materialize it again/,
  );
  assert.equal(await run(second, "own/kept"), "succeeded");
  assert.equal(await run(second, "own/sum"), "succeeded");
  assert.deepEqual(lines.sums, [6]);
  assert.deepEqual([(await filesIn(second, "files")).length, (await filesIn(second, "team-files")).length], [0, 1]);
  await second.shut();
  const table = made(bigqueryTable());
  await using third = await localPlatform({ exports: table.exports, home: platform.home });
  assert.equal(await run(third, "own/kept"), "succeeded");
  assert.equal(await run(third, "own/sum"), "succeeded");
  assert.deepEqual([table.sums, await third.leftovers()], [[6], []]);
  // Nobody can remove what an author's manager has stored that is not there any more.
  const [kept] = (await third.eventsOf("log")).filter(({ level }) => level === "warn");
  assert.match(kept?.message ?? "", /^the I\/O manager json-lines is not that of own\/kept any more/);
});

test("without a table there is nothing that could be held back, or that SQL could read", async () => {
  const ioManager = parquetFiles({ location: "gs://files" });
  const options = { key: "own/kept", schema, ioManager, materialize: () => rows(1) };
  assert.throws(
    () => asset({ ...options, checks: [check.unique("n")] }),
    /own\/kept has no managed table, so the check unique_n cannot block it/,
  );
  const kept = asset(options);
  const reader = sqlAsset({ key: "own/reader", sql: sql`SELECT n FROM ${kept}` });
  assert.throws(
    () => definitionsOf({ kept, reader }),
    new DefinitionError("the SQL of own/reader reads own/kept, which has no table", {
      where: "functions/test.ts reader",
      remedy: "read its rows as an input, or let bigqueryTable keep them",
    }),
  );
  const looked = asset({ key: "own/looked", deps: [kept], target: "own.looked", materialize: async () => ({}) });
  const beside = assetCheck({ asset: looked, name: "all_there", sql: sql`SELECT n FROM ${kept}` });
  assert.throws(
    () => definitionsOf({ kept, looked, beside }),
    /the check all_there of own\/looked reads own\/kept, which has no table/,
  );
});

test("places and names that cannot be are refused", () => {
  const refused = (location: string, options: object = {}) =>
    assert.throws(() => parquetFiles({ location: location as "gs://x", ...options }), DefinitionError);
  for (const location of ["files", "gs://", "gs://b/a//b", "gs://b/a*", "gs://b/ü", "gs://b/a#b"]) refused(location);
  for (const partBytes of [0, -1, 1.5, Number.NaN, 2 ** 31]) refused("gs://bucket/x", { partBytes });
  for (const name of ["", "Big", "parquet-files", "a b"])
    assert.throws(() => ioManager({ ...jsonLines, name }), DefinitionError);
});

test("what storing and reading take is declared, and no more", () => {
  const ioManager = parquetFiles({ location: "gs://files/x" });
  const kept = asset({ key: "own/kept", schema, ioManager, materialize: () => rows(1) });
  const needs = (definition: { readonly needs: readonly object[] }) =>
    definition.needs.map((need) => ("bucket" in need ? { ...need, reason: undefined } : need));
  const place = { bucket: "files", prefix: "x/own/kept/", reason: undefined };
  assert.deepEqual(needs(kept), [
    { kind: "write-objects", ...place },
    { kind: "read-objects", ...place },
    { kind: "delete-objects", ...place },
  ]);
  const reader = asset({ key: "own/sum", target: "none", inputs: { kept }, materialize: async () => ({}) });
  assert.deepEqual(needs(reader), [{ kind: "read-objects", ...place }]);
});

test("a function that carries only a stub of the asset reads its files all the same", async () => {
  const typed = z.object({ n: z.int(), at: z.iso.datetime({ offset: true }) });
  const kept = asset({
    key: "own/kept",
    schema: typed,
    ioManager: parquetFiles({ location: "gs://files" }),
    materialize: () => [{ n: 7, at: "2024-05-01T01:00:00+02:00" }],
  });
  // The build puts it in the place of what another file exports; the types stay.
  const stub = fromStub(
    JSON.parse(JSON.stringify(stubOf(kept))) as ReturnType<typeof stubOf>,
  ) as unknown as typeof kept;
  const platform = await localPlatform({ exports: { kept } });
  assert.equal(await run(platform, "own/kept"), "succeeded");
  await platform.shut();
  let seen: readonly unknown[] = [];
  const reader = asset({
    key: "own/reader",
    target: "none",
    inputs: { kept: stub },
    async materialize(_context, { kept }) {
      seen = await Array.fromAsync(kept);
    },
  });
  await using other = await localPlatform({ exports: { stub, reader }, home: platform.home });
  assert.equal(await run(other, "own/reader"), "succeeded");
  assert.deepEqual(seen, [{ n: 7, at: "2024-04-30T23:00:00Z" }]);
});

test("a manager's files lie below the place that it declares, and nowhere else", async () => {
  const names: Readonly<Record<string, string>> = {
    write: "elsewhere/file",
    list: "row",
    read: "rows2/file",
    delete: "rows/../secret/file",
  };
  for (const [call, name] of Object.entries(names)) {
    const manager = ioManager({
      resources: { files: gcs.write("gs://team-files/rows") },
      async write(_context, rows, { files }) {
        for await (const _row of rows);
        if (call === "write") await files.write(name, []);
        if (call === "list") for await (const _object of files.list(name));
        if (call === "read") for await (const _chunk of files.read(name));
        if (call === "delete") await files.delete(name.replace("rows/../", ""), "1");
        return null;
      },
      read: () => Readable.from([]),
    });
    const { exports } = summed(manager, () => rows(1));
    await using platform = await localPlatform({ exports });
    assert.match(
      await run(platform, "own/kept"),
      /^failed: gs:\/\/team-files\/.* is outside of gs:\/\/team-files\/rows/,
      call,
    );
  }
});
