/** What cannot be deployed is refused before anything is, with its number and what to do. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  asset,
  assetSensor,
  bigquery,
  daily,
  eager,
  gcs,
  hourly,
  job,
  monthly,
  objectSensor,
  onSchedule,
  resource,
  skip,
  weekly,
} from "../../../lib/index.ts";
import type { PartitionsDefinition } from "../../../lib/index.ts";
import { definitionsOf, environment, refusals } from "../../support/infra.ts";

const nothing = async (): Promise<void> => undefined;
const plain = (key: string) => asset({ key, materialize: nothing });
const many = (count: number) => ({ "a.ts": { all: Array.from({ length: count }, (_, n) => plain(`a/n${n}`)) } });
const source = (bucket: string, pathBase = "in") =>
  ({
    bucket,
    pathBase,
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/x\.csv`,
    interval: "daily",
  }) as const;
const loaded = (key: string, files = source("drops"), more = {}) =>
  asset({ key, source: files, target: "a.t", materialize: nothing, ...more });
const partitioned = (partitions: PartitionsDefinition) =>
  asset({ key: "a/t", partitions, resources: { bigquery: bigquery() }, materialize: nothing });
const byHand = resource({ needs: [{ kind: "write-dataset", dataset: "log", reason: "keeps a log" }], create: () => 1 });
const BESIDE = { namePrefix: "dev-", datasetSuffix: "_dev" };

type Files = Parameters<typeof definitionsOf>[0];

const table: readonly (readonly [
  what: string,
  files: Files,
  fields: Readonly<Record<string, unknown>>,
  expected: RegExp,
])[] = [
  [
    "more functions than a region holds",
    many(1_000),
    {},
    /^environment prod: it has 1,001 functions in europe-west1, and 1,000 are the most \(make assets together by multiAsset/,
  ],
  [
    "more service accounts than a project has",
    many(100),
    { accounts: "asset" },
    /it has 104 service accounts in own-project, and 100 are the most \(use accounts: "file" or "group"/,
  ],
  [
    "more scheduler jobs than were granted",
    { "a.ts": { one: asset({ key: "a/one", automation: onSchedule("0 4 * * *"), materialize: nothing }) } },
    { quotas: { schedulerJobs: 1 } },
    /it has 2 scheduler jobs in europe-west1, and 1 are the most \(let assets follow their upstreams by eager\(\)/,
  ],
  [
    "more roles than one policy holds",
    many(760),
    { accounts: "asset", quotas: { serviceAccounts: 2_000 } },
    /it has 1,5\d\d roles in the policy of the bucket own-project-sluice-staging, and 1,500 are the most \(use accounts: "file" or "group"\)/,
  ],
  [
    "buckets with names that are too long",
    many(1),
    { project: "a-project-of-thirty-characters", namePrefix: "sixteen-letters-", stagingBucket: "s".repeat(64) },
    /the bucket s{64} has 64 characters, and Cloud Storage takes 63/,
  ],
  [
    "more triggers than Eventarc has",
    many(501),
    { triggers: "eventarc" },
    /it has 501 Eventarc triggers in europe-west1, and 500 are the most/,
  ],
  [
    "more hours than a table has partitions",
    { "a.ts": { t: partitioned(hourly({ start: "2024-01-01T00", end: "2025-02-20T17" })) } },
    {},
    /^functions\/a\.ts t: a\/t has 10,001 partitions of a\.t, and a table holds 10,000 \(use a longer interval/,
  ],
  [
    "a bucket that the dataset cannot load from",
    { "a.ts": { t: loaded("a/t") } },
    { buckets: { drops: { location: "US" } } },
    /^functions\/a\.ts t: a\/t is loaded from gs:\/\/drops in US into a dataset in EU, which BigQuery cannot do/,
  ],
  [
    "two names that are one in the cloud",
    { "a.ts": { one: plain("a/b_c"), two: plain("a/b/c") } },
    {},
    /^functions\/a\.ts two: asset a\/b_c and asset a\/b\/c would both be called asset-a-b-c \(rename one/,
  ],
  [
    "a sensor that is called as a bucket is",
    {
      "a.ts": {
        one: plain("a/one"),
        eye: objectSensor({ name: "drops", bucket: "drops", target: { key: "a/one" }, evaluate: () => skip("no") }),
      },
    },
    {},
    /sensor drops and bucket drops would both be called sensor-drops/,
  ],
  [
    "files whose accounts would be one",
    { "crm/a.ts": { one: plain("a/one") }, "crm-a.ts": { two: plain("a/two") } },
    {},
    /the service account fn-crm-a is one that runs what functions\/crm\/a\.ts defines, and one that runs what functions\/crm-a\.ts defines/,
  ],
  [
    "a schedule that only other crons know",
    { "a.ts": { one: asset({ key: "a/one", automation: onSchedule("0 0 L * *"), materialize: nothing }) } },
    {},
    /the schedule "0 0 L \* \*" of a\/one has the field L, which Cloud Scheduler does not know/,
  ],
  [
    "a schedule with seconds",
    { "a.ts": { one: asset({ key: "a/one", automation: onSchedule("0 0 4 * * *"), materialize: nothing }) } },
    {},
    /has 6 fields, and Cloud Scheduler takes 5 \(write minute, hour, day/,
  ],
  [
    "a time for what has no schedule",
    { "a.ts": { one: plain("a/one") } },
    { schedules: { "a/one": { cron: "0 4 * * *" } } },
    /"a\/one" has no schedule that could be another one/,
  ],
  [
    "a size for no function",
    { "a.ts": { one: plain("a/one") } },
    { sizes: { "asset a/onne": { cpu: 2 } } },
    /there is no function of "asset a\/onne" \(did you mean "asset a\/one"\?\)/,
  ],
  [
    "a trigger for a bucket that is nobody knows where",
    { "a.ts": { t: loaded("a/t") } },
    { triggers: "eventarc" },
    /buckets\.drops: a trigger for bucket\.drops has to be where the bucket is \(say where it is/,
  ],
  [
    "code that would write another environment's dataset",
    { "a.ts": { one: asset({ key: "a/one", resources: { byHand }, materialize: nothing }) } },
    BESIDE,
    /^functions\/a\.ts one: asset a\/one writes the dataset log by its own code \(keeps a log\), which other environments write too/,
  ],
  [
    "an asset that writes what starts it",
    { "a.ts": { t: loaded("a/t", source("drops", "in"), { resources: { files: gcs.write("gs://drops/in/out") } }) } },
    {},
    /^functions\/a\.ts t: what asset a\/t writes to gs:\/\/drops\/in\/out starts it again, for ever \(write to another prefix/,
  ],
  [
    "an asset whose follower writes what starts it",
    {
      "a.ts": {
        t: loaded("a/t"),
        down: asset({
          key: "a/down",
          deps: ["a/t"],
          automation: eager(),
          resources: { files: gcs.write("gs://drops") },
          materialize: nothing,
        }),
      },
    },
    {},
    /what asset a\/down writes to gs:\/\/drops\/ starts asset a\/t → asset a\/down again, for ever/,
  ],
  [
    "a job that writes what its sensor sees",
    (() => {
      const tidy = job({ name: "tidy", resources: { files: gcs.write("gs://drops/x") }, run: nothing });
      return {
        "a.ts": {
          tidy,
          eye: objectSensor({ name: "eye", bucket: "drops", prefix: "x/y", job: tidy, evaluate: () => skip("no") }),
        },
      };
    })(),
    {},
    /what job tidy writes to gs:\/\/drops\/x starts sensor eye → job tidy again/,
  ],
  [
    "more prefixes of a bucket than a policy has conditions",
    {
      "a.ts": {
        all: Array.from({ length: 21 }, (_, n) =>
          asset({ key: `a/n${n}`, resources: { files: gcs.read(`gs://drops/p${n}`) }, materialize: nothing }),
        ),
      },
    },
    {},
    /it has 21 prefixes for which .*fn-a.* has roles\/storage\.objectViewer on gs:\/\/drops, and 20 are the most/,
  ],
];

describe("refused", () => {
  for (const [what, files, fields, expected] of table) {
    test(what, () => {
      const lines = refusals(definitionsOf(files), fields);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0] ?? "", expected);
    });
  }

  test("two environments that write the same datasets", () => {
    const far = asset({ key: "a/far", target: "shared-project.a.far", materialize: nothing });
    const own = asset({ key: "b/own", target: "b.own", materialize: nothing });
    const definitions = definitionsOf({ "a.ts": { far, own } });
    const elsewhere = environment({ project: "other-project" }, "dev");
    assert.deepEqual(refusals(definitions, {}, [elsewhere]), [
      'environment dev: prod and dev both write shared-project.a (give one of them a datasetSuffix such as "_dev")',
    ]);
    const beside = environment({ namePrefix: "dev-" }, "dev");
    assert.match(refusals(definitions, {}, [beside]).join(), /both write own-project\.b, shared-project\.a/);
    assert.deepEqual(refusals(definitions, {}, [environment(BESIDE, "dev"), environment({})]), []);
  });

  test("all that is wrong is told at once", () => {
    const definitions = definitionsOf({ "a.ts": { one: plain("a/b_c"), two: plain("a/b/c"), t: loaded("a/t") } });
    assert.equal(refusals(definitions, { buckets: { drops: { location: "US" } }, sizes: { x: {} } }).length, 3);
  });
});

describe("not refused", () => {
  const fine: readonly (readonly [string, Files, Readonly<Record<string, unknown>>])[] = [
    ["as many functions as a region holds", many(999), {}],
    ["more, where they were granted", many(1_000), { quotas: { functions: 2_000 } }],
    [
      "as many hours as a table has partitions",
      { "a.ts": { t: partitioned(hourly({ start: "2024-01-01T00", end: "2025-02-20T16" })) } },
      {},
    ],
    [
      "days, weeks and months of a lifetime",
      { "a.ts": { t: partitioned(daily({ start: "2000-01-01", end: "2027-01-01" })) } },
      {},
    ],
    ["weeks", { "a.ts": { t: partitioned(weekly({ start: "1900-01-01", end: "2050-01-03" })) } }, {}],
    ["months", { "a.ts": { t: partitioned(monthly({ start: "1700-01", end: "2500-01" })) } }, {}],
    ["hours without an end", { "a.ts": { t: partitioned(hourly({ start: "2000-01-01T00" })) } }, {}],
    ["a bucket of which nothing is known", { "a.ts": { t: loaded("a/t") } }, {}],
    [
      "writing beside what is watched",
      { "a.ts": { t: loaded("a/t", source("drops", "in"), { resources: { files: gcs.write("gs://drops/inner") } }) } },
      {},
    ],
    [
      "a follower that writes elsewhere, and a sensor on what it writes that asks for something else",
      (() => {
        const t = loaded("a/t");
        const tidy = job({ name: "tidy", run: nothing });
        const down = asset({
          key: "a/down",
          deps: [t],
          automation: eager(),
          resources: { files: gcs.write("gs://out") },
          materialize: nothing,
        });
        const eye = objectSensor({ name: "eye", bucket: "out", job: tidy, evaluate: () => skip("no") });
        const ear = assetSensor({ name: "ear", asset: t, job: tidy, evaluate: () => skip("no") });
        return { "a.ts": { t, down, tidy, eye, ear } };
      })(),
      {},
    ],
    [
      "code that writes a dataset of its own, where nobody else does",
      { "a.ts": { one: asset({ key: "a/one", resources: { byHand }, materialize: nothing }) } },
      {},
    ],
  ];
  for (const [what, files, fields] of fine)
    test(what, () => assert.deepEqual(refusals(definitionsOf(files), fields), []));
});
