/** What becomes of a publish that fails, or of which nobody knows whether it has happened. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryableError } from "../../lib/core/errors.ts";
import type { JobError } from "../../lib/ports/warehouse.ts";
import { appending, BUCKET, dayImport, KEY, nameOf } from "../support/import-world.ts";
import { placeOf } from "../support/single-place.ts";

const DAY = "2024-05-01";
const SLOT = "clean.days$20240501";

function setUp() {
  const place = placeOf(dayImport({ mode: "incremental" }));
  place.write(BUCKET, nameOf(1));
  const ask = (runKey: string, more: object = {}): Promise<void> =>
    place.send(KEY, { partition: DAY, runKey, ...more });
  const publishes = (): readonly string[] => place.submitted.filter((id) => id.startsWith("pub-"));
  const run = (runKey: string) =>
    place.documents.all("run").find(([, { request }]) => request.runKey === runKey)?.[1] ?? assert.fail("no run");
  const slot = () => place.documents.get("slot", SLOT);
  const rows = () => place.warehouse.rows({ dataset: "clean", table: "days", partition: "20240501" });
  return { ...place, ask, publishes, run, slot, rows };
}

const refused: JobError = { reason: "accessDenied", message: "you may not", retryable: false };

test("a publish that fails for good ends its run and leaves the slot free; its job id is never used again", async () => {
  const { ask, run, slot, rows, publishes, fates, documents, warehouse } = setUp();
  fates.set("pub-", refused);
  await ask("first");
  const { status, code, failures } = run("first");
  assert.deepEqual([status, code, failures], ["failed", "accessDenied", 1]);
  assert.deepEqual(slot(), { sequence: 1 });
  assert.equal(documents.get("partition", `${KEY}|${DAY}`)?.holder, undefined);
  assert.deepEqual(warehouse.list("raw", "days__staging"), [], "what nobody will publish has gone");
  fates.clear();
  await ask("second");
  assert.equal(run("second").status, "succeeded");
  assert.deepEqual(rows(), [`gs://${BUCKET}/${nameOf(1)}#1`]);
  assert.equal(new Set(publishes()).size, 2);
});

test("a publish that is cut off is tried again under another id, with the staging that is there", async () => {
  const { ask, run, slot, publishes, submitted, fates, wake } = setUp();
  const loads = (): number => new Set(submitted.filter((id) => id.startsWith("load-"))).size;
  for (const reason of ["stopped", "notFound", "backendError"]) {
    fates.set("pub-", { reason, message: "try again", retryable: reason === "backendError" });
    await ask(reason, { force: true });
    assert.deepEqual([run(reason).status, run(reason).code, run(reason).failures], ["parked", "retry", 1]);
    assert.equal(slot()?.intent, undefined);
    fates.clear();
    const before = loads();
    await wake(run(reason));
    assert.equal(run(reason).status, "succeeded");
    assert.equal(loads(), before, "what was staged is there");
  }
  assert.deepEqual(
    [...new Set(publishes())].map((id) => id.replace(/.*-/, "")),
    ["1", "2", "3", "4", "5", "6"],
  );
});

for (const made of [true, false])
  test(`whoever cannot know whether the publish ${made ? "has happened, and it has" : "was asked for, and it was not"}, sleeps and asks for it`, async () => {
    const { ask, run, slot, rows, publishes, fates, wake, documents } = setUp();
    const lost = new RetryableError("the connection was reset");
    fates.set("pub-", made ? { after: lost } : { before: lost });
    await ask("first");
    const asleep = run("first");
    assert.deepEqual([asleep.status, asleep.code, asleep.failures], ["parked", "publish-unsettled", 0]);
    assert.equal(slot()?.intent?.runId, asleep.id, "it is on record");
    fates.clear();
    await wake(asleep);
    assert.equal(run("first").status, "succeeded");
    assert.deepEqual(rows(), [`gs://${BUCKET}/${nameOf(1)}#1`]);
    assert.equal(new Set(publishes()).size, made ? 1 : 2, "the id of what was prevented is not used again");
    const settled = documents.events.flatMap((event) => (event.type === "publish.settled" ? [event.outcome] : []));
    assert.deepEqual(settled, [made ? "rolled-forward" : "closed"]);
    assert.equal(documents.events.filter(({ type }) => type === "materialized").length, 1);
  });

test("whoever settles a dead run's publish announces it as well", async () => {
  const place = placeOf(dayImport({ mode: "overwrite" }));
  const { documents, fates, done, clock, send } = place;
  for (const day of [1, 2]) place.write(BUCKET, nameOf(day));
  fates.set("pub-", { after: new RetryableError("the connection was reset") });
  await send(KEY, { partition: DAY });
  fates.clear();
  await clock.advance(1_000_000);
  await send(KEY, { partition: "2024-05-02" });
  assert.deepEqual(
    documents.all("run").map(([, { status, outbox }]) => [status, outbox]),
    [
      ["succeeded", []],
      ["succeeded", []],
    ],
  );
  assert.equal(done.filter((what) => what === `publish materialized.${KEY.replace("/", ".")}`).length, 2);
  assert.deepEqual(documents.all("due"), []);
});

test("however often a run fails, it does not end while its own publish may have happened", async () => {
  const { ask, run, slot, rows, fates, wake, done } = setUp();
  const alarms = (): number => new Set(done.filter((what) => what.startsWith("schedule wake-"))).size;
  const lost = new RetryableError("the connection was reset");
  fates.set("pub-", { after: lost });
  await ask("first");
  fates.set("pub-", { before: lost });
  for (let round = 0; round < 8; round++) {
    assert.equal(alarms(), 1 + round, "each sleep has an alarm of its own name");
    await wake(run("first"));
    assert.equal(run("first").status, "parked", `in round ${round}`);
    assert.equal(slot()?.intent?.runId, run("first").id);
  }
  fates.clear();
  await wake(run("first"));
  assert.equal(run("first").status, "succeeded");
  assert.deepEqual(rows(), [`gs://${BUCKET}/${nameOf(1)}#1`]);
});

test("a run that follows a dead one settles its publish before it looks at what is there: rows are added once", async () => {
  const { write, fates, send, clock, documents, warehouse } = placeOf(appending(dayImport({ mode: "overwrite" })));
  write(BUCKET, nameOf(1));
  fates.set("pub-", { after: new RetryableError("the connection was reset") });
  await send(KEY, { partition: DAY, runKey: "dead" });
  fates.clear();
  await clock.advance(1_000_000);
  await send(KEY, { partition: DAY, runKey: "next" });
  const ends = documents.all("run").map(([, { request, status, code = "" }]) => `${request.runKey}: ${status} ${code}`);
  assert.deepEqual(ends.sort(), ["dead: succeeded ", "next: skipped unchanged"]);
  assert.deepEqual(warehouse.rows({ dataset: "clean", table: "days" }), [`gs://${BUCKET}/${nameOf(1)}#1`]);
});
