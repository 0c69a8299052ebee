/** What every constructor says of options that it does not know, or that are of another type. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import * as sluice from "../../lib/index.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { fromStub, stubOf } from "../../lib/core/stub.ts";

const { asset, assetCheck, assetSensor, bigquery, bigqueryTable, check, daily, dependsOn, eager, gcs, job } = sluice;
const { intervalGcsImportAsset, ioManager, multiAsset, objectSensor, observableSource, parquetFiles, pool } = sluice;
const { externalAsset, resource, secret, skip, sql, sqlAsset, staticPartitions, timePartitions, webhook } = sluice;

const schema = z.object({ a: z.string() });
const materialize = async (): Promise<undefined> => undefined;
const day = asset({ key: "x/day", target: "x.day", schema, partitions: daily(), materialize });
const tidy = job({ name: "tidy", run: materialize });
const gcsConfig = {
  keyPrefix: "git",
  name: "scores",
  bucketName: "drops",
  pathBase: "days",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "scores",
  rawDatasetName: "raw",
  cleanDatasetName: "clean",
  interval: "daily",
  mode: "overwrite",
  retentionDays: 10,
  format: "PARQUET",
} as const;

/** As code without types calls it. */
type Untyped = (...values: readonly unknown[]) => unknown;
const untyped = (constructor: unknown): Untyped => constructor as Untyped;

function problemsOf(make: () => unknown): readonly string[] {
  try {
    make();
    return [];
  } catch (error) {
    assert.ok(error instanceof DefinitionError, String(error));
    const { message, where, remedy } = error;
    const first = new DefinitionError(message, {
      ...(where === undefined ? {} : { where }),
      ...(remedy === undefined ? {} : { remedy }),
    });
    return [first, ...error.others].map(messageOf);
  }
}

const base = { key: "a/b", materialize };
type Case = readonly [constructor: unknown, values: readonly unknown[], problems: readonly string[]];

