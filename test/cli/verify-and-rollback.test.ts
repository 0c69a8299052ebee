/** A table goes back to an older interval, and what somebody else does to it is found. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { openDuckdbWarehouse } from "../../lib/local/duckdb/warehouse.ts";
import type { DuckdbWarehouse } from "../../lib/local/duckdb/warehouse.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import { temporaryProject, SCORES } from "../support/sluice-command.ts";
import type { Project } from "../support/sluice-command.ts";

const DAILY = `
import { daily, sqlAsset, sql } from "sluice";
export const copies = sqlAsset({
  key: "demo/copies", partitions: daily({ start: "2024-05-01" }), sql: sql\`SELECT 1 AS n\`,
});
`;
const slots = z.array(
  z.object({ asset: z.string(), table: z.string(), status: z.string(), drift: z.boolean(), reason: z.string() }),
);
const TABLE = { dataset: "demo", table: "scores" };

/** As somebody who knows nothing of Sluice. */
async function byHand(project: Project, work: (warehouse: DuckdbWarehouse) => Promise<unknown>): Promise<void> {
  const file = join(project.home, "warehouse.duckdb");
  const warehouse = await openDuckdbWarehouse({ file, resolveUri: (uri) => uri, clock: systemClock() });
  try {
    await work(warehouse);
  } finally {
    await warehouse.close();
  }
}

test("verify and rollback, on one machine", async (t) => {
  const project = temporaryProject({ "scores.ts": SCORES, "daily.ts": DAILY });
  t.after(() => project.remove());
  const drop = async (day: number): Promise<void> => {
    writeFileSync(join(project.root, "drop.json"), `{"n":${day}}\n`);
    const { code, stderr } = await project.sluice("put", "drop.json", `gs://drops/scores/2024-05-0${day}.json`);
    assert.equal(code, 0, stderr);
  };
  const verify = async (): Promise<{ readonly code: number | null; readonly of: ReadonlyMap<string, string> }> => {
    const { code, stdout, stderr } = await project.sluice("verify", "--json");
    assert.equal(stderr, "");
    return { code, of: new Map(slots.parse(JSON.parse(stdout)).map(({ table, status }) => [table, status])) };
  };

  const nothing = await verify();
  assert.deepEqual([nothing.code, [...nothing.of]], [0, [["demo.scores", "empty"]]]);
  await drop(1);
  await drop(2);
  const { code: made, stderr } = await project.sluice("materialize", "demo/copies", "--partition", "2024-05-01");
  assert.equal(made, 0, stderr);

  await t.test("what Sluice has published is as it was left", async () => {
    const { code, of } = await verify();
    assert.deepEqual(
      [code, [...of]],
      [
        0,
        [
          ["demo.copies$20240501", "as committed"],
          ["demo.scores", "as committed"],
        ],
      ],
    );
  });

  await t.test("what somebody else has written is drift", async () => {
    await byHand(project, async (warehouse) => {
      await warehouse.submit(
        "mine",
        { kind: "query", sql: "DELETE FROM `demo.scores` WHERE TRUE", writes: [TABLE] },
        {},
      );
      assert.equal((await warehouse.wait("mine", { timeoutMs: 60_000 })).state, "succeeded");
      await warehouse.drop({ dataset: "demo", table: "copies", partition: "20240501" });
    });
    const { code, of } = await verify();
    assert.deepEqual([code, of.get("demo.scores"), of.get("demo.copies$20240501")], [1, "changed", "missing"]);
    const { stdout } = await project.sluice("verify", "demo/scores");
    assert.match(stdout, /demo\.scores +changed +changed .* after the last publish, pub-/);
    assert.match(stdout, /sluice materialize demo\/scores --partition 2024-05-02 --force/);
  });

  await t.test("a rollback shows the older interval, from its raw table, and heals the table", async () => {
    const { code, stdout, stderr: told } = await project.sluice("rollback", "demo/scores", "--to", "2024-05-01");
    assert.equal(code, 0, told);
    assert.match(stdout, /materialized 1 row.* → demo\.scores, rolled back from 2024-05-02/);
    assert.match(stdout, /demo\/scores shows 2024-05-01/);
    const row = await project.json("query", "SELECT n FROM demo.scores");
    assert.deepEqual(row, { n: 1 });
    assert.equal((await verify()).of.get("demo.scores"), "as committed");
    assert.match((await project.sluice("show", "demo/scores")).stdout, /table shows +2024-05-01, by a rollback/);
  });

  await t.test("what cannot be gone back to is refused with the remedy", async () => {
    const refused = async (wanted: RegExp, ...args: readonly string[]): Promise<void> => {
      const { code, stderr: said } = await project.sluice("rollback", ...args);
      assert.equal(code, 2, said);
      assert.match(said, wanted);
      assert.equal(said.trim().split("\n").length, 1);
    };
    await refused(/demo\.scores shows 2024-05-01 already/, "demo/scores", "--to", "2024-05-01");
    await refused(/which is older: go on with `sluice materialize/, "demo/scores", "--to", "2024-05-02");
    await refused(/a partition of its own: .*--partition 2024-05-01 --force/, "demo/copies", "--to", "2024-05-01");
  });
});
