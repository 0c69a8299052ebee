import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, bigqueryTable, Interval, intervalGcsImportAsset, SourceMode } from "sluice";
import { z } from "zod";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { namesOf, originOf, presentKey, toPresentName } from "../../lib/core/previous-keys.ts";

const made = async (): Promise<undefined> => undefined;
const named = (key: string, previousKeys?: readonly string[]) =>
  asset({ key, materialize: made, ...(previousKeys === undefined ? {} : { previousKeys }) });

function problemsOf(...assets: readonly unknown[]): string[] {
  const { problems } = collectDefinitions([{ file: "functions/a.ts", exports: { assets } }]);
  return problems.map(messageOf);
}

test("the oldest name stays; all of them, the present first", () => {
  const renamed = named("c/now", ["a/first", "b/then"]);
  assert.equal(originOf(renamed), "a/first");
  assert.deepEqual(namesOf(renamed), ["c/now", "b/then", "a/first"]);
  assert.equal(originOf(named("a/b")), "a/b");
  assert.deepEqual(namesOf(named("a/b")), ["a/b"]);
});

for (const [title, assets, wrong] of [
  ["another asset's key", [named("x", ["y"]), named("y")], /the previous key y of x is the key of another asset/],
  [
    "another's previous key",
    [named("x", ["z"]), named("y", ["z"])],
    /previous key z of y is a previous key of x as well/,
  ],
  ["twice", [named("x", ["z", "w", "z"])], /the previous key z of x is named twice/],
  ["its own key", [named("x", ["x"])], /the previous key x of x is what it is called now/],
] as const) {
  test(`refused: ${title}`, () => {
    const problems = problemsOf(...assets);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0] ?? "", wrong);
    assert.match(problems[0] ?? "", /^functions\/a\.ts assets: .*\(a previous key belongs to one asset/);
  });
}

test("nine previous keys are the most, and each is a key", () => {
  assert.deepEqual(problemsOf(named("x", "abcdefghi".split(""))), []);
  assert.throws(() => named("x", "abcdefghij".split("")), /x has 10 previous keys/);
  assert.throws(() => named("x", ["a//b"]), /the asset key "a\/\/b" has an empty segment/);
});

test("a table that follows from the key follows from the oldest one, and needs what it needed", () => {
  const stored = (key: string, previousKeys: readonly string[]) =>
    asset({
      key,
      previousKeys,
      schema: z.object({ n: z.int() }),
      ioManager: bigqueryTable(),
      async *materialize({ row }) {
        yield row({ n: 1 });
      },
    });
  const { target, needs } = stored("new/name", ["very/old", "old/name"]);
  assert.deepEqual(target?.table, { dataset: "very", table: "old" });
  assert.deepEqual(
    needs
      .filter(({ kind }) => kind === "stage-objects" || kind === "write-dataset")
      .map((need) => ({ ...need, reason: "" })),
    [
      { kind: "stage-objects", prefix: "very/old/", reason: "" },
      { kind: "write-dataset", dataset: "very", replaces: true, reason: "" },
    ],
  );
});

test("factories pass previous keys on", () => {
  const { asset: imported } = intervalGcsImportAsset({
    keyPrefix: "new",
    name: "scores",
    bucketName: "drops",
    pathBase: "x",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: "scores",
    rawDatasetName: "raw",
    cleanDatasetName: "clean",
    interval: Interval.Daily,
    mode: SourceMode.Overwrite,
    retentionDays: 1,
    format: "PARQUET",
    asset: { previousKeys: ["old/scores"] },
  });
  assert.deepEqual(imported.previousKeys, ["old/scores"]);
});

test("messages that were decided on before a rename go to the present name", () => {
  const assets = new Map([named("new/a", ["old/a"]), named("other/b")].map((one) => [one.key, one]));
  const news = { asset: "old/a", partition: "p", materializationId: "m", runId: "r" };
  assert.equal(presentKey(assets, "old/a"), "new/a");
  assert.equal(presentKey(assets, "gone"), "gone");
  assert.deepEqual(toPresentName(assets, { topic: "materialized.old.a", data: news }), {
    topic: "materialized.new.a",
    data: { ...news, asset: "new/a" },
  });
  assert.deepEqual(toPresentName(assets, { topic: "asset.old.a", data: { runKey: "k" } }), {
    topic: "asset.new.a",
    data: { runKey: "k" },
  });
  for (const topic of ["asset.other.b", "materialized.gone", "job.old", "bucket.old.a", "nonsense"]) {
    const message = { topic, data: { asset: "old/a" } };
    assert.equal(toPresentName(assets, message), message);
  }
});
