/** The rehearsed run goes all the way: what it does not call is compiled only when a function is waited for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rehearse } from "../../lib/cloud/rehearsal.ts";

test("a run is rehearsed from its message to its commit, with nothing but a stage of its own", async () => {
  assert.deepEqual(await rehearse(), ["run.started", "check.evaluated", "materialized", "run.succeeded"]);
});
