/** What the adapter asks of BigQuery, and what it makes of the answers: beyond what every warehouse must do. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { jobErrorOf } from "../../lib/gcp/bigquery-reasons.ts";
import { bigqueryWarehouse } from "../../lib/gcp/bigquery-warehouse.ts";
import type { JobSpec } from "../../lib/ports/warehouse.ts";
import { fileOfUri, startFakeGcs } from "../fakes/fake-gcs.ts";
import {
  column,
  csvLoad,
  minute,
  n,
  parquet,
  parquetLoad,
  ref,
  worldOf,
  type World,
} from "../ports/warehouse/world.ts";
import { bigqueryUnderTest, type BigqueryUnderTest } from "./bigquery-world.ts";

const loadedAtStart = Object.keys(createRequire(import.meta.url).cache).filter((file) =>
  file.includes("@google-cloud/bigquery"),
);

function withBigquery(
  title: string,
  work: (world: World, subject: BigqueryUnderTest) => Promise<void>,
  options: Parameters<typeof bigqueryUnderTest>[0] = {},
): void {
  test(title, async () => {
    const subject = await bigqueryUnderTest(options);
    try {
      await work(worldOf(subject), subject);
    } finally {
      await subject.close();
    }
  });
}

const dated = [column("day", "DATE"), column("n", "INT64")];
const byDay = { type: "DAY", column: "day" } as const;
const one = { kind: "query", sql: "SELECT 1 AS one" } as const;

function part(fake: BigqueryUnderTest["fake"], id: string, ...path: readonly string[]): unknown {
  let value: unknown = fake.configurationOf(id);
  for (const name of path) value = (value as Record<string, unknown> | undefined)?.[name]; // a job's configuration is nested JSON
  return value;
}

async function patch({ fake }: BigqueryUnderTest, table: string, body: object): Promise<void> {
  const url = `${fake.url}/bigquery/v2/projects/${fake.project}/datasets/shop/tables/${table}`;
  const { status } = await fetch(url, { method: "PATCH", body: JSON.stringify(body) });
  assert.equal(status, 200);
}

async function tagged(subject: BigqueryUnderTest, table: string): Promise<unknown> {
  const { fake } = subject;
  const response = await fetch(`${fake.url}/bigquery/v2/projects/${fake.project}/datasets/shop/tables/${table}`);
  const { schema } = (await response.json()) as { schema: { fields: { policyTags?: unknown }[] } }; // as the fake answers
  return schema.fields.map(({ policyTags }) => policyTags);
}

const tags = { names: ["projects/p/locations/eu/taxonomies/1/policyTags/2"] };

describe("what is asked for", () => {
  test("the SDK is loaded on first use only", () => assert.deepEqual(loadedAtStart, []));

  withBigquery("every job has its id and location, and is inserted", async ({ fill, select, succeed }, { fake }) => {
    await fill("a", n, [{ n: 1 }]);
    await succeed({ kind: "copy", source: ref("a"), destination: ref("b") });
    assert.deepEqual(await select("SELECT n FROM `shop.b`"), [{ n: 1 }]);
    assert.ok(fake.calls.every((call) => !/^POST \S*\/queries/.test(call)));
    assert.ok(
      fake.calls
        .filter((call) => call.startsWith("GET") && call.includes("/jobs/"))
        .every((call) => call.includes("location=EU")),
    );
    assert.deepEqual(fake.jobIds(), ["job_2", "job_3", "job_4"]);
  });

  withBigquery("a load says all that it wants", async ({ put, succeed, warehouse }, { fake }) => {
    const uri = await put(await parquet("SELECT 1 AS n, [1, 2] AS list, DATE '2024-05-01' AS day"));
    const { jobId } = await succeed({
      ...parquetLoad(uri, "t"),
      options: { maxBadRecords: 0 },
      partitioning: byDay,
      clustering: ["n"],
    });
    assert.deepEqual(part(fake, jobId, "load"), {
      sourceUris: [uri],
      sourceFormat: "PARQUET",
      destinationTable: { projectId: "sluice-test", datasetId: "shop", tableId: "t" },
      createDisposition: "CREATE_IF_NEEDED",
      writeDisposition: "WRITE_TRUNCATE",
      timePartitioning: { type: "DAY", field: "day" },
      clustering: { fields: ["n"] },
      maxBadRecords: 0,
      parquetOptions: { enableListInference: true },
      decimalTargetTypes: ["NUMERIC", "BIGNUMERIC"],
    });
    assert.equal((await warehouse.describe(ref("t")))?.schema[1]?.mode, "REPEATED");
  });

  withBigquery("objects come from a bucket", async ({ warehouse }, { fake, options }) => {
    const gcs = await startFakeGcs({ buckets: ["drops"] });
    try {
      await gcs.put("drops", "2024/a b.csv", "1\n2\n");
      const { startFakeBigquery } = await import("../fakes/fake-bigquery.ts");
      const { bigqueryClient } = await import("../../lib/gcp/bigquery-client.ts");
      const { PassThroughClient } = await import("google-auth-library");
      const other = await startFakeBigquery({ resolveUri: fileOfUri(gcs), datasets: ["shop"], project: fake.project });
      try {
        const client = bigqueryClient({
          project: fake.project,
          endpoint: other.url,
          authClient: new PassThroughClient(),
        });
        const fromBucket = bigqueryWarehouse({ ...options, client });
        await fromBucket.submit("a", csvLoad("gs://drops/2024/a b.csv", "t", n), {});
        assert.equal((await fromBucket.wait("a", { timeoutMs: minute })).rows, 2);
        await fromBucket.submit("b", csvLoad("gs://drops/nothing.csv", "t", n), {});
        assert.equal((await fromBucket.wait("b", { timeoutMs: minute })).error?.reason, "notFound");
      } finally {
        await other.close();
      }
    } finally {
      await gcs.close();
    }
    assert.equal(await warehouse.describe(ref("t")), undefined);
  });

  withBigquery("files that BigQuery would read as others are refused", async ({ fail, warehouse }, { fake }) => {
    await fail(csvLoad("gs://drops/a*.csv", "t", n), "invalid", "gs://drops/a*.csv", "rename");
    await fail(csvLoad("gs://drops/a//b.csv", "t", n), "invalid", "gs://drops/a//b.csv");
    const many = Array.from({ length: 10_001 }, (_, index) => `gs://drops/${index}.csv`);
    await fail(csvLoad(many, "t", n), "invalid", "10000", "10001");
    assert.equal(fake.jobIds().length, 3, "each refusal has used up its id");
    assert.equal(await warehouse.describe(ref("t")), undefined);
  });

  withBigquery("labels that BigQuery does not take use up no id", async ({ warehouse }, { fake }) => {
    for (const labels of [
      { Asset: "x" },
      { "1a": "x" },
      { a: "X" },
      { a: "x".repeat(64) },
      { "sluice-warehouse-nonce": "x" },
    ])
      await assert.rejects(warehouse.submit("a", one, labels), /the job label .* is not legal/);
    assert.deepEqual(fake.calls, []);
    const labels = { sluice_run: "a-1_b", été: "日本", empty: "" };
    await warehouse.submit("a", one, labels);
    assert.deepEqual((await warehouse.wait("a", { timeoutMs: minute })).labels, labels);
  });

  withBigquery("a statement arrives as it was written", async ({ select }) => {
    assert.deepEqual(
      await select("SELECT '{{projectId}}' AS a, 'x' || @p AS b", { p: { type: "STRING", value: "{{projectId}}" } }),
      [{ a: "{{projectId}}", b: "x{{projectId}}" }],
    );
  });

  withBigquery("datasets may stand for others", async ({ put }, { fake, options }) => {
    fake.createDataset("dev_ann_shop");
    const warehouse = bigqueryWarehouse({ ...options, dataset: (name) => `dev_ann_${name}` });
    const plain = bigqueryWarehouse(options);
    const run = async (id: string, spec: JobSpec): Promise<void> => {
      assert.equal(await warehouse.submit(id, spec, {}), "accepted");
      const { state, error } = await warehouse.wait(id, { timeoutMs: minute });
      assert.equal(state, "succeeded", error?.message);
    };
    await run("load", {
      ...parquetLoad(await put(await parquet("SELECT 1::BIGINT AS n")), "t"),
      expiresAt: Date.now() + minute,
    });
    await run("copy", { kind: "copy", source: ref("t"), destination: ref("u"), expiresAt: Date.now() + minute });
    await run("insert", { kind: "query", sql: "INSERT INTO `dev_ann_shop.u` (n) VALUES (2)", writes: [ref("u")] });
    assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("t"), ref("u")]);
    assert.deepEqual(await Array.fromAsync(plain.list({ dataset: "shop" })), []);
    const info = await warehouse.describe(ref("u"));
    assert.equal(info?.rows, 2);
    assert.notEqual(info.expiresAt, undefined);
    assert.equal(await plain.describe(ref("u")), undefined);
    await warehouse.submit("private", { kind: "query", sql: "DROP TABLE `shop.u`", writes: [ref("u")] }, {});
    assert.equal((await warehouse.wait("private", { timeoutMs: minute })).error?.reason, "accessDenied");
    assert.equal(await warehouse.drop(ref("u")), true);
  });
});

describe("copies", () => {
  withBigquery(
    "a partition is copied to a partition, by a copy job",
    async ({ fill, succeed, values, warehouse }, { fake }) => {
      await fill("staged", dated, [{ day: "2024-05-01", n: 1 }], { partitioning: byDay, clustering: ["n"] });
      const destination = { ...ref("clean"), partition: "20240501" };
      const { jobId, rows } = await succeed({ kind: "copy", source: ref("staged"), destination, partitioning: byDay });
      assert.equal(rows, 1);
      assert.deepEqual(part(fake, jobId, "copy", "sourceTable", "tableId"), "staged$20240501");
      assert.deepEqual(part(fake, jobId, "copy", "destinationTable", "tableId"), "clean$20240501");
      assert.deepEqual((await warehouse.describe(ref("clean")))?.partitioning, byDay);
      const made = (await (
        await fetch(`${fake.url}/bigquery/v2/projects/sluice-test/datasets/shop/tables/clean`)
      ).json()) as object;
      assert.deepEqual("clustering" in made && made.clustering, { fields: ["n"] });
      assert.deepEqual(await values("clean"), [1]);
    },
  );

  withBigquery("rows of other partitions are not left behind in silence", async ({ fill, fail, warehouse }) => {
    const rows = [
      { day: "2024-05-01", n: 1 },
      { day: null, n: 2 },
    ];
    await fill("staged", dated, rows, { partitioning: byDay });
    const destination = { ...ref("clean"), partition: "20240501" };
    await fail(
      { kind: "copy", source: ref("staged"), destination, partitioning: byDay },
      "invalid",
      "shop.clean$20240501",
      "without a value",
    );
    assert.equal(await warehouse.describe(ref("clean")), undefined);
  });

  withBigquery(
    "required columns go from partition to partition, or are refused",
    async ({ fill, succeed, fail, values, warehouse }) => {
      const strict = [column("day", "DATE"), column("n", "INT64", "REQUIRED")];
      await fill("staged", strict, [{ day: "2024-05-01", n: 1 }], { partitioning: byDay });
      const destination = { ...ref("clean"), partition: "20240501" };
      await succeed({ kind: "copy", source: ref("staged"), destination, partitioning: byDay });
      assert.equal((await warehouse.describe(ref("clean")))?.schema[1]?.mode, "REQUIRED");
      await fill("flat", strict, [{ day: "2024-05-01", n: 2 }]);
      await fail({ kind: "copy", source: ref("flat"), destination }, "invalid", '"n"', "required");
      await fill("wide", [...dated, column("extra", "STRING")], []);
      await fail({ kind: "copy", source: ref("wide"), destination }, "invalid", "extra");
      await fill("other", [column("day", "DATE"), column("n", "STRING")], []);
      await fail({ kind: "copy", source: ref("other"), destination }, "invalid", '"n"', "INT64", "STRING");
      assert.deepEqual(await values("clean"), [1]);
    },
  );

  withBigquery("policies outlive a copy and a load", async ({ fill, succeed, values, warehouse }, subject) => {
    const { fake } = subject;
    await fill("clean", n, [{ n: 1 }]);
    await fill("staged", n, [{ n: 2 }]);
    const fields = [{ name: "n", type: "INTEGER", mode: "NULLABLE", policyTags: tags }];
    await patch(subject, "clean", { schema: { fields } });
    fake.setRowPolicies(ref("clean"), ["only_mine"]);
    const copy = { kind: "copy", source: ref("staged"), destination: ref("clean") } as const;
    const { jobId, rows } = await succeed(copy);
    assert.equal(part(fake, jobId, "query", "writeDisposition"), "WRITE_TRUNCATE_DATA");
    assert.equal(rows, 1);
    await assert.rejects(
      Array.fromAsync(warehouse.rows(jobId)),
      { name: "PermanentError" },
      "a copy has no rows to read",
    );
    await fill("clean", n, [{ n: 3 }]);
    assert.deepEqual(await values("clean"), [3]);
    const { etag } = (await warehouse.describe(ref("clean"))) ?? assert.fail();
    await warehouse.extend(ref("clean"), [column("more", "STRING")], etag);
    assert.deepEqual(await tagged(subject, "clean"), [tags, undefined]);
    assert.deepEqual(fake.rowPolicies(ref("clean")), ["only_mine"]);
  });

  withBigquery("a plain copy would have dropped them", async ({ fill, succeed }, subject) => {
    await fill("clean", n, [{ n: 1 }]);
    await fill("staged", n, [{ n: 2 }]);
    const { jobId } = await succeed({ kind: "copy", source: ref("staged"), destination: ref("clean") });
    assert.notEqual(part(subject.fake, jobId, "copy"), undefined);
    subject.fake.setRowPolicies(ref("clean"), ["only_mine"]);
    const reference = (tableId: string): object => ({ projectId: "sluice-test", datasetId: "shop", tableId });
    const copy = {
      sourceTable: reference("staged"),
      destinationTable: reference("clean"),
      writeDisposition: "WRITE_TRUNCATE",
    };
    const url = `${subject.fake.url}/bigquery/v2/projects/sluice-test/jobs`;
    await fetch(url, {
      method: "POST",
      body: JSON.stringify({ jobReference: { jobId: "raw" }, configuration: { copy } }),
    });
    await subject.warehouse.wait("raw", { timeoutMs: minute });
    assert.deepEqual(subject.fake.rowPolicies(ref("clean")), []);
  });

  withBigquery(
    "a protected table by ingestion time is replaced partition by partition",
    async ({ fill, succeed, fail, values }, subject) => {
      const partitioning = { type: "DAY" } as const;
      await fill("clean", n, [{ n: 1 }], { partitioning, partition: "20240501" });
      await fill("staged", n, [{ n: 2 }], { partitioning, partition: "20240502" });
      subject.fake.setRowPolicies(ref("clean"), ["only_mine"]);
      const copy = { kind: "copy", source: ref("staged"), destination: ref("clean") } as const;
      await fail(copy, "invalid", "one partition at a time");
      await succeed({ ...copy, destination: { ...ref("clean"), partition: "20240502" } });
      assert.deepEqual(await values("clean"), [1, 2]);
      assert.deepEqual(subject.fake.rowPolicies(ref("clean")), ["only_mine"]);
    },
  );

  const unseen = { match: /^GET \S*\/rowAccessPolicies/, fault: 403, reason: "accessDenied", times: 99 } as const;

  withBigquery(
    "policies outlive a copy and a load also where the account may not see them",
    async ({ warehouse, put, fill, succeed, values }, subject) => {
      const { fake } = subject;
      await fill("clean", n, [{ n: 1 }]);
      await fill("staged", n, [{ n: 2 }]);
      fake.setRowPolicies(ref("clean"), ["only_mine"]);
      fake.fail(unseen);
      const copy = { kind: "copy", source: ref("staged"), destination: ref("clean") } as const;
      const replaced = await succeed(copy);
      assert.equal(part(fake, replaced.jobId, "query", "writeDisposition"), "WRITE_TRUNCATE_DATA");
      assert.deepEqual([await values("clean"), fake.rowPolicies(ref("clean"))], [[2], ["only_mine"]]);
      await fill("clean", n, [{ n: 3 }]);
      assert.deepEqual([await values("clean"), fake.rowPolicies(ref("clean"))], [[3], ["only_mine"]]);

      const fresh = await succeed({ ...copy, destination: ref("fresh") });
      assert.notEqual(part(fake, fresh.jobId, "copy"), undefined, "a table that is not there has none");
      const added = await succeed({ ...copy, append: true });
      assert.notEqual(part(fake, added.jobId, "copy"), undefined, "what is added takes none away");
      const expiresAt = Date.now() + 60 * minute;
      const staged = await succeed({ ...csvLoad(await put("x\n"), "staged", [column("s", "STRING")]), expiresAt });
      assert.equal(part(fake, staged.jobId, "load", "writeDisposition"), "WRITE_TRUNCATE", "a table of our own");
      assert.deepEqual((await warehouse.describe(ref("staged")))?.schema, [column("s", "STRING")]);
    },
  );

  withBigquery(
    "what only a copy job could do is refused where it might drop policies, with the role that lets it be seen",
    async ({ fill, succeed, fail, values }, { fake }) => {
      const required = [column("n", "INT64", "REQUIRED")];
      const daily = { partitioning: { type: "DAY" }, partition: "20240501" } as const;
      await fill("strict", required, [{ n: 1 }]);
      await fill("strict_staged", required, [{ n: 2 }]);
      await fill("parts", n, [{ n: 1 }], daily);
      await fill("parts_staged", n, [{ n: 2 }], daily);
      fake.fail(unseen);
      for (const table of ["strict", "parts"]) {
        const copy = { kind: "copy", source: ref(`${table}_staged`), destination: ref(table) } as const;
        const remedy = "grant the account roles/bigquery.dataOwner on the dataset sluice-test.shop";
        await fail(copy, "invalid", `shop.${table}: the account may not see whether`, remedy);
        assert.deepEqual(await values(table), [1]);
      }
      fake.heal();
      for (const table of ["strict", "parts"]) {
        const { jobId } = await succeed({ kind: "copy", source: ref(`${table}_staged`), destination: ref(table) });
        assert.notEqual(part(fake, jobId, "copy"), undefined);
        assert.deepEqual(await values(table), [2]);
      }
    },
  );

  withBigquery("a missing dataset is told with its remedy", async ({ warehouse, fill }) => {
    await fill("staged", n, [{ n: 1 }]);
    const to = (dataset: string): JobSpec => ({
      kind: "copy",
      source: ref("staged"),
      destination: { dataset, table: "t" },
    });
    await warehouse.submit("a", to("nowhere"), {});
    const { error } = await warehouse.wait("a", { timeoutMs: minute });
    assert.equal(error?.reason, "notFound");
    assert.match(error.message, /^Not found: Dataset sluice-test:nowhere\b.*deploy/);
  });
});

describe("expiry", () => {
  withBigquery(
    "a job never shortens it, nor touches a table that is another by now",
    async ({ put, warehouse, fill, advance }) => {
      const soon = Date.now() + 3_600_000;
      const load = csvLoad(await put("1\n"), "t", n);
      await warehouse.submit("long", { ...load, expiresAt: soon + minute }, {});
      await warehouse.wait("long", { timeoutMs: minute });
      await warehouse.submit("short", { ...load, expiresAt: soon }, {});
      await warehouse.wait("short", { timeoutMs: minute });
      assert.equal((await warehouse.describe(ref("t")))?.expiresAt, soon + minute);
      await warehouse.drop(ref("t"));
      advance(10 * minute);
      await fill("t", n, [{ n: 2 }]);
      assert.equal((await warehouse.inspect("long"))?.state, "succeeded");
      assert.equal((await warehouse.describe(ref("t")))?.expiresAt, undefined);
    },
  );
});

describe("answers", () => {
  for (const how of ["kept", "gone"] as const) {
    withBigquery(
      `a statement that is refused at once, its job ${how}, is a failed job`,
      async ({ warehouse, fail }, { fake }) => {
        fake.answerEarly(how);
        await fail({ kind: "query", sql: "SELEC 1" }, "invalidQuery");
        await fail({ kind: "query", sql: "SELECT * FROM `shop.nothing`" }, "notFound", "nothing");
        const [id = ""] = fake.jobIds();
        assert.equal(await warehouse.submit(id, one, {}), "duplicate");
      },
    );
  }

  withBigquery(
    "an insert whose answer is lost is our own, or another's",
    async ({ warehouse, fill, values }, { fake }) => {
      await fill("more", n, [{ n: 1 }]);
      const append = { kind: "copy", source: ref("more"), destination: ref("t"), append: true } as const;
      for (const fault of ["reset-after", 503] as const) {
        fake.fail({ match: /^POST \S*\/jobs/, fault, ...(fault === 503 ? { after: true } : {}) });
        assert.equal(await warehouse.submit(`a-${fault}`, append, {}), "accepted");
        assert.equal((await warehouse.wait(`a-${fault}`, { timeoutMs: minute })).state, "succeeded");
      }
      assert.deepEqual(await values("t"), [1, 1]);
      fake.fail({ match: /^POST \S*\/jobs/, fault: "reset-before" });
      assert.equal(await warehouse.submit("a-503", append, {}), "duplicate");
      assert.deepEqual(await values("t"), [1, 1]);
    },
  );

  withBigquery("a quota that is used up parks, and is not asked again at once", async ({ warehouse }, { fake }) => {
    fake.fail({ match: /^POST \S*\/jobs/, fault: 403, reason: "quotaExceeded", times: 9 });
    await assert.rejects(
      warehouse.submit("a", one, {}),
      (error: { name: string; afterMs?: number }) => error.name === "RetryableError" && (error.afterMs ?? 0) >= minute,
    );
    assert.equal(fake.calls.length, 1);
    fake.heal();
    fake.fail({ match: /^POST \S*\/jobs/, fault: 403, reason: "rateLimitExceeded", times: 9 });
    await assert.rejects(warehouse.submit("a", one, {}), { name: "RetryableError", afterMs: 30_000 });
    assert.equal(fake.calls.length, 6, "a rate is tried five times");
    fake.heal();
    fake.fail({ match: /^POST \S*\/jobs/, fault: 403, reason: "accessDenied", times: 9 });
    await assert.rejects(warehouse.submit("a", one, {}), { name: "PermanentError", code: "accessDenied" });
    fake.heal();
    assert.equal(await warehouse.submit("a", one, {}), "accepted");
  });

  test("a failed job says whether another could succeed", () => {
    const retryable = (reason: string): boolean => jobErrorOf({ reason, message: "x" }).retryable;
    for (const reason of "backendError internalError rateLimitExceeded quotaExceeded jobRateLimitExceeded tableUnavailable stopped".split(
      " ",
    ))
      assert.equal(retryable(reason), true, reason);
    for (const reason of "invalid invalidQuery notFound accessDenied duplicate bytesBilledLimitExceeded resourcesExceeded".split(
      " ",
    ))
      assert.equal(retryable(reason), false, reason);
  });

  withBigquery("a job's own failure arrives with its reason", async ({ run }, { fake }) => {
    fake.failJobs(() => true, { reason: "backendError", message: "Try\nagain" });
    const { state, error } = await run(one);
    assert.deepEqual([state, error], ["failed", { reason: "backendError", message: "Try again", retryable: true }]);
  });

  withBigquery(
    "a job of an hour is left running, and looked at less and less",
    async ({ warehouse, advance }, { fake }) => {
      const finish = fake.keepRunning((id) => id === "long");
      await warehouse.submit("long", one, {});
      assert.equal((await warehouse.wait("long", { timeoutMs: 1_500 })).state, "running");
      const looks = fake.calls.filter((call) => call.includes("/jobs/long")).length;
      assert.ok(looks <= 12, `${looks} looks`);
      advance(60 * minute);
      assert.equal((await warehouse.inspect("long"))?.state, "running");
      finish();
      assert.equal((await warehouse.wait("long", { timeoutMs: minute })).state, "succeeded");
    },
    { pollMs: { first: 50, most: 400 } },
  );

  withBigquery("of two changes at one etag the later is told to look again", async ({ warehouse, fill }, subject) => {
    await fill("t", n, [{ n: 1 }]);
    const { etag } = (await warehouse.describe(ref("t"))) ?? assert.fail();
    await patch(subject, "t", { expirationTime: String(Date.now() + minute) });
    await assert.rejects(warehouse.extend(ref("t"), [column("a", "STRING")], etag), { name: "RetryableError" });
    const next = (await warehouse.describe(ref("t"))) ?? assert.fail();
    // Between its own look and the patch.
    subject.fake.fail({ match: "PATCH", fault: 412 });
    await assert.rejects(warehouse.extend(ref("t"), [column("a", "STRING")], next.etag), { name: "RetryableError" });
    subject.fake.fail({ match: "PATCH", fault: "reset-after" });
    await assert.rejects(warehouse.extend(ref("t"), [column("a", "STRING")], next.etag), { name: "RetryableError" });
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, [...n, column("a", "STRING")], "there, once");
  });

  withBigquery(
    "a script succeeds also where the account may not list its jobs, and its rows say what is missing",
    async ({ warehouse, run }, { fake }) => {
      const script = { kind: "query", sql: "SELECT 1 AS a; SELECT 2 AS b UNION ALL SELECT 3;" } as const;
      fake.fail({ match: /^GET \S*\/jobs\?/, fault: 403, reason: "accessDenied", times: 99 });
      const { jobId, state, rows } = await run(script);
      assert.deepEqual([state, rows], ["succeeded", undefined], "unknown, and not none");
      await assert.rejects(Array.fromAsync(warehouse.rows(jobId)), {
        name: "PermanentError",
        code: "accessDenied",
        message: /^the rows of script .* grant roles\/bigquery\.user/,
      });
      fake.heal();
      assert.equal((await warehouse.inspect(jobId))?.rows, 2);
    },
  );

  withBigquery("a drop whose answer is lost has dropped", async ({ warehouse, fill }, { fake }) => {
    await fill("t", n, [{ n: 1 }]);
    fake.fail({ match: "DELETE", fault: "reset-after" });
    assert.equal(await warehouse.drop(ref("t")), true);
    assert.equal(await warehouse.drop(ref("t")), false);
  });

  withBigquery(
    "an answer that never comes counts as lost",
    async ({ warehouse }, { fake }) => {
      fake.fail({ match: "GET", fault: "slow", ms: 3_600_000 });
      assert.equal(await warehouse.inspect("nobody"), undefined);
    },
    // What is asked again is answered within it, also on a busy machine.
    { retry: { pauseMs: 2, timeoutMs: 2_000 } },
  );

  withBigquery("rows are given up between two pages", async ({ warehouse, put, succeed }, { fake }) => {
    await succeed(parquetLoad(await put(await parquet("SELECT i AS n FROM range(25000) r(i)")), "big"));
    const { jobId } = await succeed({ kind: "query", sql: "SELECT n FROM `shop.big`" });
    const stop = new AbortController();
    const rows = warehouse.rows(jobId, { signal: stop.signal })[Symbol.asyncIterator]();
    const before = fake.calls.length;
    for (let row = 0; row < 10_000; row++) await rows.next();
    fake.fail({ match: "/queries/", fault: 503 });
    assert.deepEqual((await rows.next()).value, { n: 10_000 });
    assert.equal(fake.calls.slice(before).filter((call) => call.includes("/queries/")).length, 3, "a page at a time");
    stop.abort(new Error("enough"));
    await assert.rejects(rows.next(), /enough/);
  });
});
