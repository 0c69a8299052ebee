import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compile } from "../../infra/compile.ts";
import { parseEnvironments } from "../../infra/environments.ts";
import { manifestSchema, manifestText } from "../../infra/manifest.ts";
import type { Manifest } from "../../infra/manifest.ts";
import { pubsubFault } from "../../infra/names.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { readConfig } from "../../lib/cloud/config.ts";
import { consumersOf, topicOfSource } from "../../lib/cloud/unit.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import { unitsOf } from "../../lib/core/units.ts";
import {
  asset,
  assetSensor,
  eager,
  Interval,
  job,
  multiAsset,
  objectSensor,
  onInterval,
  onSchedule,
  bigqueryTable,
  skip,
} from "../../lib/index.ts";
import { z } from "zod";
import { compiled, definitionsOf, environment, FIRESTORE } from "../support/infra.ts";
import { ROOT } from "../support/tree.ts";

const nothing = async (): Promise<void> => undefined;

test("infra/manifest.json is what the definitions compile to", async () => {
  const file = "infra/environments.json";
  const environments = parseEnvironments(JSON.parse(readFileSync(join(ROOT, file), "utf8")), file);
  const { definitions } = await functionsLoader(ROOT).load();
  const options = {
    definitions,
    environment: environments.find("prod"),
    firestore: FIRESTORE,
    others: environments.named,
  };
  const { manifest, problems } = compile(options);
  assert.deepEqual(problems, []);
  const fresh = manifestText(manifest);
  const committed = readFileSync(join(ROOT, "infra/manifest.json"), "utf8");
  assert.deepEqual(manifestSchema.parse(JSON.parse(committed)), JSON.parse(committed));
  assert.ok(
    fresh === committed,
    "infra/manifest.json is out of date: run `npx sluice compile`, and review the difference",
  );
  assert.equal(manifestText(compile(options).manifest), fresh);
  // Every other environment of the example can be deployed as well, also in gcloud's standard form.
  for (const name of ["staging", "pr-42"]) {
    const other = environments.find(name);
    assert.deepEqual(compile({ ...options, environment: other }).problems, [], name);
    assertWhole(definitions, compile({ ...options, environment: other }).manifest);
    const buckets = Object.fromEntries(manifest.notifications.map(({ bucket }) => [bucket, { location: "EU" }]));
    const standard = { ...other, triggers: "eventarc" as const, buckets };
    const { manifest: made, problems: wrong } = compile({ ...options, environment: standard });
    assert.deepEqual(wrong, [], name);
    assertWhole(definitions, made);
  }
});

/** Every name legal and there once; every message has a way; whoever delivers it may; and every function can read its settings. */
function assertWhole(definitions: Definitions, manifest: Manifest): void {
  manifestSchema.parse(JSON.parse(manifestText(manifest)));
  const { topics, subscriptions, functions, accounts, bindings, schedules } = manifest;
  const prefix = manifest.environment.namePrefix;
  for (const list of [topics, subscriptions, functions, accounts, schedules, manifest.datasets]) {
    const names = list.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)].sort());
  }
  for (const { name } of [...topics, ...subscriptions]) assert.equal(pubsubFault(name), undefined, name);
  for (const { name } of functions) assert.match(name, /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
  for (const { name } of accounts) assert.match(name, /^[a-z](?:[a-z0-9-]{4,28}[a-z0-9])$/);
  for (const { name } of schedules) assert.match(name, /^[A-Za-z0-9_-]{1,500}$/);

  const topicNames = new Set([...topics.map(({ name }) => name), ...manifest.deadLetters.map(({ topic }) => topic)]);
  const functionOf = new Map(functions.map((made) => [made.name, made]));
  const emails = new Set(accounts.map(({ email }) => email));
  const may = new Set(
    bindings.map(({ resource, role, member }) => `${member} ${role} ${resource.kind} ${resource.name}`),
  );
  for (const { topic, push } of subscriptions) {
    assert.ok(topicNames.has(topic), topic);
    assert.ok(functionOf.has(push.function), push.function);
    assert.ok(may.has(`serviceAccount:${push.account} roles/run.invoker function ${push.function}`), push.function);
  }
  for (const { env, serviceAccount, name } of functions) {
    assert.ok(emails.has(serviceAccount), name);
    const config = readConfig(env);
    assert.equal(config.project, manifest.environment.project);
    assert.ok(manifest.buckets.some(({ name }) => name === config.stagingBucket));
    assert.equal(config.queue, manifest.queues[0]?.name);
    assert.ok(emails.has(config.taskAccount));
  }
  for (const { target } of schedules)
    assert.ok(target.kind === "topic" ? topicNames.has(target.topic) : functionOf.has(target.function));
  for (const { topic } of manifest.notifications) assert.ok(topicNames.has(topic));

  // As the function itself does it: by the path of a push, or by the source of an event.
  const units = unitsOf(definitions);
  const reached = new Map<string, number>();
  for (const { unit: id, name, trigger } of functions) {
    const unit = { ...(units.find((one) => one.id === id) ?? assert.fail(id)), definitions };
    const paths = subscriptions.filter(({ push }) => push.function === name).map(({ push }) => push.path);
    const source =
      trigger?.kind === "topic"
        ? `//pubsub.googleapis.com/projects/p/topics/${trigger.topic}`
        : trigger === undefined
          ? undefined
          : `//storage.googleapis.com/projects/_/buckets/${trigger.filters.bucket}`;
    const found = [
      ...paths.flatMap((path) => consumersOf(unit, path, undefined)),
      ...(source === undefined ? [] : consumersOf(unit, "/", topicOfSource(source, prefix))),
    ];
    for (const consumer of found) {
      const key = JSON.stringify(consumer);
      reached.set(key, (reached.get(key) ?? 0) + 1);
    }
  }
  const wanted = Map.groupBy(subscriptionsOf(definitions), ({ consumer }) => JSON.stringify(consumer));
  for (const [consumer, plans] of wanted) assert.ok((reached.get(consumer) ?? 0) >= plans.length, consumer);
}

