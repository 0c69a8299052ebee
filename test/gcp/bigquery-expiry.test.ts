/** Staged tables go by themselves, whatever dies: the jobs here are looked at by nobody once they were asked for. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { expiring, placedWithout } from "../../lib/gcp/bigquery-expiry.ts";
import { jobErrorOf } from "../../lib/gcp/bigquery-reasons.ts";
import type { JobSpec } from "../../lib/ports/warehouse.ts";
import { column, csvLoad, minute, n, ref, worldOf, type World } from "../ports/warehouse/world.ts";
import { bigqueryUnderTest, type BigqueryUnderTest } from "./bigquery-world.ts";

const hour = 60 * minute;

function withBigquery(title: string, work: (world: World, subject: BigqueryUnderTest) => Promise<void>): void {
  test(title, { timeout: 60_000 }, async () => {
    const subject = await bigqueryUnderTest();
    try {
      await work(worldOf(subject), subject);
    } finally {
      await subject.close();
    }
  });
}

/** The job's end, seen without the adapter. */
async function ended({ fake }: BigqueryUnderTest, id: string): Promise<{ readonly reason?: string } | undefined> {
  for (const until = Date.now() + minute; Date.now() < until; await sleep(5)) {
    const answer = await fetch(`${fake.url}/bigquery/v2/projects/${fake.project}/jobs/${id}?location=EU`);
    const { status } = (await answer.json()) as { status: { state: string; errorResult?: { reason: string } } }; // as the fake answers
    if (status.state === "DONE") return status.errorResult;
  }
  return assert.fail(`${id} does not end`);
}

const dated = [column("day", "DATE"), column("n", "INT64")];
const csv = "2024-05-01,1\n2024-05-01,2\n";

/** Each way in which a staging table is laid out. */
const layouts: readonly (readonly [string, Partial<Extract<JobSpec, { kind: "load" }>>])[] = [
  ["plain", {}],
  ["plain, by an own schema", { schema: dated }],
  ["an ingestion-time partition", { partitioning: { type: "DAY" }, partition: "20240501" }],
  ["partitioned by a column", { schema: dated, partitioning: { type: "DAY", column: "day" } }],
  [
    "partitioned and clustered",
    { schema: dated, partitioning: { type: "DAY", column: "Day" }, clustering: ["N", "day"] },
  ],
];