const cases: Readonly<Record<string, readonly Case[]>> = {
  "an asset": [
    [asset, [{ ...base, owners: "me" }], ['a/b.owners: expected a list of texts, got "me" (write […])']],
    [asset, [{ ...base, tags: ["daily"] }], ["a/b.tags: expected an object of texts, got a list (write { … })"]],
    [asset, [{ ...base, tags: { n: 1 } }], ["a/b.tags.n: expected a text, got 1"]],
    [
      asset,
      [{ ...base, automation: "eager" }],
      [
        'a/b.automation: expected a condition, got "eager" (use eager(), onMissing(), onCron("0 6 * * *"), onInterval(…) or onSchedule(…))',
      ],
    ],
    [
      asset,
      [{ ...base, automation: eager }],
      [
        'a/b.automation: expected a condition, got a function (use eager(), onMissing(), onCron("0 6 * * *"), onInterval(…) or onSchedule(…))',
      ],
    ],
    [
      asset,
      [{ ...base, resources: { db: { url: "x" } } }],
      [
        'a/b.resources.db: expected a resource, got an object (use bigquery(), gcs.read("gs://…"), gcs.write("gs://…"), secret("…") or resource({ create }))',
      ],
    ],
    [
      asset,
      [{ key: "a/b", materialise: materialize }],
      ['a/b.materialise: unknown option "materialise" (did you mean "materialize"?)'],
    ],
    [
      asset,
      [{ ...base, partition: daily() }],
      ['a/b.partition: unknown option "partition" (did you mean "partitions"?)'],
    ],
    [
      asset,
      [{ ...base, automaton: eager() }],
      ['a/b.automaton: unknown option "automaton" (did you mean "automation"?)'],
    ],
    [asset, [{ key: "a/b" }], ["a/b.materialize: expected a function, but there is none"]],
    [
      asset,
      [{ materialize }],
      ['asset.key: expected a key, but there is none (name it like "gitcoin/passport_scores")'],
    ],
    [asset, [undefined], ["asset: expected an object, but there is none"]],
    [
      asset,
      [{ ...base, partitions: { kind: "time", interval: "yearly" } }],
      [
        'a/b.partitions: expected partitions, got an object (use hourly(), daily({ start: "2024-05-01" }), weekly(), monthly() or staticPartitions(["a", "b"]))',
      ],
    ],
    [asset, [{ ...base, deps: "x/day" }], ['a/b.deps: expected a list of assets, got "x/day" (write […])']],
    [asset, [{ ...base, deps: [day, undefined] }], ["a/b.deps[1]: expected an asset, but there is none"]],
    [
      asset,
      [{ ...base, deps: [{ assets: [day] }] }],
      ["a/b.deps[0]: expected an asset, got an object (name one of its assets)"],
    ],
    [
      asset,
      [{ ...base, deps: [{ asset: day, partitions: "last" }] }],
      [
        'a/b.deps[0].partitions: expected a partition mapping, got "last" (use { kind: "same" }, "all", "last", "windows" or { kind: "offset", by: -1 })',
      ],
    ],
    [asset, [{ ...base, inputs: { day: "x/day" } }], ['a/b.inputs.day: expected an asset, got "x/day"']],
    [
      asset,
      [{ ...base, checks: [check.unique] }],
      ["a/b.checks[0]: expected a check, got a function (use check.unique(…), check.notNull(…), check.noRows(…), …)"],
    ],
    [
      asset,
      [{ ...base, config: { a: 1 } }],
      ["a/b.config: expected a zod object, got an object (write z.object({ … }))"],
    ],
    [
      asset,
      [{ ...base, config: z.string() }],
      ["a/b.config: expected a zod object, got an object (write z.object({ … }))"],
    ],
    [
      asset,
      [{ ...base, ioManager: "bigquery" }],
      [
        'a/b.ioManager: expected an I/O manager, got "bigquery" (use bigqueryTable(), parquetFiles({ … }) or ioManager({ … }))',
      ],
    ],
    [
      asset,
      [{ ...base, retention: { dais: 1 } }],
      ['a/b.retention.dais: unknown option "dais" (did you mean "days"?)'],
    ],
    [asset, [{ ...base, retry: 3 }], ["a/b.retry: expected an object, got 3"]],
    [asset, [{ ...base, retry: { on: { quota: 3 } } }], ["a/b.retry.on.quota: expected an object, got 3"]],
    [asset, [{ ...base, freshness: { within: 6 } }], ["a/b.freshness.within: expected a text, got 6"]],
    [
      asset,
      [{ ...base, freshness: { within: "6 hours" } }],
      ['a/b: "6 hours" is not a duration (write a number and s, m, h or d, such as 15m)'],
    ],
    [
      asset,
      [{ ...base, target: { slot: "tabel" } }],
      [
        "a/b.target.table: expected an object, but there is none",
        'a/b.target.slot: expected one of "table", "partition", got "tabel" (did you mean "table"?)',
      ],
    ],
    [
      asset,
      [{ key: ["a", ["b", "c"]], owners: 1, tgas: {}, materialize: true }],
      [
        'a/b/c.tgas: unknown option "tgas" (did you mean "tags"?)',
        "a/b/c.owners: expected a list of texts, got 1 (write […])",
        "a/b/c.materialize: expected a function, got true",
      ],
    ],
    [
      asset,
      [{ ...base, ioManager: bigqueryTable(), schema: z.object({ when: z.map(z.string(), z.string()) }) }],
      ["a/b: schema, field when: z.map() has no column type (an array of objects with a key and a value)"],
    ],
  ],
  "a sqlAsset": [
    [
      sqlAsset,
      [{ key: "a/b", sql: "SELECT 1" }],
      ['a/b.sql: expected a statement, got "SELECT 1" (write sql`SELECT …`)'],
    ],
    [
      sqlAsset,
      [{ key: "a/b", sql: sql`SELECT 1`, resources: {} }],
      [
        'a/b.resources: unknown option "resources" (known: "key", "previousKeys", "description", "owners", "group" and 20 more)',
      ],
    ],
    [
      sqlAsset,
      [{ key: "a/b", sql: sql`SELECT 1`, clusterBy: "a" }],
      ['a/b.clusterBy: expected a list of texts, got "a" (write […])'],
    ],
    [
      sqlAsset,
      [{ key: "a/b", sql: sql`SELECT 1`, schemaChange: "extent" }],
      ['a/b.schemaChange: expected one of "extend", "fail", got "extent" (did you mean "extend"?)'],
    ],
  ],
  "a multi-asset": [
    [
      multiAsset,
      [{ name: "m", assets: { one: { key: "a/one", schema } }, materialize }],
      [
        "multi-asset m.assets.one.ioManager: expected an I/O manager with a table, but there is none (use bigqueryTable())",
      ],
    ],
    [
      multiAsset,
      [{ name: "m", assets: [], materialize }],
      ["multi-asset m.assets: expected an object of outputs, got a list (write { … })"],
    ],
    [
      multiAsset,
      [{ name: "m", asets: {}, materialize, tags: {} }],
      [
        'multi-asset m.asets: unknown option "asets" (did you mean "assets"?)',
        'multi-asset m.tags: unknown option "tags" (known: "partitions", "deps", "config", "automation", "retry" and 12 more)',
      ],
    ],
  ],
  "what is made elsewhere": [
    [externalAsset, [{ key: "crm/x" }], ['crm/x.table: expected a table, but there is none (write "dataset.table")']],
    [
      externalAsset,
      [{ key: "crm/x", table: "crm.x", deps: [] }],
      ['crm/x.deps: unknown option "deps" (known: "key", "previousKeys", "description", "owners", "group" and 8 more)'],
    ],
    [
      observableSource,
      [{ key: "crm/x", obsrve: materialize }],
      ['crm/x.obsrve: unknown option "obsrve" (did you mean "observe"?)'],
    ],
    [
      observableSource,
      [{ key: "crm/x", observe: materialize, resources: [] }],
      ["crm/x.resources: expected an object of resources, got a list (write { … })"],
    ],
  ],
  "a sensor": [
    [assetSensor, [{ name: "s", job: tidy, evaluate: skip }], ["sensor s.asset: expected an asset, but there is none"]],
    [
      assetSensor,
      [{ name: "s", asset: { assets: [day] }, job: tidy, evaluate: skip }],
      ["sensor s.asset: expected an asset, got an object (name one of its assets)"],
    ],
    [
      assetSensor,
      [{ name: "s", asset: day, job: "tidy", evaluate: skip }],
      ['sensor s.job: expected a job, got "tidy"'],
    ],
    [
      objectSensor,
      [{ name: "s", bucket: "drops", job: tidy, evaluate: skip, defaultStatus: "stoped" }],
      ['sensor s.defaultStatus: expected one of "running", "stopped", got "stoped" (did you mean "stopped"?)'],
    ],
    [
      objectSensor,
      [{ name: "s", bucket: "Drops", job: tidy, evaluate: skip }],
      [
        'sensor s: "Drops" is not a legal bucket name (use 3 to 63 lower-case letters, digits, -, _ and dots, beginning and ending with a letter or digit)',
      ],
    ],
  ],
  "a job, a pool, an alert": [
    [job, [{ name: "j" }], ["job j.run: expected a function, but there is none"]],
    [job, [{ run: materialize }], ["job.name: expected a text, but there is none"]],
    [
      job,
      [{ name: "j", run: materialize, resource: {} }],
      ['job j.resource: unknown option "resource" (did you mean "resources"?)'],
    ],
    [pool, [{ name: "p", limt: 3 }], ['pool p.limt: unknown option "limt" (did you mean "limit"?)']],
    [
      sluice.alert,
      [{ name: "a", on: "run.failed", to: "x" }],
      [
        'alert a.on: expected a list of texts, got "run.failed" (write […])',
        'alert a.to: expected where it goes, got "x" (use webhook({ url: secret("…") }) or pubsubTopic("…"))',
      ],
    ],
    [
      webhook,
      [{ url: "https://example.org" }],
      ['webhook.url: expected a secret, got "https://example.org" (write url: secret("slack_url"))'],
    ],
  ],
  "a check": [
    [
      assetCheck,
      [{ name: "c", asset: day, sql: "SELECT 1" }],
      ['check c.sql: expected a statement, got "SELECT 1" (write sql`SELECT …`)'],
    ],
    [
      assetCheck,
      [{ name: "c", asset: day, rowCount: { mn: 1 } }],
      ['check c.rowCount.mn: unknown option "mn" (did you mean "min"?)'],
    ],
    [
      check.unique,
      ["a", { blockng: true }],
      ['check unique_a.blockng: unknown option "blockng" (did you mean "blocking"?)'],
    ],
    [
      check.noRows,
      ["none", "SELECT 1"],
      ['check none.sql: expected a statement, got "SELECT 1" (write sql`SELECT …`)'],
    ],
    [check.custom, ["c", undefined], ["check c.evaluate: expected a function, but there is none"]],
    [
      check.custom,
      ["c", materialize, { name: "d" }],
      ['check c.name: unknown option "name" (known: "blocking", "severity", "description", "resources", "schema")'],
    ],
    [
      check.references,
      ["a", { assets: [] }],
      ["check references_a.asset: expected an asset, got an object (name one of its assets)"],
    ],
    [check.references, ["a", day, "zzz"], ['references_a: the schema of x/day has no column "zzz" (known: "a")']],
    [check.references, ["b", day], ['references_b: the schema of x/day has no column "b" (known: "a")']],
  ],
  "an I/O manager": [
    [
      bigqueryTable,
      [{ writeDispositon: "append" }],
      ['bigqueryTable.writeDispositon: unknown option "writeDispositon" (did you mean "writeDisposition"?)'],
    ],
    [
      bigqueryTable,
      [{ onInvalidRow: "drop" }],
      ['bigqueryTable.onInvalidRow: expected one of "fail", "discard", got "drop"'],
    ],
    [parquetFiles, [{}], ["parquetFiles.location: expected a text, but there is none"]],
    [
      parquetFiles,
      [{ location: "gs://pq/x" }],
      [
        'parquetFiles.location: "pq" is not a legal bucket name (use 3 to 63 lower-case letters, digits, -, _ and dots, beginning and ending with a letter or digit)',
      ],
    ],
    [ioManager, [{ write: materialize }], ["ioManager.read: expected a function, but there is none"]],
  ],
  "a resource": [
    [resource, [{}], ["resource.create: expected a function, but there is none"]],
    [
      resource,
      [{ create: materialize, needs: secret("s").needs[0] }],
      ["resource.needs: expected a list of needs, got an object (write […])"],
    ],
    [
      bigquery,
      [{ maximumBytesBiled: 1 }],
      ['bigquery.maximumBytesBiled: unknown option "maximumBytesBiled" (did you mean "maximumBytesBilled"?)'],
    ],
    [secret, [undefined], ["the secret name undefined is not legal (use letters, digits, _ and -)"]],
    [gcs.read, [undefined], ["undefined is not a bucket location (write gs://bucket/prefix)"]],
    [
      gcs.delete,
      ["gs://drops/x"],
      [
        "gcs.delete: gs://drops/x is not said to be loaded by any asset (name the asset whose loaded objects may go: gcs.delete(uri, asset))",
      ],
    ],
    ...(["pq", "Drops", "a_b-", "goog-x", "1.2.3.4", "x".repeat(64)] as const).flatMap((bucket): Case[] =>
      [gcs.read, gcs.write].map((access): Case => [
        access,
        [`gs://${bucket}/x`],
        [
          `${JSON.stringify(bucket)} is not a legal bucket name (use 3 to 63 lower-case letters, digits, -, _ and dots, beginning and ending with a letter or digit)`,
        ],
      ]),
    ),
  ],
  "partitions and dependencies": [
    [
      timePartitions,
      ["yearly"],
      ['timePartitions.interval: expected one of "hourly", "daily", "weekly", "monthly", got "yearly"'],
    ],
    [daily, [{ strat: "2024-05-01" }], ['daily.strat: unknown option "strat" (did you mean "start"?)']],
    [daily, ["2024-05-01"], ['daily: expected an object, got "2024-05-01"']],
    [staticPartitions, ["a"], ['staticPartitions.keys: expected a list of texts, got "a" (write […])']],
    [
      dependsOn,
      [day, "all"],
      [
        'dependsOn.partitions: expected a partition mapping, got "all" (use { kind: "same" }, "all", "last", "windows" or { kind: "offset", by: -1 })',
      ],
    ],
  ],
  "the interval import": [
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, retentionDays: "10" }],
      ['git/scores.retentionDays: expected number ≥ 1, got "10"'],
    ],
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, retentionDays: 0 }],
      ["git/scores.retentionDays: expected number ≥ 1, got 0"],
    ],
    [
      intervalGcsImportAsset,
      [
        {
          ...gcsConfig,
          retentionDays: undefined,
          retentionDay: 10,
          interval: "dayly",
          format: 5,
          csv: { nulMarker: "x" },
        },
      ],
      [
        'git/scores.retentionDay: unknown option "retentionDay" (did you mean "retentionDays"?)',
        'git/scores.csv.nulMarker: unknown option "nulMarker" (did you mean "nullMarker"?)',
        'git/scores.interval: expected one of "hourly", "daily", "weekly", "monthly", got "dayly" (did you mean "daily"?)',
        'git/scores.format: expected one of "PARQUET", "CSV", "NEWLINE_DELIMITED_JSON", "AVRO", "ORC", got 5',
      ],
    ],
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, asset: { ownrs: ["me"] } }],
      ['git/scores.asset.ownrs: unknown option "ownrs" (did you mean "owners"?)'],
    ],
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, asset: { owners: "me" } }],
      ['git/scores.asset.owners: expected a list of texts, got "me" (write […])'],
    ],
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, bucketName: "pq" }],
      [
        'git/scores: "pq" is not a legal bucket name (use 3 to 63 lower-case letters, digits, -, _ and dots, beginning and ending with a letter or digit)',
      ],
    ],
    [
      intervalGcsImportAsset,
      [{ ...gcsConfig, keyPrefix: ["a", "b"], destinationTable: "my-table" }],
      [
        'a/b/scores: table "my-table" is not a legal name (use letters, digits and underscores, not starting with a digit)',
      ],
    ],
    [intervalGcsImportAsset, [undefined], ["intervalGcsImportAsset: expected object, but there is none"]],
  ],
};