describe("the manifest", () => {
  test("is whole whatever the keys, in both forms of triggers", () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,60}$/);
    const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    const keys = fc.uniqueArray(key, {
      minLength: 1,
      maxLength: 8,
      selector: (text) => text.toLowerCase().replaceAll(/[/_-]+/g, "-"),
    });
    fc.assert(
      fc.property(
        keys,
        fc.constantFrom("push", "eventarc"),
        fc.constantFrom("file", "asset"),
        (names, triggers, accounts) => {
          const assets = names.map((name, index) =>
            asset({
              key: name,
              deps: names.slice(0, index),
              automation: index % 2 === 0 ? eager() : onInterval("daily"),
              materialize: nothing,
            }),
          );
          const tidy = job({ name: "tidy", run: nothing });
          const ear = assetSensor({
            name: "ear",
            asset: assets[0] ?? assert.fail(),
            job: tidy,
            evaluate: () => skip("no"),
          });
          const eye = objectSensor({ name: "eye", bucket: "drops", job: tidy, evaluate: () => skip("no") });
          const definitions = definitionsOf({
            "one.ts": { assets: assets.slice(0, 3) },
            "two.ts": { assets: assets.slice(3), ear, eye, tidy },
          });
          const buckets = { drops: { location: "EU" } };
          const { manifest, problems } = compiled(definitions, {
            triggers,
            accounts,
            namePrefix: "dev-",
            datasetSuffix: "_dev",
            buckets,
          });
          assert.deepEqual(problems, []);
          assertWhole(definitions, manifest);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("two keys that are as long as can be make names that are cut, and stay apart", () => {
    const long = (end: string) => `${"a".repeat(99)}/${"b".repeat(99)}${end}`;
    const ups = ["1", "2"].map((end) => asset({ key: long(end), materialize: nothing }));
    const down = asset({ key: long("3"), deps: ups, automation: eager(), materialize: nothing });
    const definitions = definitionsOf({ "long.ts": { ups, down } });
    const { manifest, problems } = compiled(definitions);
    assert.deepEqual(problems, []);
    assertWhole(definitions, manifest);
    assert.equal(Math.max(...manifest.subscriptions.map(({ name }) => name.length)), 255);
    // The path is not cut: it says which subscription it is.
    assert.ok(manifest.subscriptions.some(({ push }) => push.path.length > 400));
  });

  test("gcloud's standard form has one trigger a function, always with retry, and subscriptions for the other topics", () => {
    const up = asset({ key: "a/up", materialize: nothing });
    const down = asset({ key: "a/down", deps: [up], automation: eager(), materialize: nothing });
    const eye = objectSensor({ name: "eye", bucket: "drops", target: up, evaluate: () => skip("no") });
    const { manifest } = compiled(definitionsOf({ "a.ts": { up, down, eye } }), {
      triggers: "eventarc",
      buckets: { drops: { location: "US" } },
    });
    const account = "sluice-push@own-project.iam.gserviceaccount.com";
    assert.deepEqual(Object.fromEntries(manifest.functions.map(({ unit, trigger }) => [unit, trigger])), {
      "asset a/down": { kind: "topic", topic: "asset.a.down", retry: true, account },
      "asset a/up": { kind: "topic", topic: "asset.a.up", retry: true, account },
      reconcile: undefined,
      "bucket drops": {
        kind: "finalize",
        filters: { type: "google.cloud.storage.object.v1.finalized", bucket: "drops" },
        location: "us",
        retry: true,
        account,
      },
      "sensor eye": { kind: "topic", topic: "sensor.eye", retry: true, account },
    });
    assert.deepEqual(
      manifest.subscriptions.map(({ name }) => name),
      ["asset.a.down.follows.materialized.a.up", "bucket.drops", "dead-letters.reconcile"],
    );
    assert.deepEqual(manifest.notifications, []);
    assert.ok(manifest.apis.includes("eventarc.googleapis.com"));
  });

  test("subscriptions are set as the transport needs it", () => {
    const { delivery, deadLetters, subscriptions } = compiled(definitionsOf({})).manifest;
    // Dead letters are written down by reconcile, and do not go in circles.
    assert.deepEqual(
      subscriptions.map(({ topic, push, lastStop }) => [topic, push.function, push.path, lastStop]),
      [["dead-letters", "reconcile", "/dead-letters", true]],
    );
    assert.deepEqual(delivery, {
      ackDeadlineSeconds: 600,
      retentionSeconds: 604_800,
      minBackoffSeconds: 10,
      maxBackoffSeconds: 600,
      deadLetterTopic: "dead-letters",
      maxDeliveryAttempts: 100,
      neverExpires: true,
    });
    assert.deepEqual(
      deadLetters.map(({ topic, subscription }) => [topic, subscription]),
      [["dead-letters", "dead-letters"]],
    );
  });

  test("a dataset of staging alone empties itself, one that shows anything does not", () => {
    const target = (table: string, stagingDataset: string) => ({
      table: { dataset: table, table: "t" },
      slot: "table" as const,
      stagingDataset,
    });
    const one = asset({ key: "a/one", target: target("shown", "raw"), materialize: nothing });
    const two = asset({ key: "a/two", target: target("other", "shown"), materialize: nothing });
    const { datasets } = compiled(definitionsOf({ "a.ts": { one, two } }), { stagingTableDays: 5 }).manifest;
    assert.deepEqual(
      datasets.map(({ name, defaultTableExpirationSeconds: after }) => [name, after]),
      [
        ["other", undefined],
        ["raw", 432_000],
        ["shown", undefined],
      ],
    );
  });

  test("the database carries the indexes and the fields of the event store", () => {
    const { firestore } = compiled(definitionsOf({})).manifest;
    assert.equal(firestore.indexes.length, FIRESTORE.indexes.length);
    assert.equal(firestore.fields.length, FIRESTORE.fields.length);
    assert.ok(firestore.fields.some((field) => "ttl" in field));
  });
});

describe("schedules", () => {
  const scheduled = (count: number, automation = onInterval(Interval.Daily)) =>
    definitionsOf({
      "a.ts": {
        all: Array.from({ length: count }, (_, n) => asset({ key: `a/n${n}`, automation, materialize: nothing })),
      },
    });
  const cronsOf = (definitions: Definitions, fields = {}) =>
    compiled(definitions, fields)
      .manifest.schedules.filter(({ name }) => name !== "reconcile")
      .map(({ name, cron, timeZone }) => [name, cron, timeZone]);

  test("a hundred daily assets are spread over the hour, each at its own minute for ever", () => {
    const minutes = cronsOf(scheduled(100)).map(([, cron = ""]) => Number(cron.split(" ")[0]));
    assert.equal(minutes.length, 100);
    assert.ok(new Set(minutes).size > 30, `${new Set(minutes).size} minutes`);
    assert.ok(minutes.every((minute) => minute >= 0 && minute <= 50));
    const busiest = Math.max(...[...Map.groupBy(minutes, (minute) => minute).values()].map(({ length }) => length));
    assert.ok(busiest <= 8, `${busiest} in one minute`);
    const few = cronsOf(scheduled(3));
    assert.deepEqual(
      few,
      cronsOf(scheduled(100)).filter(([name]) => few.some(([own]) => own === name)),
    );
  });

  test("intervals keep their hour, day and month; hours are spread less", () => {
    for (const [interval, rest, most] of [
      [Interval.Hourly, "* * * *", 10],
      [Interval.Weekly, "0 * * 1", 50],
      [Interval.Monthly, "0 1 * *", 50],
    ] as const) {
      const crons = cronsOf(scheduled(20, onInterval(interval))).map(([, cron = ""]) => cron);
      assert.ok(
        crons.every((cron) => cron.endsWith(` ${rest}`) && Number(cron.split(" ")[0]) <= most),
        interval,
      );
    }
  });

  test("a line of the author's own is kept to the minute, and an environment may say when and how far", () => {
    const own = asset({ key: "a/own", automation: onSchedule("5 6 * * 1-5", "Europe/Berlin"), materialize: nothing });
    const day = asset({ key: "a/day", automation: onInterval("daily"), materialize: nothing });
    const definitions = definitionsOf({ "a.ts": { own, day } });
    assert.deepEqual(cronsOf(definitions, { spreadMinutes: { daily: 0 } }), [
      ["schedule-a-day", "0 0 * * *", "UTC"],
      ["schedule-a-own", "5 6 * * 1-5", "Europe/Berlin"],
    ]);
    assert.deepEqual(cronsOf(definitions, { schedules: { "a/day": { cron: "7 3 * * *" } } })[0], [
      "schedule-a-day",
      "7 3 * * *",
      "UTC",
    ]);
  });

  test("outputs of one multi-asset that are due together are one message to its job", () => {
    const schema = z.object({ a: z.string() });
    const output = (key: string, cron?: string) => ({
      key,
      schema,
      ioManager: bigqueryTable(),
      ...(cron === undefined ? {} : { automation: onSchedule(cron) }),
    });
    const both = multiAsset({
      name: "both",
      assets: { one: output("m/one"), two: output("m/two"), three: output("m/three", "0 9 * * *") },
      automation: onSchedule("0 4 * * *"),
      materialize: async () => [],
    });
    const { schedules } = compiled(definitionsOf({ "m.ts": { both } })).manifest;
    assert.deepEqual(
      schedules
        .filter(({ name }) => name !== "reconcile")
        .map(({ cron, target }) => [cron, target] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
      [
        [
          "0 4 * * *",
          {
            kind: "topic",
            topic: "job.both",
            message: { cause: { kind: "schedule" }, config: { select: ["one", "two"] } },
          },
        ],
        ["0 9 * * *", { kind: "topic", topic: "asset.m.three", message: { cause: { kind: "schedule" } } }],
      ],
    );
  });

  test("deadlines are looked at every minute, or less often", () => {
    const tick = (fields = {}) => compiled(definitionsOf({}), fields).manifest.schedules.map(({ cron }) => cron);
    assert.deepEqual([tick(), tick({ reconcileMinutes: 15 })], [["* * * * *"], ["*/15 * * * *"]]);
  });
});

describe("large projects", () => {
  for (const [count, quotas, limit] of [
    [200, {}, 400],
    [1_000, { functions: 2_000 }, 1_000],
  ] as const) {
    test(`${count} assets compile in well under a second`, (t) => {
      const files = Array.from({ length: count / 20 }, (_, file) => {
        const all = Array.from({ length: 20 }, (_unused, n) =>
          asset({
            key: `f${file}/a${n}`,
            target: `f${file}.a${n}`,
            deps: n === 0 ? (file === 0 ? [] : [`f${file - 1}/a0`]) : [`f${file}/a0`],
            automation: n === 0 ? onInterval("daily") : eager(),
            materialize: nothing,
          }),
        );
        return [`f${file}.ts`, { all }] as const;
      });
      const definitions = definitionsOf(Object.fromEntries(files));
      const options = { definitions, environment: environment({ quotas }), firestore: FIRESTORE };
      // Of this process, so that others on the machine do not count.
      const before = process.cpuUsage();
      const { manifest, problems } = compile(options);
      const took = process.cpuUsage(before).user / 1_000;
      t.diagnostic(`${took.toFixed(0)} ms, ${manifest.bindings.length} bindings`);
      assert.deepEqual(problems, []);
      assert.equal(manifest.functions.length, count + 1);
      assertWhole(definitions, manifest);
      assert.ok(took < limit, `${took} ms`);
    });
  }
});
