/** What authors of assets with an I/O manager rely on: most of it is checked by the compiler, in lines that must not compile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { asset, dependsOn } from "../../lib/core/asset.ts";
import { ioManager } from "../../lib/core/custom-io-manager.ts";
import { bigqueryTable } from "../../lib/core/io-manager.ts";
import { parquetFiles } from "../../lib/core/parquet-files.ts";
import { daily } from "../../lib/core/partitions.ts";
import { secret } from "../../lib/core/resources.ts";
import { intervalGcsImportAsset } from "../../lib/factories/interval-gcs.ts";

const nothing = async (): Promise<undefined> => undefined;
const target = { table: { dataset: "d", table: "t" }, slot: "table" } as const;
const scores = asset({
  key: "up/scores",
  target,
  schema: z.object({ address: z.string(), score: z.number() }),
  materialize: nothing,
});
const bare = asset({ key: "up/bare", target, materialize: nothing });
const schema = z.object({ address: z.string(), tier: z.enum(["low", "high"]), at: z.iso.date().optional() });
const config = {
  keyPrefix: "gitcoin",
  name: "passport_scores",
  bucketName: "bucket",
  pathBase: "passport",
  fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)\.parquet`,
  destinationTable: "passport_scores",
  rawDatasetName: "raw",
  cleanDatasetName: "gitcoin",
  interval: "daily",
  mode: "overwrite",
  retentionDays: 10,
  format: "PARQUET",
} as const;

test("inputs have the types of their schemas, rows those of their own", () => {
  const made = asset({
    key: "down/profiles",
    inputs: { scores, bare },
    resources: { token: secret("token") },
    schema,
    ioManager: bigqueryTable({ clusterBy: ["address"], onInvalidRow: "discard" }),
    async *materialize({ row, metadata, partition }, { scores, bare, token }) {
      const none: undefined = partition;
      metadata({ authenticated: token !== "", none: none === undefined });
      for await (const { address, score } of scores) {
        const text: string = address;
        const number: number = score;
        yield row({ address: text, tier: number >= 20 ? "high" : "low" });
        // @ts-expect-error: no such tier
        yield row({ address, tier: "middle" });
        // @ts-expect-error: tier is missing
        yield row({ address });
        // @ts-expect-error: no such column
        yield row({ address, tier: "low", score });
      }
      for await (const row of bare) {
        const value: unknown = row["anything"];
        // @ts-expect-error: nobody has said what it is
        const text: string = row["anything"];
        metadata({ value: String(value), text });
      }
      // @ts-expect-error: no such input
      void scores.other;
    },
  });
  assert.deepEqual(made.deps, ["up/scores", "up/bare"]);
  assert.deepEqual(made.inputs, { scores: "up/scores", bare: "up/bare" });
  assert.deepEqual(made.target, {
    table: { dataset: "down", table: "profiles" },
    slot: "table",
    clustering: ["address"],
  });
});

test("rows may come as an array, an iterable, an async iterable, or a promise of one", () => {
  const common = { key: "down/x", schema: z.object({ n: z.int() }), ioManager: bigqueryTable() } as const;
  asset({ ...common, materialize: () => [{ n: 1 }] });
  asset({ ...common, materialize: async () => [{ n: 1 }] });
  asset({ ...common, materialize: async () => new Set([{ n: 1 }]) });
  asset({
    ...common,
    *materialize({ row }) {
      yield row({ n: 1 });
    },
  });
  asset({
    ...common,
    async *materialize({ row }) {
      yield row({ n: 1 });
    },
  });
  // @ts-expect-error: n is a number
  asset({ ...common, materialize: () => [{ n: "1" }] });
  // @ts-expect-error: rows, and not metadata
  asset({ ...common, materialize: async () => ({ metadata: {} }) });
  // @ts-expect-error: rows need somebody who stores them
  asset({ key: "down/x", schema: common.schema, materialize: () => [{ n: 1 }] });
});

test("columns that an I/O manager is given are columns of the schema", () => {
  const materialize = () => [];
  asset({ key: "down/x", schema, ioManager: bigqueryTable({ clusterBy: ["address", "tier"] }), materialize });
  asset({ key: "down/x", schema, ioManager: bigqueryTable({ partitionBy: "at" }), materialize });
  assert.throws(
    // @ts-expect-error: no such column
    () => asset({ key: "down/x", schema, ioManager: bigqueryTable({ clusterBy: ["adress"] }), materialize }),
    { where: "clusterBy", remedy: 'did you mean "address"?' },
  );
  assert.throws(
    // @ts-expect-error: no such column
    () => asset({ key: "down/x", schema, ioManager: bigqueryTable({ partitionBy: "day" }), materialize }),
    { where: "partitionBy", message: 'the schema of down/x has no column "day"' },
  );
  // @ts-expect-error: rows need a schema
  assert.throws(() => asset({ key: "down/x", ioManager: bigqueryTable(), materialize }), /schema/);
});

test("an import carries the type of its schema, and an input its mapping", () => {
  const typed = intervalGcsImportAsset({ ...config, schema: z.object({ address: z.string() }) });
  const untyped = intervalGcsImportAsset(config);
  const made = asset({
    key: "down/x",
    partitions: daily(),
    inputs: { typed: dependsOn(typed.asset, { kind: "offset", by: -1 }), untyped: untyped.asset },
    schema: z.object({ address: z.string() }),
    ioManager: bigqueryTable(),
    async *materialize({ row, partition }, { typed, untyped }) {
      const key: string = partition.key;
      for await (const { address } of typed) yield row({ address: `${address} ${key}` });
      // @ts-expect-error: nobody has said what its columns are
      for await (const { address } of untyped) yield row({ address });
    },
  });
  assert.deepEqual(made.mappings, { "gitcoin/passport_scores": { kind: "offset", by: -1 } });
});

test("an array that is yielded stands for its rows, which have the types of rows", () => {
  const common = { schema, ioManager: bigqueryTable() } as const;
  const pages = asset({
    ...common,
    key: "down/pages",
    async *materialize({ row }) {
      yield ["a", "b"].map((address) => row({ address, tier: "low" }));
      yield row({ address: "c", tier: "low" });
    },
  });
  const wrong = asset({
    ...common,
    key: "down/wrong",
    // @ts-expect-error: no such tier
    *materialize() {
      yield [{ address: "a", tier: "middle" }];
    },
  });
  assert.deepEqual([pages.key, wrong.key], ["down/pages", "down/wrong"]);
});

test("an I/O manager gets back what its own write returned, and the clients of its resources", () => {
  const manager = ioManager({
    resources: { token: secret("token") },
    async write({ version, columns }, rows, { token }) {
      const text: string = token;
      let count = columns.length;
      for await (const row of rows) if (row["address"] !== null) count++;
      // @ts-expect-error: nothing else is declared
      void rows.bigquery;
      return { version, count, text };
    },
    async *read(_context, handles) {
      for (const { version, count } of handles) {
        const text: string = version;
        const number: number = count;
        // @ts-expect-error: not in the handle
        void handles[0]?.other;
        yield { text, number };
      }
    },
    async remove({ version }, handle) {
      // There is none of an attempt that died.
      const text: string | undefined = handle?.version;
      // @ts-expect-error: it may be missing
      void handle.version;
      await Promise.resolve([version, text]);
    },
  });
  const kept = asset({
    key: "down/kept",
    schema,
    ioManager: manager,
    materialize: ({ row }) => [row({ address: "a", tier: "low" })],
  });
  assert.equal(kept.target, undefined);
  assert.deepEqual(kept.needs, [{ kind: "secret", name: "token", reason: "reads the secret token" }]);
  const files = parquetFiles({ location: "gs://bucket" });
  // @ts-expect-error: not a place in a bucket
  assert.throws(() => parquetFiles({ location: "/tmp/x" }));
  assert.equal(files.partBytes, 32 * 1024 * 1024);
});
