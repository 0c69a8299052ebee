import { test } from "node:test";
import assert from "node:assert/strict";
import { DefinitionError } from "../../lib/core/errors.ts";
import { checkBucket } from "../../lib/core/bucket.ts";
import { compileObjectSource, routeObject } from "../../lib/core/object-source.ts";

const source = {
  bucket: "oso-dataset-transfer-bucket",
  pathBase: "passport",
  fileMatch: "(?P<interval_timestamp>\\d{4}-\\d\\d-\\d\\d)/.*\\.parquet",
  interval: "daily",
  complete: { marker: "_SUCCESS" },
} as const;

test("objects are routed by their names", () => {
  const matcher = compileObjectSource(source);
  const route = (name: string) => {
    const routed = routeObject(matcher, name);
    return routed.kind === "partition" ? `${routed.role} ${routed.window.key}` : routed.kind;
  };
  assert.equal(route("passport/2024-05-01/a.parquet"), "data 2024-05-01");
  assert.equal(route("passport/2024-05-01/_SUCCESS"), "marker 2024-05-01");
  assert.equal(route("passport/2024-05-01/a.csv"), "none");
  assert.equal(route("other/2024-05-01/a.parquet"), "none");
  assert.equal(route("passport/2024-02-30/a.parquet"), "refused");
  assert.equal(route("passport/2024-02-30/_SUCCESS"), "refused");
  assert.equal(route("passport/2024-05-01/*.parquet"), "refused");
});

test("a matcher survives the way through a manifest", () => {
  // JSON.parse gives no type; the text is that of a source.
  const copy = JSON.parse(JSON.stringify(source)) as typeof source;
  assert.deepEqual(compileObjectSource(copy).source, source);
});

test("a source without a rule that it needs is refused", () => {
  const { complete, ...bare } = source;
  assert.ok(complete);
  assert.throws(() => compileObjectSource(bare), /several objects of one interval/);
  assert.throws(() => compileObjectSource({ ...source, bucket: "No" }), /not a legal bucket name/);
});

test("bucket names", () => {
  const good = ["abc", "a-b_c", "1ab", "example.org", "a".repeat(63), `${"a".repeat(63)}.${"b".repeat(63)}`];
  for (const name of good) assert.equal(checkBucket(name), name);
  const bad = [
    "",
    "ab",
    "Abc",
    "-ab",
    "ab-",
    "a b",
    "a/b",
    "a..b",
    ".ab",
    "ab.",
    "a.-b",
    "gs://ab",
    "127.0.0.1",
    "goog-x",
    "my-google",
    "a".repeat(64),
    "naïve",
    "abc\n",
    `${"a".repeat(64)}.b`,
  ];
  for (const name of bad) assert.throws(() => checkBucket(name), DefinitionError, name);
});
