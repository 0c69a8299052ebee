import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoredEvent } from "../../../lib/core/events.ts";
import { normalized } from "./same-history.ts";

/** A load and what follows it, told with the ids, generations and times of one telling. */
function told(telling: string, at: number, changes: { readonly rows?: number; readonly partition?: string } = {}) {
  const { rows = 3, partition = "2024-05-01" } = changes;
  const [load, follow] = [`${telling}000000000000`, `${telling}fffffffffffff`.slice(0, 16)];
  const uri = "gs://drops/a.parquet";
  const generation = `${at}000`;
  const base = { v: 1, asset: "a", partition, run: load } as const;
  const cause = { kind: "materialization", asset: "a", id: `m-${load}` } as const;
  const events: StoredEvent[] = [
    { ...base, id: `${load}-s`, at, position: "1", ...started("a"), cause: { kind: "object", uri, generation } },
    {
      ...base,
      id: `${load}-m`,
      at: at + 1,
      position: "2",
      type: "materialized",
      materializationId: `m-${load}`,
      fingerprint: telling,
      rows,
      inputs: [{ bucket: "drops", name: "a.parquet", generation, size: 7 }],
    },
    { ...base, asset: "b", run: follow, id: `${follow}-s`, at: at + 2, position: "3", ...started("b"), cause },
    { ...base, id: `${load}-e`, at: at + 2, position: "4", type: "run.succeeded", kind: "asset", name: "a" },
  ];
  return events;
}

function started(name: string) {
  return { type: "run.started", kind: "asset", name, attempt: 1 } as const;
}

test("two tellings of the same story are equal, in whatever order their runs went on", () => {
  const one = told("abcd", 1_700_000_000_000);
  const other = told("1234", 1_800_000_000_000);
  assert.deepEqual(normalized(one), normalized(other));
  const [first, second, third, last] = other;
  assert.ok(first !== undefined && second !== undefined && third !== undefined && last !== undefined);
  assert.deepEqual(normalized(one), normalized([first, second, last, third]));
  assert.deepEqual(normalized(one, one.slice(1)), normalized(other, other.slice(1)));
});

test("what differs in more than names is told apart", () => {
  const one = normalized(told("abcd", 1_700_000_000_000));
  assert.notDeepEqual(one, normalized(told("1234", 1_700_000_000_000, { rows: 4 })));
  assert.notDeepEqual(one, normalized(told("1234", 1_700_000_000_000, { partition: "2024-05-02" })));
  assert.notDeepEqual(one, normalized(told("1234", 1_700_000_000_000).slice(0, -1)));
  const [first, second, third, last] = told("1234", 1_700_000_000_000);
  assert.ok(first !== undefined && second !== undefined && third !== undefined && last !== undefined);
  assert.notDeepEqual(one, normalized([first, last, third, second]), "the order within a run counts");
});
