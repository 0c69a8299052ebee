/** What docs/importing.md, docs/graph.md and docs/factories.md show, as it runs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMaterialization, buildObject, evaluateSensor, materializeInMemory, runJobInMemory } from "sluice";
import * as copied from "../support/copied-tables.ts";
import { definitionsOf, localPlatform } from "../support/local-platform.ts";
import * as shop from "../support/shop.ts";

const DAY = 86_400_000;

test("files of two weeks become days, weeks and growth by themselves, whole days only", async () => {
  await using platform = await localPlatform({ exports: shop });
  const drop = async (day: number, name: string, text: string): Promise<void> => {
    const date = new Date(Date.UTC(2024, 3, 29) + day * DAY).toISOString().slice(0, 10);
    const folder = `gs://shop-exports/orders/${date.replaceAll("-", "")}`;
    await platform.put(`${folder}/${name}`, text.replaceAll("DAY", date));
  };
  const count = async (): Promise<unknown> =>
    (await platform.rows("SELECT COUNT(*) AS n FROM shop.orders").catch(() => [{ n: 0 }]))[0]?.["n"];
  await drop(0, "part-1.csv", "day,country,amount\nDAY,de,10\n");
  await drop(0, "part-2.csv", "day,country,amount\nDAY,fr,5\n");
  await platform.quiet();
  assert.deepEqual(await platform.eventsOf("materialized"), [], "the day is not whole yet");
  await drop(0, "_SUCCESS", "");
  await platform.quiet();
  assert.deepEqual(
    (await platform.eventsOf("run.failed")).map(({ reason }) => reason),
    [],
  );
  assert.equal(await count(), 2);
  for (let day = 1; day < 14; day++) {
    await drop(day, "part-1.csv", `day,country,amount\nDAY,de,${day < 7 ? 10 : 20}\n`);
    await drop(day, "_SUCCESS", "");
  }
  await platform.quiet(30_000);
  assert.equal(await count(), 15);
  assert.deepEqual(await platform.rows("SELECT CAST(week AS STRING) AS week, more FROM shop.growth"), [
    { week: "2024-05-06", more: 7 * 20 - (7 * 10 + 5) },
  ]);
  const weeks = await platform.rows(
    "SELECT CAST(week AS STRING) AS week, country, revenue FROM shop.revenue_weeks ORDER BY week, country",
  );
  assert.deepEqual(weeks, [
    { week: "2024-04-29", country: "de", revenue: 70 },
    { week: "2024-04-29", country: "fr", revenue: 5 },
    { week: "2024-05-06", country: "de", revenue: 140 },
  ]);
  // The first week made both reports; the second one does not make them again.
  const reports = (await platform.eventsOf("materialized")).filter(({ asset }) => asset === "shop/reports");
  assert.deepEqual(new Set(reports.map(({ partition }) => partition)), new Set(["de", "fr"]));
  assert.equal(reports.length, 2);
  // Nothing of these years is the day that has just ended.
  assert.ok((await platform.eventsOf("materialized")).every(({ asset }) => asset !== "shop/morning"));
  assert.deepEqual([await platform.eventsOf("run.failed"), platform.complaints], [[], []]);

  await platform.put("gs://shop-exports/asked/de", "");
  await platform.quiet();
  const again = (await platform.allRuns()).filter(
    ({ name, partition }) => name === "shop/reports" && partition === "de",
  );
  assert.equal(again.length, 2, "the sensor has asked for it");
});

test("a sensor of objects asks for what an object names, and says why not", async () => {
  const { requests } = await evaluateSensor(shop.asked, { object: buildObject("gs://shop-exports/asked/fr") });
  assert.equal(requests[0]?.partition, "fr");
  const { skipReason } = await evaluateSensor(shop.asked, { object: buildObject("gs://shop-exports/asked/") });
  assert.equal(skipReason, "asked/ names no country");
});

test("a factory's response is its parts, and several are one", async () => {
  const { assets, sensors, jobs, checks } = definitionsOf({ accounts: copied.accounts, people: copied.people });
  assert.deepEqual([...assets.keys()].toSorted(), ["crm/accounts", "crm/contacts", "crm/leads"]);
  assert.deepEqual([...sensors.keys()].toSorted().at(0), "archive_accounts_sensor");
  assert.deepEqual([sensors.size, jobs.size, checks.length], [3, 3, 3]);

  const client: copied.Crm = {
    async *rows(table) {
      yield { id: "1", name: table };
    },
    archive: async (_table, before) => (before === "2024-05-01" ? 7 : 0),
  };
  const [sensor] = copied.accounts.sensors;
  const [archive] = copied.accounts.jobs;
  assert.ok(sensor !== undefined && archive !== undefined);
  const { rows } = await materializeInMemory(copied.accounts.asset, { resources: { crm: client } });
  assert.deepEqual(rows, [{ id: "1", name: "accounts" }]);
  const event = buildMaterialization(copied.accounts.asset);
  const { requests } = await evaluateSensor(sensor, { event, requestedAt: Date.UTC(2024, 4, 31) });
  assert.deepEqual(requests, [{ runKey: "2024-05-01", config: { before: "2024-05-01" } }]);
  const { metadata } = await runJobInMemory(archive, { config: { before: "2024-05-01" }, resources: { crm: client } });
  assert.deepEqual(metadata, { archived: 7 });
});