for (const [what, list] of Object.entries(cases)) {
  describe(what, () => {
    for (const [constructor, values, expected] of list) {
      test(expected[0] ?? "", () =>
        assert.deepEqual(
          problemsOf(() => untyped(constructor)(...values)),
          expected,
        ),
      );
    }
  });
}

describe("what is in order", () => {
  test("is taken: options that are there and undefined, and stubs in the place of other files' definitions", () => {
    const stub = fromStub(stubOf(day));
    const jobStub = fromStub(stubOf(tidy));
    const poolStub = fromStub(stubOf(pool({ name: "p", limit: 1 })));
    const made = [
      () => untyped(asset)({ ...base, owners: undefined, whatever: undefined }),
      () =>
        untyped(asset)({
          ...base,
          deps: [stub, "x/y", dependsOn(day, { kind: "last" })],
          inputs: { stub },
          pool: poolStub,
        }),
      () => untyped(assetSensor)({ name: "s", asset: stub, job: jobStub, evaluate: skip }),
      () => untyped(assetSensor)({ name: "s", asset: day, target: stub, evaluate: skip }),
      () => untyped(check.references)("a", stub, "zzz"),
      () => check.references("a", day, "A"),
      () => parquetFiles({ location: "gs://my.bucket_1/x" }),
    ];
    for (const make of made) assert.deepEqual(problemsOf(make), []);
  });

  test("an error of several problems is one line", () => {
    assert.throws(
      () => untyped(job)({ name: "j", rum: 1 }),
      (error) => messageOf(error) === 'job j.rum: unknown option "rum" (did you mean "run"?)',
    );
    assert.throws(
      () => untyped(job)({ name: "j", run: 1, x: 1, retry: 2 }),
      (error) =>
        messageOf(error) ===
        'job j.x: unknown option "x" (known: "name", "description", "resources", "config", "retry" and 2 more); job j.retry: expected an object, got 2; job j.run: expected a function, got 1',
    );
  });
});
