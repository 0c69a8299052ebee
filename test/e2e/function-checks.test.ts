/** Function checks on real rows: what they see, what they hold back, and what becomes of what they throw. */
import assert from "node:assert/strict";
import { env } from "node:process";
import { after, test } from "node:test";
import {
  PermanentError,
  RetryableError,
  asset,
  assetCheck,
  bigquery,
  bigqueryTable,
  check,
  daily,
  externalAsset,
  meta,
  parquetFiles,
  resource,
  secret,
  sql,
} from "sluice";
import type { InlineCheck } from "sluice";
import { z } from "zod";
import { forget, forgetSensor, plausible, visits } from "../support/visits.ts";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

const KEY = 'l1/mits "key"';
env["LIMITS_KEY"] = KEY;
after(() => delete env["LIMITS_KEY"]);

const schema = z.object({ id: z.string(), at: z.date(), score: z.number() });
type Scores = readonly number[];

/** Rows with these scores; the newest call's are those of the next run. */
function scored(given: { scores: Scores }, checks: readonly InlineCheck[] = []) {
  return asset({
    key: "q/scores",
    partitions: daily({ start: "2024-05-01" }),
    schema,
    ioManager: bigqueryTable({ writeDisposition: "overwrite" }),
    checks,
    retry: { delaySeconds: 0.1 },
    *materialize({ row }) {
      for (const [n, score] of given.scores.entries()) yield row({ id: `p${n}`, at: new Date(n), score });
    },
  });
}

async function run(platform: LocalPlatform, topic: string, data: unknown = {}): Promise<void> {
  await platform.publish(topic, data);
  await platform.quiet();
}

const checked = async (platform: LocalPlatform) =>
  (await platform.eventsOf("check.evaluated")).map(({ result }) => result);

test("what fails a blocking check is never visible, and what the check says is in its event", async () => {
  const given = { scores: [1, 2, 3] as Scores };
  const scores = scored(given);
  const spread = assetCheck({
    asset: scores,
    name: "spread",
    blocking: true,
    async evaluate({ rows, query, partition, table, log, asset: key }) {
      let most = -Infinity;
      for await (const { at, score } of rows()) {
        assert.ok(at instanceof Date);
        most = Math.max(most, score);
      }
      const worst = [];
      for await (const row of query(sql`SELECT id, score FROM ${scores} WHERE score > ${10} ORDER BY id`))
        worst.push(row);
      for await (const row of query(sql`SELECT COUNT(*) AS n FROM ${table}`))
        log.info(`looked at ${key}`, row as { n: number });
      return {
        passed: most <= 10,
        message: `${partition?.key}: ${most} is too much`,
        metadata: { most, worst: meta.table(worst), rule: meta.link("https://example.org/rules#spread", "rules") },
      };
    },
  });
  await using platform = await localPlatform({ exports: { scores, quality: { assets: [], checks: [spread] } } });
  await run(platform, "asset.q.scores", { partition: "2024-05-01" });
  given.scores = [5, 11, 12];
  await run(platform, "asset.q.scores", { partition: "2024-05-02" });

  assert.deepEqual(await platform.rows("SELECT MAX(score) AS most FROM q.scores"), [{ most: 3 }]);
  const [good, bad] = await checked(platform);
  assert.deepEqual([good?.passed, good?.metadata?.["most"]], [true, 3]);
  assert.deepEqual(bad, {
    check: "spread",
    passed: false,
    blocking: true,
    severity: "error",
    message: "2024-05-02: 12 is too much",
    metadata: {
      most: 12,
      worst: {
        $kind: "table",
        columns: ["id", "score"],
        rows: [
          { id: "p1", score: 11 },
          { id: "p2", score: 12 },
        ],
      },
      rule: { $kind: "link", url: "https://example.org/rules#spread", label: "rules" },
    },
  });
  const [failed] = await platform.eventsOf("run.failed");
  assert.equal(failed?.code, "check-failed");
  assert.match(failed.reason, /blocking check failed: spread: 2024-05-02: 12 is too much; correct/);
  const logs = await platform.eventsOf("log");
  assert.deepEqual(
    logs.map(({ message, fields }) => [message, fields]),
    [
      ["looked at q/scores", { n: 3 }],
      ["looked at q/scores", { n: 3 }],
    ],
  );
  assert.deepEqual(await platform.leftovers(), []);
});

