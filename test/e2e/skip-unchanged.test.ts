/** `skipUnchanged`: what is shown already is not made again, unless it is forced or the definition is another one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, bigquery, bigqueryTable, daily, multiAsset, sql } from "sluice";
import { z } from "zod";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import { portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

let version: string | undefined;
const keys = ["v/rows", "v/filled", "v/elsewhere"];

const exports = {
  rows: asset({
    key: "v/rows",
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    materialize({ skipUnchanged, row }) {
      skipUnchanged(version);
      return [row({ n: 1 })];
    },
  }),
  filled: asset({
    key: "v/filled",
    resources: { bigquery: bigquery() },
    async materialize({ skipUnchanged, target }, { bigquery }) {
      skipUnchanged(version);
      await bigquery.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 1 AS n`);
    },
  }),
  elsewhere: asset({
    key: "v/elsewhere",
    async materialize({ skipUnchanged }) {
      skipUnchanged(version);
    },
  }),
};

/** What became of the last run of each. */
async function outcomes(platform: LocalPlatform): Promise<readonly string[]> {
  await platform.quiet();
  const runs = await platform.allRuns();
  return keys.map((key) => runs.find(({ name }) => name === key)).map((run) => run?.code ?? run?.status ?? "");
}

test("every kind of asset is made once for each version", async () => {
  await using platform = await localPlatform({ exports });
  const ask = async (body: object = {}): Promise<readonly string[]> => {
    for (const key of keys) await platform.publish(`asset.${key.replace("/", ".")}`, body);
    return await outcomes(platform);
  };
  const all = (outcome: string): readonly string[] => keys.map(() => outcome);
  version = undefined;
  assert.deepEqual(await ask(), all("succeeded"));
  assert.deepEqual(await ask(), all("succeeded"), "an unknown version skips nothing");
  version = "1";
  assert.deepEqual(await ask(), all("succeeded"));
  assert.deepEqual(await ask(), all("unchanged"));
  assert.deepEqual(await ask({ force: true }), all("succeeded"));
  assert.deepEqual(await ask(), all("unchanged"));
  version = "2";
  assert.deepEqual(await ask(), all("succeeded"));
  version = "1";
  assert.deepEqual(await ask(), all("succeeded"), "going back is a change as well");
  // The same version by another definition is other data.
  const assets = new Map(
    [...platform.definitions.assets].map(([key, definition]) => [key, { ...definition, codeVersion: "2" }]),
  );
  const changed = createRuntime({
    ...portsOf(platform),
    definitions: () => ({ ...platform.definitions, assets }),
  });
  for (const key of keys) await changed.receive({ kind: "asset", key }, { body: pushOf({}) });
  assert.deepEqual(await outcomes(platform), all("succeeded"));
  assert.deepEqual(await platform.leftovers(), []);
});

test("a table that shows another partition does not show this one's version", async () => {
  const seen: string[] = [];
  const all = multiAsset({
    name: "v",
    partitions: daily({ start: "2024-05-01" }),
    assets: {
      a: { key: "v/a", schema: z.object({ n: z.int() }), ioManager: bigqueryTable({ writeDisposition: "overwrite" }) },
      b: { key: "v/b", schema: z.object({ n: z.int() }), ioManager: bigqueryTable() },
    },
    async *materialize({ skipUnchanged, row, partition, selected }) {
      seen.push(`${partition.key} ${[...selected].join()}`);
      skipUnchanged("1");
      yield row.a({ n: 1 });
      yield row.b({ n: 1 });
    },
  });
  await using platform = await localPlatform({ exports: { all } });
  const ask = async (partition: string, more: object = {}): Promise<void> => {
    await platform.publish("job.v", { config: { partition, ...more } });
    await platform.quiet();
  };
  await ask("2024-05-01");
  await ask("2024-05-02");
  await ask("2024-05-02");
  await ask("2024-05-01", { select: ["b"] });
  assert.deepEqual(seen, ["2024-05-01 a,b", "2024-05-02 a,b", "2024-05-02 a,b", "2024-05-01 b"]);
  assert.equal((await platform.eventsOf("materialized")).length, 4);
  await platform.publish("asset.v.a", { partition: "2024-05-01", rollback: true });
  await platform.quiet();
  assert.equal((await platform.eventsOf("materialized")).length, 5, "the table shows the second of May, so it is made");
  await platform.publish("asset.v.a", { partition: "2024-05-01" });
  await platform.quiet();
  assert.equal((await platform.eventsOf("materialized")).length, 5);
  assert.equal((await platform.allRuns())[0]?.code, "unchanged");
  assert.deepEqual(await platform.leftovers(), []);
  const left = await Array.fromAsync(platform.objects.list("sluice-staging"));
  assert.deepEqual(left, []);
});

test("the job makes the latest partition where none is named", async () => {
  const today = Date.UTC(2024, 4, 3, 12);
  const all = multiAsset({
    name: "v",
    partitions: daily({ start: "2024-05-01" }),
    assets: { a: { key: "v/a", schema: z.object({ day: z.string() }), ioManager: bigqueryTable() } },
    async *materialize({ row, partition }) {
      yield row.a({ day: partition.key });
    },
  });
  await using platform = await localPlatform({ exports: { all } });
  const clock = { ...portsOf(platform).clock, now: () => today };
  const runtime = createRuntime({ ...portsOf(platform), clock, definitions: () => platform.definitions });
  const body = pushOf({}, { publishTime: new Date(today).toISOString() });
  await runtime.receive({ kind: "job", name: "v" }, { body });
  await platform.quiet();
  assert.deepEqual(await platform.rows("SELECT day FROM v.a"), [{ day: "2024-05-02" }]);
});
