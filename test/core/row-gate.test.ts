import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { PermanentError } from "../../lib/core/errors.ts";
import { bigqueryTable } from "../../lib/core/io-manager.ts";
import { rowCodec } from "../../lib/core/row-codec.ts";
import { discardMetadata, rowGate } from "../../lib/core/row-gate.ts";

const codec = rowCodec(z.object({ n: z.int(), name: z.string().default("nobody") }));
const asset = "a/b";
const good = { n: 1, name: "x" };

const isInvalid =
  (pattern: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof PermanentError && error.code === "invalid-row", String(error));
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };

test("rows that fit pass as the schema makes them", () => {
  const gate = rowGate(codec, { asset, onInvalidRow: "fail" });
  assert.deepEqual(gate.take(good), good);
  assert.deepEqual(gate.take({ n: 2, more: true }), { n: 2, name: "nobody" });
  assert.deepEqual(gate.end(), { rows: 2, discarded: 0, samples: [] });
});

test("fail: the first row that does not fit is named by its number and its fault", () => {
  const gate = rowGate(codec, { asset, onInvalidRow: "fail" });
  gate.take(good);
  gate.take(good);
  assert.throws(() => gate.take({ n: "1" }), isInvalid(/^row 3 of a\/b does not fit its schema: n: .*onInvalidRow/));
});

test("discard: rows that do not fit are counted, and the first five are shown", () => {
  const gate = rowGate(codec, { asset, onInvalidRow: "discard" });
  const circle: Record<string, unknown> = { n: "circle" };
  circle["self"] = circle;
  const bad = [{ n: 10n }, circle, undefined, "x".repeat(500), { toJSON: () => assert.fail() }, null, 7];
  for (const row of bad) {
    assert.equal(gate.take(row), undefined);
    assert.notEqual(gate.take(good), undefined);
  }
  const { rows, discarded, samples } = gate.end();
  assert.deepEqual([rows, discarded], [7, 7]);
  assert.deepEqual(
    samples.map(({ row, value }) => [row, value]),
    [
      [1, '{"n":"10"}'],
      [3, "(object)"],
      [5, "undefined"],
      [7, `"${"x".repeat(199)}…`],
      [9, "(object)"],
    ],
  );
  const metadata = discardMetadata({ rows, discarded, samples }, bigqueryTable({ onInvalidRow: "discard" }));
  assert.equal(metadata["discardedRows"], 7);
  assert.deepEqual(JSON.parse(JSON.stringify(metadata)), metadata, "metadata is plain JSON");
});

test("discard: when no row is left, it is no result", () => {
  const gate = rowGate(codec, { asset, onInvalidRow: "discard" });
  for (let i = 0; i < 3; i++) gate.take({});
  assert.throws(() => gate.end(), isInvalid(/^none of the 3 rows of a\/b fits its schema, the first because n: /));
  assert.deepEqual(rowGate(codec, { asset, onInvalidRow: "discard" }).end(), { rows: 0, discarded: 0, samples: [] });
});

test("metadata speaks of discarded rows only where rows may be discarded", () => {
  const counts = { rows: 1, discarded: 0, samples: [] };
  assert.deepEqual(discardMetadata(counts, bigqueryTable()), {});
  assert.deepEqual(discardMetadata(counts, bigqueryTable({ onInvalidRow: "discard" })), { discardedRows: 0 });
});
