/** What a run publishes is what its inputs were when it looked at them last. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BUCKET, dayImport, KEY, nameOf, severalFiles } from "../support/import-world.ts";
import { placeOf } from "../support/single-place.ts";

const DAY = "2024-05-01";
const uri = (part: "a" | "b"): string => `gs://${BUCKET}/${nameOf(1, part)}`;

function setUp() {
  const place = placeOf(dayImport({ ...severalFiles, mode: "incremental" }));
  const { documents, warehouse } = place;
  const run = () => documents.all("run")[0]?.[1] ?? assert.fail("no run");
  const types = () => documents.events.map(({ type }) => type);
  const rows = () => warehouse.rows({ dataset: "clean", table: "days", partition: "20240501" });
  const inputs = () =>
    documents
      .get("partition", `${KEY}|${DAY}`)
      ?.head?.inputs.map(({ name, generation }) => `gs://${BUCKET}/${name}#${generation}`);
  return { ...place, run, types, rows, inputs };
}

for (const [what, before, change, after] of [
  ["is replaced", ["a", "b"], "a", [`${uri("a")}#2`, `${uri("b")}#1`]],
  ["is added", ["a"], "b", [`${uri("a")}#1`, `${uri("b")}#1`]],
  ["is taken away", ["a", "b"], undefined, [`${uri("a")}#1`]],
] as const)
  test(`a file that ${what} while the others are loaded makes the run start over`, async () => {
    const { write, objects, fates, send, clock, types, rows, inputs, run, warehouse } = setUp();
    for (const part of before) write(BUCKET, nameOf(1, part));
    const { updated } = objects.get(uri("a")) ?? assert.fail("no object");
    fates.set("load-", () => {
      fates.clear();
      if (change === undefined) return void objects.delete(uri("b"));
      // As if it had been there for a while: nothing is awaited.
      objects.set(uri(change), { ...write(BUCKET, nameOf(1, change)), updated });
    });
    await clock.advance(61_000);
    await send(KEY, { partition: DAY });
    assert.equal(run().status, "succeeded");
    assert.equal(types().filter((type) => type === "run.restarted").length, 1);
    assert.deepEqual(rows(), after);
    assert.deepEqual(inputs(), after);
    assert.deepEqual(warehouse.list("raw", "days__staging"), []);
  });

test("a file that was loaded and is gone publishes nothing, unless that is allowed; one that is absent for a moment is not gone", async () => {
  const { write, objects, send, clock, documents, rows, run } = setUp();
  for (const part of ["a", "b"] as const) write(BUCKET, nameOf(1, part));
  await clock.advance(61_000);
  await send(KEY, { partition: DAY });
  const both = [`${uri("a")}#1`, `${uri("b")}#1`];
  assert.deepEqual(rows(), both);
  const kept = objects.get(uri("b")) ?? assert.fail("no object");
  objects.delete(uri("b"));
  void clock.sleep(500).then(() => objects.set(uri("b"), kept));
  await send(KEY, { partition: DAY, runKey: "absent" });
  objects.delete(uri("b"));
  await send(KEY, { partition: DAY, runKey: "gone" });
  const codeOf = (runKey: string) => documents.all("run").find(([, each]) => each.request.runKey === runKey)?.[1].code;
  assert.deepEqual([codeOf("absent"), codeOf("gone")], ["unchanged", "inputs-missing"]);
  assert.deepEqual(rows(), both);
  await send(KEY, { partition: DAY, runKey: "allowed", allowMissing: true });
  assert.deepEqual(rows(), [`${uri("a")}#1`]);
  assert.equal(run().status, "succeeded");
});

for (const [what, error, code, tries] of [
  ["for good", { reason: "invalid", message: "a bad file", retryable: false }, "invalid", 1],
  ["in passing", { reason: "backendError", message: "try again", retryable: true }, "retry", 2],
] as const)
  test(`a load that fails ${what} is ${tries === 1 ? "the end of its run" : "tried again under another id"}`, async () => {
    const { write, fates, send, wake, clock, run, rows, submitted } = setUp();
    write(BUCKET, nameOf(1));
    fates.set("load-", error);
    await clock.advance(61_000);
    await send(KEY, { partition: DAY });
    assert.deepEqual([run().status, run().code], [tries === 1 ? "failed" : "parked", code]);
    fates.clear();
    await wake(run());
    const loads = new Set(submitted.filter((id) => id.startsWith("load-")));
    assert.equal(loads.size, tries);
    assert.deepEqual(rows(), tries === 1 ? undefined : [`${uri("a")}#1`]);
  });

test("staged rows that somebody has put away are filled again in the next try, and are no lack of data", async () => {
  const { write, fates, send, wake, clock, run, rows, warehouse, submitted } = setUp();
  write(BUCKET, nameOf(1));
  fates.set("load-", () => warehouse.list("raw", "days__staging").forEach((table) => warehouse.drop(table)));
  await clock.advance(61_000);
  await send(KEY, { partition: DAY });
  assert.deepEqual([run().status, run().code, run().failures], ["parked", "retry", 1]);
  fates.clear();
  await wake(run());
  assert.equal(run().status, "succeeded");
  assert.deepEqual(rows(), [`${uri("a")}#1`]);
  assert.equal(new Set(submitted.filter((id) => id.startsWith("load-"))).size, 2);
});

test("an interval that comes too late is passed over with its files, which the partition remembers", async () => {
  const { write, send, documents, warehouse } = placeOf(dayImport({ mode: "overwrite" }));
  for (const day of [2, 1]) {
    write(BUCKET, nameOf(day));
    await send(KEY, { partition: `2024-05-0${day}` });
  }
  const { head, superseded } = documents.get("partition", `${KEY}|${DAY}`) ?? assert.fail("no partition");
  assert.equal(head, undefined);
  assert.deepEqual(
    superseded?.inputs.map(({ name, generation }) => `${name}#${generation}`),
    [`${nameOf(1)}#1`],
  );
  assert.deepEqual(warehouse.rows({ dataset: "clean", table: "days" }), [`gs://${BUCKET}/${nameOf(2)}#1`]);
});
