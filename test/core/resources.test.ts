import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { assetCheck } from "../../lib/core/check.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { job } from "../../lib/core/job.ts";
import { isPlain, requestSchema, runIdOf } from "../../lib/core/request.ts";
import { bigquery, gcs, parseLocation, secret } from "../../lib/core/resources.ts";
import { assetSensor, skip } from "../../lib/core/sensor.ts";
import { sql } from "../../lib/core/sql.ts";

const plain = asset({ key: "a", materialize: async () => undefined });
const tidy = job({ name: "tidy", run: async () => undefined });

test("a location is a bucket and a prefix", () => {
  assert.deepEqual(parseLocation("gs://drops/a/b"), { bucket: "drops", prefix: "a/b" });
  assert.deepEqual(parseLocation("gs://drops"), { bucket: "drops", prefix: "" });
  for (const bad of ["drops/a", "s3://drops/a", "gs:///a", "gs://Drops/a", "gs://-x/a", "gs://"]) {
    assert.throws(() => parseLocation(bad), DefinitionError, bad);
  }
});

test("each resource says what it needs, and why", () => {
  const needs = [bigquery(), gcs.read("gs://drops/a"), gcs.delete("gs://drops/a", plain), secret("token")].flatMap(
    (resource) => resource.needs,
  );
  assert.deepEqual(needs, [
    { kind: "run-jobs", reason: "runs warehouse jobs" },
    { kind: "read-objects", bucket: "drops", prefix: "a", reason: "reads gs://drops/a" },
    { kind: "delete-objects", bucket: "drops", prefix: "a", reason: "deletes what a has loaded" },
    { kind: "secret", name: "token", reason: "reads the secret token" },
  ]);
  for (const bad of ["", "a b", "a/b", "../a", "x".repeat(256)]) assert.throws(() => secret(bad), DefinitionError, bad);
});

test("definitions that cannot work are refused", () => {
  const none = async (): Promise<undefined> => undefined;
  const evaluate = () => skip("no");
  const table = { dataset: "d", table: "t" };
  const blocking = { name: "c", blocking: true, severity: "error", rule: { kind: "row-count", min: 1 } } as const;
  for (const [what, define] of Object.entries({
    "a bad key": () => asset({ key: "a//b", materialize: none }),
    "a bad dataset": () =>
      asset({ key: "a", target: { table: { ...table, dataset: "d-e" }, slot: "table" }, materialize: none }),
    "a bad project": () =>
      asset({ key: "a", target: { table: { ...table, project: "p`" }, slot: "table" }, materialize: none }),
    "partitions of none": () => asset({ key: "a", target: { table, slot: "partition" }, materialize: none }),
    "a check that blocks nothing": () => asset({ key: "a", checks: [blocking], materialize: none }),
    "a bad job name": () => job({ name: "a b", run: none }),
    "a bad sensor name": () => assetSensor({ name: "a/b", asset: plain, job: tidy, evaluate }),
    "a sensor of nothing": () => assetSensor({ name: "s", asset: plain, evaluate }),
    "a sensor of two": () => assetSensor({ name: "s", asset: plain, job: tidy, target: plain, evaluate }),
    "a check of nothing": () => assetCheck({ asset: plain, name: "c" }),
    "a check of two": () => assetCheck({ asset: plain, name: "c", sql: sql`SELECT 1`, rowCount: { min: 1 } }),
    "a check without bounds": () => assetCheck({ asset: plain, name: "c", rowCount: {} }),
    "a check with crossed bounds": () => assetCheck({ asset: plain, name: "c", rowCount: { min: 2, max: 1 } }),
    "a check of less than none": () => assetCheck({ asset: plain, name: "c", rowCount: { min: -1 } }),
    "a check of a number that is none": () => assetCheck({ asset: plain, name: "c", rowCount: { max: Number.NaN } }),
  })) {
    assert.throws(define, DefinitionError, what);
  }
});

test("a request: what it may say, and what makes it a wish of its own", () => {
  assert.deepEqual(requestSchema.parse({}), {});
  for (const bad of [
    { partion: "x" },
    { force: "yes" },
    { cause: { kind: "magic" } },
    [],
    null,
    { partition: "x".repeat(201) },
  ]) {
    assert.equal(requestSchema.safeParse(bad).success, false, JSON.stringify(bad));
  }
  const base = { partition: "", runKey: "k", cause: { kind: "manual" as const }, requestedAt: 1 };
  for (const wishes of [{}, { force: false }, { tags: { a: "b" } }])
    assert.equal(isPlain({ ...base, ...wishes }), true);
  for (const wishes of [{ force: true }, { rollback: true }, { unseal: true }, { allowMissing: true }, { config: {} }])
    assert.equal(isPlain({ ...base, ...wishes }), false);
  assert.match(runIdOf("asset", "a", "p", "k"), /^[0-9a-f]{16}$/);
  const ids = [
    ["asset", "a", "p", "k"],
    ["job", "a", "p", "k"],
    ["asset", "ap", "", "k"],
    ["asset", "a", "pk", ""],
  ] as const;
  assert.equal(
    new Set(ids.map(([kind, name, partition, key]) => runIdOf(kind, name, partition, key))).size,
    ids.length,
  );
});
