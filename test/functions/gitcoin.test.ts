import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMaterialization, evaluateSensor } from "sluice";
import { gitcoinPassportScores } from "../../functions/gitcoin.ts";

test("files that are more than ten days older than the newest are cleaned up", async () => {
  const { asset, sensors } = gitcoinPassportScores;
  const event = buildMaterialization(asset, { partition: "2024-05-20" });
  const { requests } = await evaluateSensor(sensors[0], { event });
  assert.deepEqual(requests[0]?.config, { before: "2024-05-10", dryRun: false });
});
