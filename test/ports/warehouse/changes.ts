/** When tables and their partitions were changed last, by whatever job. */
import assert from "node:assert/strict";
import type { TableChanges } from "../../../lib/ports/warehouse.ts";
import { column, minute, n, ref, type Scenario, type World } from "./world.ts";

const dated = [column("day", "DATE"), column("n", "INT64")];

async function publish(world: World, day: string, value: number): Promise<void> {
  const staged = world.fresh("staged");
  await world.fill(staged, dated, [{ day, n: value }]);
  const destination = { ...ref("days"), partition: day.replaceAll("-", "") };
  const partitioning = { type: "DAY", column: "day" } as const;
  await world.succeed({ kind: "copy", source: ref(staged), destination, partitioning });
}

async function changesOf({ warehouse }: World, table: string): Promise<TableChanges> {
  return (await warehouse.changes(ref(table))) ?? assert.fail(`there is no ${table}`);
}

export const changeScenarios: Readonly<Record<string, Scenario>> = {
  "a table that is not there has no changes": async ({ warehouse }) => {
    assert.equal(await warehouse.changes(ref("nowhere")), undefined);
    assert.equal(await warehouse.changes({ dataset: "nowhere", table: "orders" }), undefined);
  },

  "a table's last change moves with every job that writes it, and with nothing else": async (world) => {
    const { fill, succeed, select, advance, warehouse } = world;
    await fill("orders", n, [{ n: 1 }]);
    const { at: loaded, ...more } = await changesOf(world, "orders");
    assert.deepEqual(more, {}, "it has no partitions");
    advance(minute);
    await select("SELECT * FROM `shop.orders`");
    await fill("others", n, [{ n: 1 }]);
    await succeed({ kind: "copy", source: ref("orders"), destination: ref("copy") });
    assert.equal((await changesOf(world, "orders")).at, loaded, "whoever reads it changes nothing");
    advance(minute);
    await succeed({ kind: "query", sql: "INSERT INTO `shop.orders` (n) VALUES (2)", writes: [ref("orders")] });
    const { at: inserted } = await changesOf(world, "orders");
    assert.ok(inserted >= loaded + minute, "a statement");
    advance(minute);
    await succeed({ kind: "copy", source: ref("others"), destination: ref("orders") });
    const { at: copied } = await changesOf(world, "orders");
    assert.ok(copied >= inserted + minute, "a copy");
    advance(minute);
    const { etag } = (await warehouse.describe(ref("orders"))) ?? assert.fail();
    await warehouse.extend(ref("orders"), [column("note", "STRING")], etag);
    assert.ok((await changesOf(world, "orders")).at >= copied + minute, "new columns");
  },

  "partitions change by themselves": async (world) => {
    const { advance, warehouse } = world;
    await publish(world, "2024-05-01", 1);
    advance(minute);
    await publish(world, "2024-05-02", 2);
    const before = await changesOf(world, "days");
    const { "20240501": first = 0, "20240502": second = 0, ...others } = before.partitions ?? {};
    assert.deepEqual(others, {});
    assert.ok(first > 0 && second >= first + minute && before.at >= second, JSON.stringify(before));
    advance(minute);
    await publish(world, "2024-05-01", 3);
    const again = await changesOf(world, "days");
    assert.ok((again.partitions?.["20240501"] ?? 0) >= second + minute);
    assert.equal(again.partitions?.["20240502"], second);
    advance(minute);
    const { etag } = (await warehouse.describe(ref("days"))) ?? assert.fail();
    await warehouse.extend(ref("days"), [column("note", "STRING")], etag);
    const extended = await changesOf(world, "days");
    assert.ok(extended.at >= again.at + minute);
    assert.deepEqual(extended.partitions, again.partitions, "new columns change no partition's rows");
    await warehouse.drop({ ...ref("days"), partition: "20240502" });
    assert.deepEqual(Object.keys((await changesOf(world, "days")).partitions ?? {}), ["20240501"]);
  },

  "a statement that changes rows of a partition is a change of it": async (world) => {
    const { advance, succeed } = world;
    await publish(world, "2024-05-01", 1);
    const { partitions: before = {} } = await changesOf(world, "days");
    advance(minute);
    const sql = "UPDATE `shop.days` SET n = 7 WHERE day = DATE '2024-05-01'";
    await succeed({ kind: "query", sql, writes: [ref("days")] });
    const { partitions: after = {} } = await changesOf(world, "days");
    assert.ok((after["20240501"] ?? 0) >= (before["20240501"] ?? 0) + minute);
  },
};
