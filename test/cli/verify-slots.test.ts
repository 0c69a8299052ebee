/** `sluice verify` against BigQuery's stand-in: a write by others is told from the publish by the end of the publish's own job. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AssetEntry } from "../../lib/cli/catalog.ts";
import { verifyAsset } from "../../lib/cli/verify-slots.ts";
import { BIGQUERY_SLACK_MS } from "../../lib/cli/workbench.ts";
import type { ReadableStore, TableLook } from "../../lib/cli/workbench.ts";
import type { SlotDocument } from "../../lib/core/documents.ts";
import { bigqueryWarehouse } from "../../lib/gcp/bigquery-warehouse.ts";
import { bigqueryUnderTest } from "../gcp/bigquery-world.ts";

test("a write ten seconds after the publish is seen, and where the job is not known any more, that is said", async () => {
  const subject = await bigqueryUnderTest();
  try {
    const warehouse = bigqueryWarehouse(subject.options);
    const write = async (id: string): Promise<void> => {
      const sql = "CREATE OR REPLACE TABLE `shop.scores` AS SELECT 1 AS n";
      const writes = [{ dataset: "shop", table: "scores" }];
      assert.equal(await warehouse.submit(id, { kind: "query", sql, writes }, {}), "accepted");
      const { state, error } = await warehouse.wait(id, { timeoutMs: 60_000 });
      assert.equal(state, "succeeded", error?.message);
    };
    assert.equal(await warehouse.endOf("pub-1"), undefined);
    await write("pub-1");
    const end = (await warehouse.endOf("pub-1")) ?? assert.fail("its end is not known");
    // Nothing else of the commit and of the asset is looked at; the commit is written down after the job.
    const at = end + 4_000;
    let jobId = "pub-1";
    const slot = (): SlotDocument =>
      ({ sequence: 1, committed: { jobId, runId: "r", partition: "", at } }) as unknown as SlotDocument;
    const store = { get: async () => slot() } as unknown as ReadableStore;
    const asset = {
      key: "demo/scores",
      target: { table: { dataset: "shop", table: "scores" }, slot: "table" },
    } as unknown as AssetEntry;
    const tables: TableLook = {
      slackMs: BIGQUERY_SLACK_MS,
      changes: warehouse.changes,
      endOf: warehouse.endOf,
    };
    const verified = async (look: TableLook = tables) => {
      const [found] = await verifyAsset({ store, tables: look }, asset, at);
      return found ?? assert.fail("no slot");
    };
    assert.deepEqual([(await verified()).status, (await verified()).byTime], ["as committed", undefined]);

    subject.advance(10_000);
    await write("somebody-elses");
    const changed = await verified();
    assert.deepEqual([changed.status, changed.drift], ["changed", true]);
    assert.ok(
      changed.changedAt !== undefined && changed.changedAt < at + BIGQUERY_SLACK_MS,
      "times alone tell nothing",
    );

    jobId = "pub-of-long-ago";
    const unknown = await verified();
    assert.deepEqual([unknown.status, unknown.byTime], ["as committed", true]);
    assert.match(unknown.reason, /by the commit's time alone: the warehouse does not know the job any more$/);
  } finally {
    await subject.close();
  }
});
