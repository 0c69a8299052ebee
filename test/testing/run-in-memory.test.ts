import assert from "node:assert/strict";
import { test } from "node:test";
import {
  PermanentError,
  RetryableError,
  assetCheck,
  buildMaterialization,
  buildObject,
  check,
  evaluateCheck,
  evaluateSensor,
  job,
  materializeInMemory,
  objectSensor,
  runJobInMemory,
  secret,
  skip,
  sql,
  staticPartitions,
  weekly,
  monthly,
  hourly,
} from "sluice";
import { z } from "zod";
import { forget, forgetSensor, plausible, visits } from "../support/visits.ts";

test("a day is counted", async () => {
  const { rows, metadata, logs } = await materializeInMemory(visits, { partition: "2024-05-02" });
  assert.deepEqual(rows, [{ page: "/", day: "2024-05-02", people: 12 }]);
  assert.equal(Object.keys(metadata).join(), "report");
  assert.deepEqual(logs, [{ level: "info", message: "counting", fields: { day: "2024-05-02" } }]);
});

test("a page with too many people is found", async () => {
  const limits = { most: async () => 100 };
  const rows = [{ page: "/a", day: "2024-05-01", people: 101 }];
  const { passed, message } = await evaluateCheck(plausible, { rows, resources: { limits } });
  assert.deepEqual([passed, message], [false, "1 pages with too many people"]);
});

test("the sensor asks once a month", async () => {
  const event = buildMaterialization(visits, { partition: "2024-06-01" });
  const { requests, cursor } = await evaluateSensor(forgetSensor, { event, cursor: "2024-05-01" });
  assert.deepEqual(requests[0]?.config, { before: "2024-05-01", dryRun: false });
  assert.equal(cursor, "2024-06-01");

  const later = buildMaterialization(visits, { partition: "2024-06-02" });
  const { skipReason } = await evaluateSensor(forgetSensor, { event: later });
  assert.equal(skipReason, "only at the start of a month");
});

test("the job says what it would do", async () => {
  const { metadata, logs } = await runJobInMemory(forget, { config: { before: "2024-05-01", dryRun: true } });
  assert.deepEqual(metadata, { before: "2024-05-01" });
  assert.equal(logs[0]?.message, "would forget");
});

test("what must be given has the types that the code takes it for", () => {
  const event = buildMaterialization(visits);
  const rows = [{ page: "/", day: "2024-05-01", people: 1 }];
  const limits = { most: async () => 1 };
  // Only the compiler looks at these.
  const calls = [
    // @ts-expect-error: the config is missing
    () => runJobInMemory(forget, {}),
    // @ts-expect-error: before is a text
    () => runJobInMemory(forget, { config: { before: 5 } }),
    // @ts-expect-error: it has no resources
    () => runJobInMemory(forget, { config: { before: "2024-05-01" }, resources: { token: "t" } }),
    // @ts-expect-error: it is told of a materialization
    () => evaluateSensor(forgetSensor, { object: buildObject("gs://bucket/a") }),
    // @ts-expect-error: the limits are missing
    () => evaluateCheck(plausible, { rows }),
    // @ts-expect-error: people are counted
    () => evaluateCheck(plausible, { rows: [{ page: "/", day: "2024-05-01", people: "1" }], resources: { limits } }),
    // @ts-expect-error: the limits are a client
    () => evaluateCheck(plausible, { rows, resources: { limits: 5 } }),
    async () => {
      const { requests } = await evaluateSensor(forgetSensor, { event });
      // @ts-expect-error: the schema has no such field
      void requests[0]?.config.after;
    },
  ];
  assert.equal(calls.length, 8);
});