describe("a load", () => {
  for (const [what, layout] of layouts)
    withBigquery(
      `leaves a table that expires, or none: ${what}`,
      async ({ put, warehouse, values, advance }, subject) => {
        const { fake } = subject;
        const uris = [await put(csv)];
        const expiresAt = Date.now() + hour;
        const load = { kind: "load", uris, format: "CSV", destination: ref("staged"), ...layout, expiresAt } as const;
        const before = fake.calls.length;
        await warehouse.submit("a1", load, {});
        assert.equal(await ended(subject, "a1"), undefined);
        assert.deepEqual(
          fake.calls
            .slice(before)
            .filter((call) => !call.startsWith("GET") || !call.includes("/jobs/"))
            .map((call) => /(\w+)\?/.exec(call)?.[1]),
          ["tables", "jobs"],
          "nothing more is asked for",
        );
        assert.equal((await warehouse.wait("a1", { timeoutMs: minute })).rows, 2);
        const info = await warehouse.describe(ref("staged"));
        assert.equal(info?.expiresAt, expiresAt);
        assert.deepEqual([info.rows, info.schema.length], [2, 2]);
        assert.deepEqual(info.partitioning?.type, layout.partitioning?.type);

        // A load of a dead run that begins after its table was put away: nothing is left, and the next one is a new one.
        const release = subject.holdJobs();
        await warehouse.drop(ref("staged"));
        await warehouse.submit("a2", load, {});
        assert.equal(await warehouse.describe(ref("staged")), undefined, "it only awaits its load");
        assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("staged")]);
        assert.equal(await warehouse.drop(ref("staged")), true);
        release();
        assert.equal((await ended(subject, "a2"))?.reason, "notFound");
        assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), []);
        const { error } = await warehouse.wait("a2", { timeoutMs: minute });
        assert.deepEqual([error?.reason, error?.retryable], ["notFound", true], error?.message);
        await warehouse.submit("a3", load, {});
        assert.equal((await warehouse.wait("a3", { timeoutMs: minute })).rows, 2);
        assert.deepEqual(
          await values("staged", layout.schema === undefined ? "COUNT(*)" : "n"),
          layout.schema === undefined ? [2] : [1, 2],
        );
        advance(2 * hour);
        assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), []);
      },
    );

  withBigquery(
    "that ended long ago is not taken for what a late request has made again",
    async ({ put, warehouse, fail, succeed, values }, subject) => {
      const spec = { ...csvLoad(await put("1\n"), "staged", n), expiresAt: Date.now() + hour } as JobSpec;
      assert.equal(await warehouse.submit("a1", spec, {}), "accepted");
      assert.equal((await warehouse.wait("a1", { timeoutMs: minute })).state, "succeeded");
      await warehouse.drop(ref("staged"));
      // The blank table of a dead run, whose request for the load itself was lost; or of the same work, asked for again.
      assert.equal(await warehouse.submit("a1", spec, {}), "duplicate");
      assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("staged")]);
      assert.equal(await warehouse.describe(ref("staged")), undefined);
      assert.equal(await warehouse.changes(ref("staged")), undefined);
      await fail({ kind: "copy", source: ref("staged"), destination: ref("clean") }, "notFound", "staged");
      await fail({ kind: "query", sql: "SELECT * FROM `shop.staged`" }, "notFound", "staged");
      // What has it as its destination finds no hindrance in it.
      await warehouse.submit("a2", spec, {});
      assert.equal((await warehouse.wait("a2", { timeoutMs: minute })).rows, 1);
      assert.deepEqual(await values("staged"), [1]);
      await warehouse.drop(ref("staged"));
      await warehouse.submit("a1", spec, {});
      await succeed({ kind: "query", sql: "CREATE TABLE `shop.other` AS SELECT 5 AS n", writes: [ref("other")] });
      await succeed({ kind: "copy", source: ref("other"), destination: ref("staged"), expiresAt: Date.now() + hour });
      assert.deepEqual(await values("staged"), [5]);
      assert.equal(subject.fake.jobIds().filter((id) => id.startsWith("a")).length, 2);
    },
  );

  withBigquery(
    "without its file, dataset or columns fails for good, as before",
    async ({ put, fail, fill }, { fake }) => {
      const expiresAt = Date.now() + hour;
      const load = csvLoad("gs://drops/shop.staged", "staged", n) as Extract<JobSpec, { kind: "load" }>;
      await fail({ ...load, expiresAt }, "notFound", "gs://drops/shop.staged");
      await fail(
        { ...load, destination: { dataset: "nowhere", table: "t" }, expiresAt },
        "notFound",
        "nowhere",
        "deploy",
      );
      const wrong = { partitioning: { type: "DAY", column: "nothing" } } as const;
      await fail(
        { ...load, destination: ref("other"), uris: [await put("1\n")], ...wrong, expiresAt },
        "invalid",
        "nothing",
      );
      const { retryable } = jobErrorOf({ reason: "notFound", message: "Not found: URI gs://drops/shop.staged" });
      assert.equal(retryable, false);
      // A table that is there already is no blank one, and keeps what it has.
      await fill("kept", n, [{ n: 1 }]);
      fake.setRowPolicies(ref("kept"), ["mine"]);
      await fill("kept", n, [{ n: 2 }], { expiresAt });
      assert.deepEqual(fake.rowPolicies(ref("kept")), ["mine"]);
    },
  );

  withBigquery(
    "whose layout nobody knows beforehand expires once somebody looks",
    async ({ put, warehouse }, subject) => {
      const { fake } = subject;
      const expiresAt = Date.now() + hour;
      const clustering = ["n"];
      const partition = { partitioning: { type: "DAY" }, partition: "20240501" } as const;
      const spec = { ...csvLoad(await put("1\n"), "staged", n), clustering, ...partition, expiresAt } as JobSpec;
      await warehouse.submit("a", spec, {});
      // Whoever waited first died between the job's end and the patch.
      fake.fail({ match: "PATCH", fault: 503, times: 5 });
      await assert.rejects(warehouse.wait("a", { timeoutMs: minute }), { name: "RetryableError" });
      assert.equal((await warehouse.inspect("a"))?.state, "succeeded");
      assert.equal((await warehouse.describe(ref("staged")))?.expiresAt, expiresAt);
      const calls = fake.calls.length;
      await warehouse.inspect("a");
      assert.ok(
        fake.calls.slice(calls).every((call) => call.startsWith("GET")),
        "nothing is left to do",
      );
    },
  );

  withBigquery("goes a minute after somebody looks, where its end has passed by then", async (world, subject) => {
    const { put, warehouse, advance } = world;
    const partition = { partitioning: { type: "DAY" }, partition: "20240501" } as const;
    const spec = { ...csvLoad(await put("1\n"), "staged", n), clustering: ["n"], ...partition } as JobSpec;
    await warehouse.submit("a", { ...spec, expiresAt: Date.now() + hour }, {});
    assert.equal(await ended(subject, "a"), undefined);
    advance(5 * hour);
    const { clock } = subject.options;
    const least = clock.now() + minute;
    assert.equal((await warehouse.inspect("a"))?.state, "succeeded");
    const { expiresAt = 0 } = (await warehouse.describe(ref("staged"))) ?? {};
    assert.ok(expiresAt >= least && expiresAt <= clock.now() + minute, `${expiresAt - least} ms off`);
    await warehouse.inspect("a");
    assert.equal((await warehouse.describe(ref("staged")))?.expiresAt, expiresAt, "it is put off once");
  });
});

