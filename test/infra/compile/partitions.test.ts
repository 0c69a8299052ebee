/** Tables that fill: from which instant on, and what is said before and after it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fillingNotes, fullTable } from "../../../infra/compile/partitions.ts";
import type { FillingTable } from "../../../infra/compile/partitions.ts";
import { asset, bigquery, daily, hourly, monthly, weekly } from "../../../lib/index.ts";
import type { PartitionsDefinition } from "../../../lib/index.ts";
import { messageOf } from "../../../lib/core/errors.ts";
import { compiled, definitionsOf } from "../../support/infra.ts";

const HOUR_MS = 3_600_000;

function fillingOf(partitions: PartitionsDefinition, more = {}): readonly FillingTable[] {
  const parts = { key: "a/t", partitions, resources: { bigquery: bigquery() }, materialize: async () => undefined };
  const { filling, problems } = compiled(definitionsOf({ "a.ts": { t: asset({ ...parts, ...more }) } }));
  assert.deepEqual(problems.map(messageOf), []);
  return filling;
}

function only(all: readonly FillingTable[]): FillingTable {
  const [first, ...others] = all;
  assert.ok(first && others.length === 0);
  return first;
}

describe("partitions without an end", () => {
  test("fill their table: the note says when, and where", () => {
    const filling = fillingOf(hourly({ start: "2026-01-01T00" }));
    const { fullAt } = only(filling);
    assert.equal(fullAt, Date.UTC(2026, 0, 1) + 10_000 * HOUR_MS);
    assert.deepEqual(fillingNotes(filling, Date.UTC(2026, 0, 1)), [
      "functions/a.ts t: a/t has no last partition, and a.t holds 10,000: the last of these ends at 2027-02-21T16:00Z",
    ]);
  });

  test("are refused once more of them are over than the table holds, and not an hour earlier", () => {
    const filling = only(fillingOf(hourly({ start: "2020-01-01T00" })));
    assert.equal(fullTable(filling, filling.fullAt), undefined);
    assert.equal(fullTable(filling, filling.fullAt + HOUR_MS - 1), undefined);
    const { message, where } = fullTable(filling, filling.fullAt + HOUR_MS) ?? assert.fail("10,001 are over");
    assert.match(message, /a\/t has 10,001 partitions of a\.t by now, and a table holds 10,000/);
    assert.equal(where, "functions/a.ts t");
    const later = fullTable(filling, Date.UTC(2026, 10, 22)) ?? assert.fail("60,000 are over");
    assert.match(messageOf(later), /^functions\/a\.ts t: a\/t has 60,408 partitions .* \(use a longer interval, /);
    assert.equal(fullTable(filling, Date.UTC(2019, 0, 1)), undefined);
  });

  for (const [what, partitions] of [
    ["days", daily({ start: "2024-05-01" })],
    ["weeks", weekly({ start: "2024-04-29" })],
    ["months", monthly({ start: "2024-05" })],
    ["months near the calendar's end", monthly({ start: "9500-05" })],
  ] as const)
    test(`are no matter for ${what}`, () => {
      const filling = fillingOf(partitions);
      const now = Date.UTC(2026, 10, 22);
      assert.deepEqual(fillingNotes(filling, now), []);
      for (const one of filling) assert.equal(fullTable(one, now), undefined);
    });

  test("are counted from where they start: the days of a century are too many as well", () => {
    const filling = only(fillingOf(daily({ start: "1995-01-01" })));
    assert.match(fullTable(filling, Date.UTC(2026, 10, 22))?.message ?? "", /a\/t has 11,648 partitions/);
  });

  test("do not fill a table that they do not divide, nor one that ends", () => {
    assert.deepEqual(fillingOf(hourly({ start: "2020-01-01T00" }), { resources: {} }), []);
    assert.deepEqual(fillingOf(hourly({ start: "2020-01-01T00", end: "2020-02-01T00" })), []);
  });
});
