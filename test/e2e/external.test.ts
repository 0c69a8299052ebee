/** A table that somebody else makes: they report, what depends on it follows, and Sluice writes nothing to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, assetCheck, bigqueryTable, check, daily, eager, externalAsset, sql, sqlAsset } from "sluice";
import { z } from "zod";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";

export const accounts = externalAsset({
  key: "crm/accounts",
  description: "Accounts, exported by the CRM every night",
  owners: ["sales@example.org"],
  table: "crm_export.accounts",
  partitions: daily({ start: "2024-05-01" }),
  partitionBy: "day",
  schema: z.object({ account: z.string(), day: z.iso.date() }),
  checks: [check.unique("account", { blocking: false })],
});

/** The accounts of a day, counted by code from the rows that it gets. */
const counted = asset({
  key: "crm/counted",
  partitions: daily({ start: "2024-05-01" }),
  inputs: { accounts },
  automation: eager(),
  schema: z.object({ day: z.iso.date(), accounts: z.int() }),
  ioManager: bigqueryTable({ partitionBy: "day" }),
  async *materialize({ row, partition }, inputs) {
    let n = 0;
    for await (const { day } of inputs.accounts) n += day === partition.key ? 1 : 100;
    yield row({ day: partition.key, accounts: n });
  },
});

const TABLE = { dataset: "crm_export", table: "accounts" };
let jobs = 0;

/** What the CRM does to its own table. */
async function exportDay(platform: LocalPlatform, day: string, people: number): Promise<void> {
  const rows = `SELECT CONCAT('a', CAST(n AS STRING)) AS account, DATE '${day}' AS day FROM UNNEST(GENERATE_ARRAY(1, ${people})) AS n`;
  const there = (await platform.warehouse.describe(TABLE)) !== undefined;
  const statement = there
    ? `INSERT INTO \`crm_export\`.\`accounts\` ${rows}`
    : `CREATE TABLE \`crm_export\`.\`accounts\` AS ${rows}`;
  const id = `export-${process.pid}-${++jobs}`;
  await platform.warehouse.submit(id, { kind: "query", sql: statement, writes: [TABLE] }, {});
  const status = await platform.warehouse.wait(id, { timeoutMs: 240_000 });
  assert.equal(status.state, "succeeded", status.error?.message);
}

const counts = (platform: LocalPlatform) => platform.rows("SELECT day, accounts FROM crm.counted ORDER BY day");

async function report(platform: LocalPlatform, body: object): Promise<void> {
  await platform.publish("asset.crm.accounts", body);
  await platform.quiet();
}

test("a report is a materialization: checked, announced, followed; once for each run key", async () => {
  await using platform = await localPlatform({ exports: { accounts, counted } });
  await exportDay(platform, "2024-05-01", 3);
  await exportDay(platform, "2024-05-02", 5);
  await platform.quiet();
  assert.deepEqual(await platform.history(), [], "nobody has said anything");

  const metadata = { rows: 3, by: "crm" };
  await report(platform, { partition: "2024-05-01", runKey: "night-1", config: { dataVersion: "v1", metadata } });
  assert.deepEqual(await counts(platform), [{ day: "2024-05-01", accounts: 3 }], "of its own day alone");
  const [told] = await platform.eventsOf("materialized");
  const { asset: key, partition, table, reported, dataVersion, metadata: kept, materializationId } = told ?? {};
  assert.deepEqual(
    { key, partition, table, reported, dataVersion, kept },
    {
      key: "crm/accounts",
      partition: "2024-05-01",
      table: "crm_export.accounts",
      reported: true,
      dataVersion: "v1",
      kept: metadata,
    },
  );
  const [checked] = await platform.eventsOf("check.evaluated");
  assert.deepEqual(checked?.result.passed, false, "accounts are in both days of the table");
  assert.equal(checked.result.blocking, false);

  // The same message again, and another one about the same version.
  await report(platform, { partition: "2024-05-01", runKey: "night-1", config: { dataVersion: "v1", metadata } });
  await report(platform, { partition: "2024-05-01", config: { dataVersion: "v1" } });
  const head = (await platform.events.get("partition", "crm/accounts|2024-05-01"))?.head;
  assert.equal(head?.materializationId, materializationId);
  const [unchanged] = await platform.eventsOf("run.skipped");
  assert.deepEqual([unchanged?.code, unchanged?.reason], ["unchanged", "it is still version v1"]);

  // A new version, and a report without one: there is new data each time.
  await exportDay(platform, "2024-05-01", 1);
  await report(platform, { partition: "2024-05-01", config: { dataVersion: "v2" } });
  assert.deepEqual(await counts(platform), [{ day: "2024-05-01", accounts: 4 }]);
  for (const accounts of [5, 6]) {
    await exportDay(platform, "2024-05-01", 1);
    await report(platform, { partition: "2024-05-01" });
    assert.deepEqual(await counts(platform), [{ day: "2024-05-01", accounts }]);
  }
  const materialized = (await platform.eventsOf("materialized")).map((event) => event.asset);
  assert.equal(materialized.filter((name) => name === "crm/accounts").length, 4);
  assert.equal(materialized.filter((name) => name === "crm/counted").length, 4);

  // Nothing of it was written, staged or dropped.
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM crm_export.accounts"), [{ n: 11 }]);
  assert.deepEqual((await platform.events.get("slot", "crm_export.accounts$20240501"))?.committed, undefined);
  assert.deepEqual(await platform.leftovers(), []);
  assert.deepEqual(platform.complaints, []);
});

