/** The types that authors rely on: most of it is checked by the compiler, in lines that must not compile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { asset } from "../../lib/core/asset.ts";
import { job } from "../../lib/core/job.ts";
import { daily } from "../../lib/core/partitions.ts";
import { bigquery, gcs, secret } from "../../lib/core/resources.ts";
import { assetSensor, objectSensor, skip } from "../../lib/core/sensor.ts";
import { renderSql, sql } from "../../lib/core/sql.ts";
import { materializeInMemory } from "../../lib/testing/materialize-in-memory.ts";

const nothing = async (): Promise<undefined> => undefined;
const plain = asset({ key: "plain", materialize: nothing });
const tidy = job({
  name: "tidy",
  config: z.strictObject({ before: z.iso.date(), dryRun: z.boolean().default(false) }),
  async run({ config }) {
    const before: string = config.before;
    const dryRun: boolean = config.dryRun;
    // @ts-expect-error: the schema has no such field
    void config.after;
    return { before, dryRun };
  },
});

test("a sensor's requests carry what the job's schema takes, defaults left out", () => {
  const sensor = assetSensor({
    name: "s",
    asset: plain,
    job: tidy,
    evaluate: (_context, { materializationId }) => ({ runKey: materializationId, config: { before: "2024-05-01" } }),
  });
  assert.deepEqual(sensor.requests, { kind: "job", name: "tidy" });
  assetSensor({
    name: "s",
    asset: plain,
    job: tidy,
    // @ts-expect-error: before is a text
    evaluate: () => ({ runKey: "k", config: { before: 5 } }),
  });
  objectSensor({
    name: "s",
    bucket: "bucket",
    job: tidy,
    // @ts-expect-error: before is missing
    evaluate: () => ({ runKey: "k", config: { dryRun: true } }),
  });
  assetSensor({
    name: "s",
    asset: plain,
    job: tidy,
    // @ts-expect-error: a request has a run key
    evaluate: () => ({ config: { before: "2024-05-01" } }),
  });
  // Several requests, none, and a promise of them.
  assetSensor({ name: "s", asset: plain, job: tidy, evaluate: async () => [{ runKey: "k", config: { before: "x" } }] });
  assetSensor({ name: "s", asset: plain, job: tidy, evaluate: () => skip("no") });
});

test("a partition is there exactly when there are partitions; config is the schema's output", () => {
  const days = asset({
    key: "days",
    partitions: daily(),
    config: z.object({ threshold: z.number().default(20) }),
    async materialize({ partition, config }) {
      const key: string = partition.key;
      const threshold: number = config.threshold;
      // @ts-expect-error: the schema has no such field
      void config.limit;
      return { metadata: { key, threshold } };
    },
  });
  const whole = asset({
    key: "whole",
    async materialize({ partition }) {
      const none: undefined = partition;
      // @ts-expect-error: there is no partition
      void partition.key;
      return none;
    },
  });
  assert.deepEqual([days.key, whole.partitions], ["days", undefined]);
  // @ts-expect-error: what is returned is metadata, a data version, or nothing
  asset({ key: "x", materialize: async () => ({ rows: 1 }) });
  // @ts-expect-error: an asset does something
  assert.throws(() => asset({ key: "x" }), /expected a function, but there is none/);
});

test("resources have the types of their clients, by the names that they are given", () => {
  const made = asset({
    key: "resources",
    target: "none",
    resources: { bigquery: bigquery(), files: gcs.read("gs://bucket/base"), token: secret("token") },
    async materialize(_context, resources) {
      const token: string = resources.token;
      const job = await resources.bigquery.run(sql`SELECT ${token}`);
      const rows: number = job.rows;
      // @ts-expect-error: reading is all that was declared
      void resources.files.deleteLoaded;
      // @ts-expect-error: no such resource was declared
      void resources.other;
      return { metadata: { rows } };
    },
  });
  assert.deepEqual(
    made.needs.map(({ kind }) => kind),
    ["run-jobs", "read-objects", "secret"],
  );
  job({
    name: "j",
    resources: { files: gcs.delete("gs://bucket/base", made) },
    async run(_context, { files }) {
      // @ts-expect-error: deleting what is loaded is all that was declared
      void files.read;
      const report = await files.deleteLoaded({ before: "2024-05-01", dryRun: true });
      return { deleted: report.deleted };
    },
  });
});

test("sql takes no plain object for a value", () => {
  // @ts-expect-error: an object is no value of a query
  void sql`SELECT ${{ a: 1 }}`;
  // @ts-expect-error: undefined is no value of a query
  assert.throws(() => sql`SELECT ${undefined}`, /the value after "SELECT " is undefined/);
  const text = ((): string | undefined => "a")();
  // @ts-expect-error: nor is what may be undefined
  void sql`SELECT ${text}`;
});

test("the table of the run goes into a statement as it is, and is missed without a target", async () => {
  const made = asset({
    key: "made",
    target: { table: { dataset: "d", table: "t" }, slot: "table" },
    materialize: async ({ target }) => {
      assert.equal(renderSql(sql`TRUNCATE TABLE ${target}`, () => assert.fail()).text, "TRUNCATE TABLE `d.t`");
    },
  });
  await materializeInMemory(made, {});
  const bare = asset({
    key: "bare",
    materialize: async ({ target }) => void sql`TRUNCATE TABLE ${target}`,
  });
  await assert.rejects(materializeInMemory(bare, {}), /the value after "TRUNCATE TABLE " is undefined/);
});
