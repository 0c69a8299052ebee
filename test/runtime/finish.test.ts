/** What is left to do after a commit is done once, in its order, by whoever comes first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryableError } from "../../lib/core/errors.ts";
import { BUCKET, dayImport, KEY, nameOf } from "../support/import-world.ts";
import { placeOf } from "../support/single-place.ts";

const DAY = "2024-05-01";
const RAW = { dataset: "raw", table: "days__20240501" };
const PARTITION = `${KEY}|${DAY}`;

/** A first version is shown, and its raw copy could not be made. */
async function cutOff() {
  const place = placeOf(dayImport({ mode: "overwrite" }));
  place.write(BUCKET, nameOf(1));
  place.fates.set("raw-", { before: new RetryableError("the connection was reset") });
  await place.send(KEY, { partition: DAY, runKey: "first" });
  const finish = () => place.documents.get("partition", PARTITION)?.finish;
  const run = (runKey: string) =>
    place.documents.all("run").find(([, { request }]) => request.runKey === runKey)?.[1] ?? assert.fail("no run");
  assert.equal(run("first").status, "succeeded");
  assert.deepEqual(run("first").outbox, [], "no reason to announce it again");
  assert.equal(finish()?.runId, run("first").id);
  assert.ok(place.documents.get("due", run("first").id) !== undefined, "it is due");
  const staging = finish()?.staging?.table ?? assert.fail("no staging");
  assert.ok(!place.done.includes(`drop ${staging}`), "it is needed yet");
  return { ...place, finish, run, staging };
}

test("leftovers that could not be put away are put away by the run's deadline, without another announcement", async () => {
  const { fates, wake, finish, run, warehouse, staging, done, documents } = await cutOff();
  fates.clear();
  await wake(run("first"));
  assert.equal(finish(), undefined);
  assert.deepEqual(warehouse.rows(RAW), [`gs://${BUCKET}/${nameOf(1)}#1`]);
  assert.equal(warehouse.describe({ dataset: "raw", table: staging }), undefined);
  assert.equal(done.filter((what) => what.startsWith("publish materialized.")).length, 1);
  assert.deepEqual(documents.all("due"), []);
});

test("a staging goes when its raw copy has ended, and no sooner", async () => {
  const { fates, wake, finish, run, warehouse, staging } = await cutOff();
  fates.set("raw-", "pending");
  await wake(run("first"));
  assert.ok(warehouse.describe({ dataset: "raw", table: staging }) !== undefined, "the copy is still under way");
  assert.equal(finish()?.runId, run("first").id);
  const [job] = warehouse.pending();
  warehouse.run(job?.id ?? assert.fail("no job"));
  await wake(run("first"));
  assert.deepEqual(warehouse.rows(RAW), [`gs://${BUCKET}/${nameOf(1)}#1`]);
  assert.deepEqual([finish(), warehouse.describe({ dataset: "raw", table: staging })], [undefined, undefined]);
});

test("the next run of the partition puts them away before its own work, and not its own beside them", async () => {
  const { fates, write, send, finish, run, warehouse, staging, done, documents } = await cutOff();
  write(BUCKET, nameOf(1));
  // It can do no more than the first: what is left is still known.
  await send(KEY, { partition: DAY, runKey: "second" });
  assert.deepEqual([run("second").status, run("second").code], ["parked", "retry"]);
  assert.equal(finish()?.runId, run("first").id);
  fates.clear();
  const before = done.length;
  await send(KEY, { partition: DAY, runKey: "third", force: true });
  assert.equal(run("third").status, "succeeded");
  const steps = done.slice(before).map((what) => what.replace(/-[0-9a-f]{16}-.*/, ""));
  assert.deepEqual(steps.slice(0, 3), ["submit raw", `drop ${staging}`, "submit load-1"]);
  assert.equal(finish(), undefined);
  assert.deepEqual(warehouse.rows(RAW), [`gs://${BUCKET}/${nameOf(1)}#2`], "the last one is the last version's");
  assert.deepEqual(warehouse.list("raw", "days__staging"), []);
  assert.equal(documents.events.filter(({ type }) => type === "materialized").length, 2);
});

for (const [what, how] of [
  ["that did not go out", "before"],
  ["of which nobody knows whether it went out", "after"],
] as const)
  test(`news ${what} stays with its run, and goes out when somebody comes again`, async () => {
    const place = placeOf(dayImport({ mode: "overwrite" }));
    const topic = `materialized.${KEY.replace("/", ".")}`;
    const { documents, done, lost } = place;
    place.write(BUCKET, nameOf(1));
    const fault = new RetryableError("the connection was reset");
    lost.set(topic, how === "before" ? { before: fault } : { after: fault });
    await assert.rejects(place.send(KEY, { partition: DAY, runKey: "first" }), /was reset/);
    const [id, run] = documents.all("run")[0] ?? assert.fail("no run");
    assert.deepEqual([run.status, run.outbox.map((message) => message.topic)], ["succeeded", [topic]]);
    assert.ok(documents.get("due", id) !== undefined);
    lost.clear();
    await place.send(KEY, { partition: DAY, runKey: "first" });
    assert.equal(done.filter((each) => each === `publish ${topic}`).length, how === "before" ? 1 : 2);
    assert.deepEqual([documents.get("run", id)?.outbox, documents.all("due")], [[], []]);
    assert.equal(documents.get("partition", PARTITION)?.finish, undefined);
  });