withBigquery(
  "a copy says itself when its table goes, and never sooner than before",
  async ({ fill, warehouse }, subject) => {
    const { fake } = subject;
    const soon = Date.now() + hour;
    await fill("source", n, [{ n: 1 }]);
    const copy = { kind: "copy", source: ref("source"), destination: ref("raw") } as const;
    for (const [id, expiresAt, until] of [
      ["first", soon, soon],
      ["longer", soon + minute, soon + minute],
      ["shorter", soon, soon + minute],
    ] as const) {
      await warehouse.submit(id, { ...copy, expiresAt }, {});
      assert.equal(await ended(subject, id), undefined);
      assert.equal((await warehouse.describe(ref("raw")))?.expiresAt, until, id);
    }
    assert.ok(fake.calls.every((call) => !call.startsWith("PATCH")));
  },
);

withBigquery("a statement says itself when what it creates goes", async ({ warehouse, fill, succeed }, subject) => {
  await fill("source", n, [{ n: 1 }]);
  const expiresAt = Date.now() + hour;
  for (const [table, sql] of [
    ["t", "CREATE OR REPLACE TABLE `shop.t` CLUSTER BY n AS SELECT n FROM `shop.source`"],
    ["v", "CREATE OR REPLACE VIEW `shop.v` AS SELECT n FROM `shop.source`"],
    [
      "s",
      "CREATE TEMP TABLE x AS SELECT 1 AS n;\nCREATE TABLE `shop.s` (n INT64); INSERT INTO `shop.s` SELECT n FROM x",
    ],
  ] as const) {
    await warehouse.submit(table, { kind: "query", sql, writes: [ref(table)], expiresAt }, {});
    assert.equal(await ended(subject, table), undefined, table);
    assert.equal((await warehouse.describe(ref(table)))?.expiresAt, expiresAt, table);
  }
  // What changes rows alone changes no end.
  await succeed({
    kind: "query",
    sql: "INSERT INTO `shop.t` (n) VALUES (2)",
    writes: [ref("t")],
    expiresAt: expiresAt + hour,
  });
  assert.deepEqual(
    [(await warehouse.describe(ref("t")))?.rows, (await warehouse.describe(ref("t")))?.expiresAt],
    [2, expiresAt],
  );
});