test("what makes no sense is refused in one line, and changes nothing", async () => {
  await using platform = await localPlatform({ exports: { accounts, counted } });
  await report(platform, { partition: "2024-04-01" });
  await report(platform, { partition: "2024-05-01", config: { version: "v1" } });
  await report(platform, { partition: "2024-05-01", config: { dataVersion: "" } });
  await report(platform, { partition: "2024-05-02" });
  const refused = (await platform.eventsOf("message.refused")).map(({ reason }) => reason);
  assert.equal(refused.length, 3);
  assert.match(refused[0] ?? "", /the partition 2024-04-01 is before the first one/);
  assert.match(refused[1] ?? "", /^the config is not what crm\/accounts takes: version: unknown field "version" \(/);
  assert.match(refused[2] ?? "", /^the config is not what crm\/accounts takes: dataVersion: Too small/);
  const failed = (await platform.eventsOf("run.failed")).map(({ code, reason }) => `${code}: ${reason}`);
  assert.equal(failed.length, 1);
  assert.match(failed[0] ?? "", /^no-table: the table crm_export.accounts of crm\/accounts is not there/);
  assert.deepEqual(await platform.eventsOf("materialized"), []);
});

test("a check of another file looks at it as well; one that blocks is refused, with the remedy", async () => {
  const plain = externalAsset({ key: "crm/accounts", table: "crm_export.accounts" });
  const few = assetCheck({ asset: plain, name: "few", rowCount: { max: 2 } });
  await using platform = await localPlatform({ exports: { plain, few } });
  await exportDay(platform, "2024-05-01", 3);
  await report(platform, {});
  const [result] = (await platform.eventsOf("check.evaluated")).map((event) => event.result);
  assert.deepEqual([result?.check, result?.passed, result?.message], ["few", false, "3 rows, expected at most 2"]);
  assert.equal((await platform.eventsOf("materialized")).length, 1, "nothing is held back");

  const blocking = assetCheck({ asset: plain, name: "few", blocking: true, rowCount: { max: 2 } });
  await assert.rejects(localPlatform({ exports: { plain, blocking } }), {
    message: "crm/accounts is made elsewhere, so the check few cannot block it",
    remedy: "make the check non-blocking: { blocking: false }",
  });
});

test("a statement that refers to it reads its table", async () => {
  const plain = externalAsset({ key: "crm/accounts", table: "crm_export.accounts" });
  const total = sqlAsset({ key: "crm/total", automation: eager(), sql: sql`SELECT COUNT(*) AS n FROM ${plain}` });
  await using platform = await localPlatform({ exports: { plain, total } });
  await exportDay(platform, "2024-05-01", 3);
  await report(platform, {});
  assert.deepEqual(await platform.rows("SELECT n FROM crm.total"), [{ n: 3 }]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("a process that dies after any step of a report: it counts once, and what depends on it follows once", async () => {
  const plain = externalAsset({ key: "crm/accounts", table: "crm_export.accounts" });
  let ran = 0;
  const follower = asset({
    key: "crm/follower",
    deps: [plain],
    automation: eager(),
    async materialize() {
      ran += 1;
    },
  });
  await using platform = await localPlatform({ exports: { plain, follower } });
  for (let step = 1; ; step++) {
    assert.ok(step < 40, "the run never ends");
    ran = 0;
    const { ports, death } = mortalPorts(portsOf(platform), step);
    const report = { runKey: `night-${step}`, config: { dataVersion: `v${step}` } };
    const receive = (runtime: Pick<Runtime, "receive">): Promise<void> =>
      runtime.receive({ kind: "asset", key: "crm/accounts" }, { body: pushOf(report) });
    const died = await Promise.race([death, receive(otherRuntime(platform, ports)).then(() => undefined)]);
    await platform.runtime.releaseAbandoned();
    if (died !== undefined) await receive(platform.runtime);
    await platform.quiet();
    const where = `after ${died ?? "no death"}, step ${step}`;
    assert.equal((await platform.events.get("partition", "crm/accounts|"))?.head?.dataVersion, `v${step}`, where);
    const told = await platform.eventsOf("materialized");
    assert.equal(told.filter(({ dataVersion }) => dataVersion === `v${step}`).length, 1, where);
    assert.equal(ran, 1, where);
    assert.deepEqual(await platform.leftovers(), [], where);
    if (died === undefined) break;
  }
});