test("what a run would refuse is refused", async () => {
  const badConfig = { code: "bad-config" };
  await assert.rejects(runJobInMemory(forget, { config: { before: "soon" } }), badConfig);
  const wrong = job({ name: "wrong", config: z.object({ n: z.int() }), run: async ({ config }) => ({ n: config.n }) });
  const sensor = objectSensor({
    name: "wrong_sensor",
    bucket: "bucket",
    job: wrong,
    resources: { token: secret("token") },
    evaluate: (_context, { name, size }, { token }) => [
      { runKey: name, config: { n: size } },
      { runKey: token, config: { n: size / 2 } },
    ],
  });
  const object = buildObject("gs://bucket/folder/a.csv", { size: 3 });
  await assert.rejects(evaluateSensor(sensor, { object, resources: { token: "t" } }), {
    ...badConfig,
    message: /^the config of t does not fit: n: expected whole number, got 1.5$/,
  });
  const { requests } = await evaluateSensor(sensor, { object: { ...object, size: 2 }, resources: { token: "t" } });
  assert.deepEqual(
    requests.map(({ runKey, config }) => [runKey, config.n]),
    [
      ["folder/a.csv", 2],
      ["t", 1],
    ],
  );
});

test("a sensor may request an asset, look at nothing, and write into its log", async () => {
  const sensor = objectSensor({
    name: "s",
    bucket: "bucket",
    target: visits,
    evaluate({ log, requestedAt }, { generation }) {
      log.warn("looked");
      return requestedAt === 0
        ? skip("too early", { cursor: generation })
        : { runKey: generation, partition: "2024-05-01" };
    },
  });
  const object = buildObject("gs://bucket/a");
  assert.deepEqual(await evaluateSensor(sensor, { object }), {
    requests: [],
    skipReason: "too early",
    cursor: "1",
    logs: [{ level: "warn", message: "looked" }],
  });
  const { requests } = await evaluateSensor(sensor, { object, requestedAt: 1 });
  assert.deepEqual(requests, [{ runKey: "1", partition: "2024-05-01", config: {} }]);
});

test("a check's errors are what they are in a run; a query takes rows of the test's own", async () => {
  const throwing = (error: Error) => check.custom("c", () => Promise.reject(error));
  const lost = await evaluateCheck(throwing(new PermanentError("no such list")), { rows: [] });
  assert.deepEqual([lost.passed, lost.message], [false, "no such list"]);
  await assert.rejects(evaluateCheck(throwing(new RetryableError("busy")), { rows: [] }), /busy/);
  await assert.rejects(
    evaluateCheck(check.unique("id"), { rows: [], resources: {} }),
    /unique_id is a query, which takes a warehouse/,
  );

  const counted = assetCheck({
    asset: visits,
    name: "counted",
    async evaluate({ query, rows, asset, partition, log }) {
      log.info(`${asset} ${partition?.key}`);
      let own = 0;
      for await (const _ of rows()) own++;
      for await (const _ of rows()) own++;
      for await (const row of query(sql`SELECT 1 AS n`)) return row["n"] === own;
      return false;
    },
  });
  const rows = [{ page: "/", day: "2024-05-01", people: 1 }];
  const { passed, logs } = await evaluateCheck(counted, { rows, query: () => [{ n: 2 }], partition: { key: "p" } });
  assert.deepEqual([passed, logs[0]?.message], [true, "web/visits p"]);
  await assert.rejects(evaluateCheck(counted, { rows }), /the check counted asks a query/);
});

test("events have sensible defaults", () => {
  const of = (partitions?: Parameters<typeof buildMaterialization>[0]["partitions"]) =>
    buildMaterialization({ key: "a/b", ...(partitions === undefined ? {} : { partitions }) }).partition.key;
  assert.deepEqual(
    [
      of(),
      of(staticPartitions(["eu", "us"])),
      of(hourly()),
      of(weekly()),
      of(monthly()),
      of(monthly({ start: "2030-02" })),
    ],
    ["", "eu", "2024-01-01T00", "2024-01-01", "2024-01", "2030-02"],
  );
  assert.deepEqual(buildMaterialization(visits), {
    asset: "web/visits",
    partition: { key: "2024-05-01", start: Date.UTC(2024, 4, 1), end: Date.UTC(2024, 4, 2) },
    materializationId: "m-0000000000000000",
  });
  assert.throws(() => buildMaterialization(visits, { partition: "2024-04-30" }), /before the first one/);
  assert.deepEqual(buildObject("gs://bucket/a/b.csv", { generation: "7" }), {
    bucket: "bucket",
    name: "a/b.csv",
    generation: "7",
    size: 1,
  });
  assert.throws(() => buildObject("gs://bucket"), /names no object/);
});