test("the place of an option in a statement", () => {
  const at = Date.UTC(2026, 10, 29, 1, 2, 3, 45);
  const option = "expiration_timestamp=TIMESTAMP '2026-11-29 01:02:03.045+00'";
  for (const [sql, expected] of [
    ["CREATE TABLE a.b AS SELECT 1 AS n", "CREATE TABLE a.b OPTIONS(@) AS SELECT 1 AS n"],
    ["create or replace table `a.as`\nas select 1", "create or replace table `a.as`\nOPTIONS(@) as select 1"],
    [
      "CREATE TABLE a.b (n INT64 OPTIONS(description='AS'))",
      "CREATE TABLE a.b (n INT64 OPTIONS(description='AS')) OPTIONS(@) ",
    ],
    ["CREATE TABLE a.b (n INT64); -- AS", "CREATE TABLE a.b (n INT64) OPTIONS(@) ; -- AS"],
    [
      "CREATE TABLE a.b PARTITION BY DATE_TRUNC(CAST(d AS DATE), MONTH) CLUSTER BY n AS WITH x AS (SELECT 1) SELECT * FROM x",
      "CREATE TABLE a.b PARTITION BY DATE_TRUNC(CAST(d AS DATE), MONTH) CLUSTER BY n OPTIONS(@) AS WITH x AS (SELECT 1) SELECT * FROM x",
    ],
    [
      "CREATE TABLE a.b CLONE a.c FOR SYSTEM_TIME AS OF TIMESTAMP '2024-05-01'",
      "CREATE TABLE a.b CLONE a.c FOR SYSTEM_TIME AS OF TIMESTAMP '2024-05-01' OPTIONS(@) ",
    ],
    [
      "CREATE TABLE a.b OPTIONS (labels=[('x', 'y')]) AS SELECT 1",
      "CREATE TABLE a.b OPTIONS (@, labels=[('x', 'y')]) AS SELECT 1",
    ],
    ["CREATE VIEW a.b OPTIONS() AS SELECT 1", "CREATE VIEW a.b OPTIONS(@) AS SELECT 1"],
    ["CREATE TABLE a.b OPTIONS(expiration_timestamp=NULL) AS SELECT 1", undefined],
    ["CREATE TEMP TABLE b AS SELECT 1; SELECT * FROM b", undefined],
    ["CREATE MATERIALIZED VIEW a.b AS SELECT 1 AS n FROM a.c", undefined],
    ["INSERT INTO a.b SELECT 'CREATE TABLE a.b AS SELECT 1' AS s", undefined],
    ["DROP TABLE a.b", undefined],
    [
      "IF TRUE THEN CREATE TABLE a.b AS SELECT 1; ELSE CREATE TABLE a.c AS SELECT 2; END IF",
      "IF TRUE THEN CREATE TABLE a.b OPTIONS(@) AS SELECT 1; ELSE CREATE TABLE a.c OPTIONS(@) AS SELECT 2; END IF",
    ],
  ] as const)
    assert.equal(expiring(sql, at), (expected ?? sql).replaceAll("@", option), sql);
});

test("what BigQuery says of a place is said of the author's words", () => {
  for (const sql of [
    "CREATE TABLE a.b AS SELECT WRONG",
    "CREATE OR REPLACE TABLE a.b\nCLUSTER BY n AS\nSELECT WRONG",
    "CREATE TABLE a.b (n INT64); CREATE TABLE a.c AS SELECT 1 AS n; SELECT WRONG",
    "CREATE TABLE a.b OPTIONS (labels=[('x', 'y')]) AS SELECT WRONG",
    "SELECT WRONG",
  ]) {
    const placeIn = (text: string): string => {
      const lines = text.split("\n");
      const line = lines.findIndex((one) => one.includes("WRONG"));
      return `Unrecognized name: WRONG at [${line + 1}:${(lines[line] ?? "").indexOf("WRONG") + 1}]`;
    };
    const sent = expiring(sql, Date.UTC(2026, 10, 29, 1, 2, 3, 45));
    assert.equal(placedWithout(placeIn(sent), sent), placeIn(sql), sql);
    assert.equal(placedWithout("Syntax error at [1:1]", sent), "Syntax error at [1:1]");
  }
});
