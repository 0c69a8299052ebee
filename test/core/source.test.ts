import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asset,
  check,
  daily,
  eager,
  externalAsset,
  Interval,
  observableSource,
  onCron,
  onInterval,
  onMissing,
  onSchedule,
  secret,
  staticPartitions,
} from "sluice";
import { z } from "zod";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { allNeeds } from "../../lib/core/definitions.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { assetCheck } from "../../lib/core/check.ts";
import { stubOf } from "../../lib/core/stub.ts";

const table = "crm_export.accounts";
const observe = async (): Promise<undefined> => undefined;

for (const [title, define, wrong] of [
  [
    "a table without a dataset",
    () => externalAsset({ key: "a", table: "accounts" }),
    /the dataset of .* is not a legal name/,
  ],
  ["a table of four parts", () => externalAsset({ key: "a", table: "x.a.b.c" }), /"x\.a\.b\.c" is not a table's name/],
  ["a bad key", () => externalAsset({ key: "a b", table }), /the segment "a b"/],
  [
    "a column without time partitions",
    () => externalAsset({ key: "a", table, partitionBy: "day" }),
    /a is told apart by day but has no time partitions \(give it partitions/,
  ],
  [
    "a column that is no name",
    () => externalAsset({ key: "a", table, partitions: daily(), partitionBy: "a day" }),
    /partition column "a day" is not a legal name/,
  ],
  [
    "a blocking check",
    () => externalAsset({ key: "a", table, checks: [check.unique("id")] }),
    /^a is made elsewhere, so the check unique_id cannot block it \(make the check non-blocking: \{ blocking: false \}\)$/,
  ],
  [
    "a source's blocking check",
    () => observableSource({ key: "a", table, observe, checks: [check.notNull("id")] }),
    /a is made elsewhere, so the check not_null_id cannot block it/,
  ],
  [
    "a source's check without a table",
    () => observableSource({ key: "a", observe, checks: [check.notNull("id", { blocking: false })] }),
    /a has checks but no table that they could look at \(give it a table/,
  ],
  [
    "a source that follows upstreams",
    () => observableSource({ key: "a", observe, automation: eager() }),
    /^automation: a is a source and has no upstreams to follow \(use onInterval, onSchedule or onCron\)$/,
  ],
  ["another one", () => observableSource({ key: "a", observe, automation: onMissing() }), /no upstreams to follow/],
] as const) {
  test(`refused: ${title}`, () => {
    assert.throws(define, (error) => wrong.test(messageOf(error)) || assert.fail(messageOf(error)));
  });
}

test("an external asset says where its rows are, and needs nothing but what its checks read", () => {
  const monthly = externalAsset({
    key: ["crm", "accounts"],
    table: { project: "p", dataset: "crm_export", table: "accounts" },
    partitions: daily({ start: "2024-05-01" }),
    partitionBy: "day",
    schema: z.object({ day: z.iso.date() }),
    owners: ["sales@example.org"],
  });
  assert.equal(monthly.external, true);
  assert.equal(monthly.key, "crm/accounts");
  assert.deepEqual(monthly.target, {
    table: { project: "p", dataset: "crm_export", table: "accounts" },
    slot: "partition",
    partitioning: { type: "DAY", column: "day" },
  });
  assert.deepEqual([monthly.needs, monthly.deps, monthly.owners], [[], [], ["sales@example.org"]]);
  assert.ok(!("table" in monthly) && !("partitionBy" in monthly));

  const ingested = externalAsset({ key: "a", table, partitions: daily() });
  assert.deepEqual(ingested.target?.partitioning, { type: "DAY" });
  const whole = externalAsset({ key: "a", table, partitions: staticPartitions(["eu", "us"]) });
  assert.equal(whole.target?.slot, "table");

  const checked = externalAsset({ key: "a", table, checks: [check.rowCount({ min: 1 }, { blocking: false })] });
  const kinds = checked.needs.map((need) => [need.kind, "dataset" in need ? need.dataset : ""]);
  assert.deepEqual(kinds, [
    ["read-dataset", "crm_export"],
    ["run-jobs", ""],
  ]);
});

test("checks of other files add what they read to what an external asset needs", () => {
  const accounts = externalAsset({ key: "a", table });
  const few = assetCheck({ asset: accounts, name: "few", rowCount: { max: 9 } });
  const { definitions, problems } = collectDefinitions([{ file: "functions/a.ts", exports: { accounts, few } }]);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    allNeeds(definitions, accounts).map(({ kind }) => kind),
    ["read-dataset", "run-jobs"],
  );
});

test("a source needs what its resources need, and is looked at by the clock", () => {
  const source = (automation?: Parameters<typeof observableSource>[0]["automation"]) =>
    observableSource({
      key: "a",
      resources: { token: secret("token") },
      observe,
      ...(automation === undefined ? {} : { automation }),
    });
  assert.deepEqual(
    source().needs.map(({ kind }) => kind),
    ["secret"],
  );
  assert.equal(source().automation, undefined);
  assert.equal(source().target, undefined);
  const daily = { kind: "schedule", cron: "0 6 * * *", timeZone: "Europe/Berlin" };
  assert.deepEqual(source(onCron("0 6 * * *", "Europe/Berlin")).automation, daily);
  assert.deepEqual(source(onSchedule("0 6 * * *", "Europe/Berlin")).automation, daily);
  assert.equal(source(onInterval(Interval.Hourly)).automation?.kind, "schedule");
});

test("a table is made by one of the two: by an asset, or elsewhere; two may read it", () => {
  const made = asset({
    key: "made",
    target: { table: { dataset: "crm_export", table: "accounts" }, slot: "table" },
    materialize: async () => undefined,
  });
  const [one, two] = ["one", "two"].map((key) => externalAsset({ key, table }));
  const problemsOf = (...exports: readonly unknown[]): string[] =>
    collectDefinitions([{ file: "functions/a.ts", exports: { exports } }]).problems.map(messageOf);
  assert.deepEqual(problemsOf(one, two), []);
  for (const pair of [
    [one, made],
    [made, one],
  ]) {
    const problems = problemsOf(...pair);
    assert.equal(problems.length, 1);
    assert.match(
      problems[0] ?? "",
      /one is said to be made elsewhere, but its table crm_export\.accounts is written by made \(depend on made instead\)/,
    );
  }
});

test("a stub tells what it was called before, and that it is made elsewhere", () => {
  const stub = stubOf(externalAsset({ key: "crm/accounts", previousKeys: ["sales/accounts"], table }));
  assert.deepEqual(stub, {
    kind: "asset",
    key: "crm/accounts",
    previousKeys: ["sales/accounts"],
    external: true,
    target: { table: { dataset: "crm_export", table: "accounts" }, slot: "table" },
  });
});

test("nobody can materialize it, not even a test", async () => {
  const accounts = externalAsset({ key: "crm/accounts", table });
  // Whatever it is given.
  const call = accounts.materialize as unknown as () => Promise<unknown>;
  await assert.rejects(call(), /crm\/accounts is made elsewhere: Sluice cannot materialize it/);
});