test("a check's clients are made and closed, and its secrets are in no event", async () => {
  const notes: string[] = [];
  const limits = resource({
    needs: secret("limits-key").needs,
    create: async ({ secret: read }) => {
      const key = await read("limits-key");
      return { key, [Symbol.dispose]: () => void notes.push("closed") };
    },
  });
  const given = { scores: [1] as Scores };
  const scores = scored(given, [
    check.custom(
      "limited",
      (_context, { limits: { key } }) => ({
        passed: true,
        message: `asked with ${key}`,
        metadata: {
          [key]: meta.markdown(`by ${key}`),
          url: meta.link(`https://example.org/?key=${encodeURIComponent(key)}`),
        },
      }),
      { resources: { limits } },
    ),
    check.custom(
      "refused",
      (_context, { token }) => {
        throw new PermanentError(`401 for ${token}`);
      },
      { resources: { token: secret("limits-key") }, severity: "warn" },
    ),
  ]);
  await using platform = await localPlatform({ exports: { scores } });
  await run(platform, "asset.q.scores", { partition: "2024-05-01" });
  const [limited, refused] = await checked(platform);
  assert.deepEqual(limited?.metadata, {
    "[secret]": { $kind: "markdown", text: "by [secret]" },
    url: { $kind: "link", url: "https://example.org/?key=[secret]", label: "https://example.org/?key=[secret]" },
  });
  assert.deepEqual([refused?.passed, refused?.severity, refused?.message], [false, "warn", "401 for [secret]"]);
  assert.deepEqual(notes, ["closed"]);
  const everything = JSON.stringify([await platform.history(), await platform.allRuns()]);
  assert.ok(!everything.includes("l1/mits") && !everything.includes("l1%2Fmits"));
  assert.equal((await platform.eventsOf("materialized")).length, 1);
});

test("a PermanentError fails the check, another one tries the run again, and so does code that answers nothing", async () => {
  const given = { scores: [1] as Scores };
  let tries = 0;
  const scores = scored(given, [
    check.custom("lost", () => Promise.reject(new PermanentError("no such list")), { blocking: false }),
    check.custom("mute", (() => undefined) as unknown as () => boolean, { blocking: false }),
    check.custom("absent", () => true, { resources: { token: secret("no-such-token") }, blocking: false }),
    check.custom("flaky", () => {
      if (++tries === 1) throw new RetryableError("busy");
      if (tries === 2) throw new TypeError("a bug that passes");
      return true;
    }),
  ]);
  await using platform = await localPlatform({ exports: { scores } });
  await run(platform, "asset.q.scores", { partition: "2024-05-01" });
  assert.equal(tries, 3);
  assert.deepEqual(
    (await checked(platform)).map(({ check: name, passed, message }) => [name, passed, message]),
    [
      ["lost", false, "no such list"],
      [
        "mute",
        false,
        "the check mute gave no answer: return true, false or { passed, message, metadata }, with metadata that is JSON",
      ],
      ["absent", false, "the secret no-such-token is not set: export NO_SUCH_TOKEN=…"],
      ["flaky", true, undefined],
    ],
  );
  assert.equal((await platform.eventsOf("materialized")).length, 1);
  assert.deepEqual(
    (await platform.eventsOf("run.parked")).map(({ reason }) => reason),
    ["busy", "a bug that passes"],
  );
  assert.deepEqual(await platform.leftovers(), []);

  const blocked = scored(given, [check.custom("lost", () => Promise.reject(new PermanentError("no such list")))]);
  await using second = await localPlatform({ exports: { blocked } });
  await run(second, "asset.q.scores", { partition: "2024-05-01" });
  assert.match((await second.eventsOf("run.failed"))[0]?.reason ?? "", /blocking check failed: lost: no such list/);
  assert.equal((await second.eventsOf("materialized")).length, 0);
});

test("a check reads, and changes nothing, by a query and by the warehouse", async () => {
  const given = { scores: [1, 2] as Scores };
  const answers: unknown[] = [];
  const scores = scored(given, [
    check.custom(
      "drop",
      async ({ query, table }) => {
        for await (const _ of query(sql`DELETE FROM ${table} WHERE true`)) return true;
        return true;
      },
      { blocking: false },
    ),
    check.custom(
      "run",
      async ({ table }, { bigquery: client }) => {
        const job = await client.run(sql`SELECT COUNT(*) AS n FROM ${table}`);
        for await (const row of job.rowsOf()) answers.push(row["n"]);
        await client.run(sql`TRUNCATE TABLE ${table}`);
        return true;
      },
      { blocking: false, resources: { bigquery: bigquery() } },
    ),
    check.custom(
      "stranger",
      async ({ query }) => {
        for await (const _ of query(sql`SELECT 1 FROM ${{ kind: "asset", key: "q/other" }}`)) return true;
        return true;
      },
      { blocking: false },
    ),
  ]);
  await using platform = await localPlatform({ exports: { scores } });
  await run(platform, "asset.q.scores", { partition: "2024-05-01" });
  const results = await checked(platform);
  assert.deepEqual(
    results.map(({ passed }) => passed),
    [false, false, false],
  );
  assert.match(results[2]?.message ?? "", /q\/scores reads q\/other without declaring it/);
  assert.deepEqual(answers, [2]);
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM q.scores"), [{ n: 2 }]);
});

