/** What `sluice why` says of an import's files, from facts alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explainFiles } from "../../lib/core/condition-files.ts";
import type { FilesFact } from "../../lib/core/condition-files.ts";

const at = Date.UTC(2024, 4, 2, 6);
const source = { bucket: "drops", pathBase: "scores", fileMatch: "(?P<interval_timestamp>.*)/part-.*" };
const input = (name: string) => ({ bucket: "drops", name, generation: "7", size: 1 });
const head = {
  materializationId: "m-1",
  runId: "r-1",
  at,
  fingerprint: "f",
  inputs: [input("scores/a"), input("scores/b"), input("scores/c")],
};
const last = { id: "r-2", status: "skipped", code: "incomplete", reason: "2 of 4 files", updatedAt: at } as const;

/** Each part as `✓ label: because`, with its events. */
function lines(fact: Partial<FilesFact>): readonly string[] {
  const { parts } = explainFiles({ source, known: undefined, last: undefined, ...fact });
  return parts.map(({ label, value, because, events }) =>
    [value ? "✓" : "✗", `${label}:`, because, ...events].join(" "),
  );
}

const named = "✓ asked for by each file: of gs://drops/scores that matches (?P<interval_timestamp>.*)/part-.*";

test("nothing is known", () => {
  assert.deepEqual(lines({}), [
    named,
    "✓ whole: one file is all there is to wait for",
    "✗ loaded: none was, and no run has looked for any",
  ]);
});

test("what makes an interval whole, and what the last run saw of that", () => {
  const whole = (complete: NonNullable<FilesFact["source"]["complete"]>, run?: FilesFact["last"]) =>
    lines({ source: { ...source, complete }, last: run });
  assert.equal(whole({ marker: "_SUCCESS" })[1], "✓ whole: once _SUCCESS is there");
  assert.equal(whole({ settle: "10m" })[1], "✓ whole: once no file has changed for 10m");
  assert.deepEqual(whole({ count: 4 }, last).slice(1), [
    "✗ whole: once there are 4 files: run r-2 at 2024-05-02T06:00:00.000Z: 2 of 4 files r-2",
    "✗ loaded: none was: run r-2 skipped at 2024-05-02T06:00:00.000Z: 2 of 4 files r-2",
  ]);
});

test("what was loaded, and what has gone since", () => {
  const loaded = "✓ loaded: scores/a#7 and 2 more at 2024-05-02T06:00:00.000Z by run r-1";
  assert.equal(lines({ known: { head } })[2], `${loaded} m-1`);
  const gone = { ...last, status: "failed", code: "inputs-missing", reason: "1 object is gone" } as const;
  assert.equal(
    lines({ known: { head }, last: gone })[2],
    `${loaded}; since then, run r-2 failed at 2024-05-02T06:00:00.000Z: 1 object is gone m-1`,
  );
  // A run that failed for another reason says nothing about the files.
  assert.equal(lines({ known: { head }, last: { ...gone, code: "check-failed" } })[2], `${loaded} m-1`);
});

test("what came too late, and an interval that is sealed", () => {
  const known = { superseded: { at, inputs: [input("scores/a")] }, seal: { at, runId: "r-3" } };
  assert.deepEqual(lines({ known }).slice(3), [
    "✗ in time: scores/a#7 came at 2024-05-02T06:00:00.000Z, after a newer interval",
    "✗ open: run r-3 has sealed the interval at 2024-05-02T06:00:00.000Z, to clean it up r-3",
  ]);
});