test("a query that takes longer than a message waits is found again, and the run ends", async () => {
  const given = { scores: [1] as Scores };
  let asked = 0;
  const scores = scored(given, [
    check.unique("id"),
    check.custom("slow", async ({ query, rows }) => {
      asked++;
      for await (const _ of query(sql`SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 300000)) AS i`)) void _;
      for await (const row of rows()) if (row["id"] === "") return false;
      return true;
    }),
  ]);
  await using platform = await localPlatform({ exports: { scores }, settings: { waitMs: 0, lookAgainMs: 50 } });
  await platform.publish("asset.q.scores", { partition: "2024-05-01" });
  for (let n = 0; n < 100 && (await platform.eventsOf("run.succeeded")).length === 0; n++) await platform.quiet(500);
  assert.equal((await platform.eventsOf("materialized")).length, 1);
  assert.ok(asked > 1, "nothing was waited for");
  assert.equal((await checked(platform)).length, 2);
});

test("rows that no table keeps are looked at before their commit, and a report's where they are", async () => {
  const seen: unknown[] = [];
  const list = check.custom(
    "list",
    async ({ rows, table }) => {
      for await (const { id, at } of rows()) seen.push([id, at.getTime(), table === undefined]);
      return { passed: false, message: "just so", metadata: { seen: seen.length } };
    },
    { schema, blocking: false },
  );
  const files = asset({
    key: "q/files",
    schema,
    ioManager: parquetFiles({ location: "gs://kept/files" }),
    checks: [check.rowCount({ max: 1 }, { blocking: false }), list],
    materialize: () => [0, 1].map((n) => ({ id: `p${n}`, at: new Date(n), score: n })),
  });
  const outside = asset({
    key: "q/outside",
    target: "none",
    checks: [
      check.custom("up", async ({ table }) => ({ passed: table === undefined }), { blocking: false }),
      check.custom(
        "none",
        async ({ rows }) => {
          for await (const _ of rows()) return false;
          return true;
        },
        { blocking: false },
      ),
    ],
    materialize: async () => undefined,
  });
  await using platform = await localPlatform({ exports: { files, outside } });
  await run(platform, "asset.q.files");
  assert.deepEqual(seen, [
    ["p0", 0, true],
    ["p1", 1, true],
  ]);
  await run(platform, "asset.q.outside");
  assert.deepEqual(
    (await checked(platform)).map(({ check: name, passed, message }) => [name, passed, message]),
    [
      ["row_count", false, "2 rows, expected at most 1"],
      ["list", false, "just so"],
      ["up", true, undefined],
      ["none", false, "q/outside keeps no rows that the check none could look at"],
    ],
  );
  assert.equal((await platform.eventsOf("materialized")).length, 2);
});

test("a check of a table that somebody else fills looks at it after each report", async () => {
  const accounts = externalAsset({
    key: "crm/accounts",
    table: "crm.made_elsewhere",
    schema: z.object({ account: z.string(), day: z.iso.date() }),
  });
  const one = assetCheck({
    asset: accounts,
    name: "one",
    async evaluate({ rows }) {
      const found = [];
      for await (const { account, day } of rows()) found.push(`${account} ${day}`);
      return { passed: found.length === 1, metadata: { found } };
    },
  });
  await using platform = await localPlatform({ exports: { accounts, one } });
  const table = { dataset: "crm", table: "made_elsewhere" };
  const statement = "CREATE TABLE crm.made_elsewhere AS SELECT 'a' AS account, DATE '2024-05-01' AS day";
  await platform.warehouse.submit("made-elsewhere", { kind: "query", sql: statement, writes: [table] }, {});
  await platform.warehouse.wait("made-elsewhere", { timeoutMs: 240_000 });
  await run(platform, "asset.crm.accounts");
  const [result] = await checked(platform);
  assert.deepEqual(result?.metadata, { found: ["a 2024-05-01"] });
});

test("the documentation's example runs as a whole", async () => {
  await using platform = await localPlatform({ exports: { visits, plausible, forget, forgetSensor } });
  await run(platform, "asset.web.visits", { partition: "2024-06-01" });
  assert.deepEqual(await platform.rows("SELECT page, people FROM web.visits"), [{ page: "/", people: 12 }]);
  assert.deepEqual(
    (await checked(platform)).map(({ check: name, passed }) => [name, passed]),
    [
      ["rows_in_partition", true],
      ["unique_page_day", true],
      ["row_count", true],
      ["has_home", true],
      ["plausible", true],
    ],
  );
  const [ended] = (await platform.eventsOf("run.succeeded")).filter(({ kind }) => kind === "job");
  assert.deepEqual(ended?.metadata, { before: "2024-01-01" });
  assert.deepEqual(await platform.leftovers(), []);
});
