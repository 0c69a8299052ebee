import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventType } from "../../lib/core/events.ts";
import { COLLECTIONS, WITH_MANIFESTS } from "../../lib/gcp/firestore-documents.ts";
import { COMPOSITE_INDEXES, FIELD_OVERRIDES } from "../../lib/gcp/firestore-indexes.ts";
import type { CompositeIndex } from "../../lib/gcp/firestore-indexes.ts";
import { dueQuery, historyQueries, partitionsQuery, runsQuery } from "../../lib/gcp/firestore-queries.ts";
import type { StoreQuery } from "../../lib/gcp/firestore-queries.ts";

/** Every query that the store can ask, one for each combination of its filters. */
function allQueries(): readonly (readonly [title: string, query: StoreQuery])[] {
  const found: (readonly [string, StoreQuery])[] = [];
  const oneType: EventType[] = ["log"];
  const manyTypes: EventType[] = ["log", "materialized", "run.failed", "run.started", "run.parked"];
  for (const scope of subsets({ asset: "a", partition: "p", run: "r" }))
    for (const asset of scope["asset"] === undefined ? [undefined] : ["a", ["a", "b", "c"]])
      for (const types of [undefined, oneType, manyTypes])
        for (const order of ["newest", "oldest"] as const) {
          const query = {
            ...scope,
            ...(asset === undefined ? {} : { asset }),
            ...(types === undefined ? {} : { types }),
            order,
          };
          for (const each of historyQueries(query, 101)) found.push([`history ${JSON.stringify(query)}`, each]);
        }
  for (const filters of subsets({ kind: "asset", name: "a", partition: "p", status: "failed" }))
    found.push([`runs ${JSON.stringify(filters)}`, runsQuery(filters, 101)]);
  for (const range of subsets({ from: "a", to: "b" }))
    found.push([`partitions ${JSON.stringify(range)}`, partitionsQuery({ name: "a", ...range }, 101)]);
  return [...found, ["due", dueQuery(200, 1)], ["next due", dueQuery(1)]];
}

function subsets(full: Readonly<Record<string, string>>): Record<string, string>[] {
  return Object.entries(full).reduce<Record<string, string>[]>(
    (sets, [key, value]) => [...sets, ...sets.map((set) => ({ ...set, [key]: value }))],
    [{}],
  );
}

/** The fields of an index: those that are compared with values, and those that sort. */
function shapeOf({ collectionGroup, fields }: CompositeIndex, order: StoreQuery["order"]) {
  const sorting = fields.slice(-order.length).map(({ fieldPath, order: way }) => [fieldPath, way] as const);
  return { collectionGroup, equal: fields.slice(0, -order.length).map(({ fieldPath }) => fieldPath), sorting };
}

/** The declared indexes that serve the query together: each has a part of its equalities and all of its order. */
function serving(query: StoreQuery): readonly CompositeIndex[] {
  const wanted = query.equal.map(([field]) => field);
  const sorting = query.order.map(([field, way]) => [field, way === "asc" ? "ASCENDING" : "DESCENDING"]);
  const fitting = COMPOSITE_INDEXES.filter((index) => {
    const shape = shapeOf(index, query.order);
    return (
      shape.collectionGroup === COLLECTIONS[query.kind] &&
      JSON.stringify(shape.sorting) === JSON.stringify(sorting) &&
      shape.equal.every((field) => wanted.includes(field))
    );
  });
  const exact = fitting.find((index) => shapeOf(index, query.order).equal.length === wanted.length);
  if (exact !== undefined) return [exact];
  const covered = new Set(fitting.flatMap((index) => shapeOf(index, query.order).equal));
  if (!wanted.every((field) => covered.has(field))) return [];
  // Those that another one contains add nothing.
  return fitting.filter((index) => {
    const { equal } = shapeOf(index, query.order);
    return !fitting.some((other) => {
      const more = shapeOf(other, query.order).equal;
      return more.length > equal.length && equal.every((field) => more.includes(field));
    });
  });
}

test("every query is served by declared indexes, and every declared index serves a query", (context) => {
  const used = new Set<CompositeIndex>();
  const unserved: string[] = [];
  const merged = new Set<string>();
  for (const [title, query] of allQueries()) {
    const indexes = serving(query);
    if (indexes.length === 0) unserved.push(title);
    if (indexes.length > 1) merged.add(query.equal.map(([field]) => field).join("+"));
    indexes.forEach((index) => used.add(index));
  }
  context.diagnostic(`${COMPOSITE_INDEXES.length} composite indexes; merged from several: ${[...merged].join(", ")}`);
  assert.deepEqual(unserved, []);
  assert.deepEqual(
    COMPOSITE_INDEXES.filter((index) => !used.has(index)),
    [],
  );
});

test("no query takes more combinations of values than Firestore does, and a filter is never lost in parts", () => {
  for (const [title, { equal }] of allQueries()) {
    const combinations = equal.reduce((product, [, values]) => product * values.length, 1);
    assert.ok(combinations <= 30, `${title}: ${combinations}`);
  }
  const types: EventType[] = ["log", "materialized", "run.failed", "run.started", "run.parked", "run.skipped"];
  for (const scope of [{}, { asset: Array.from({ length: 10 }, (_, n) => `k${n}`) }]) {
    const parts = historyQueries({ ...scope, types }, 10);
    const asked = parts.flatMap(({ equal }) => equal.find(([field]) => field === "type")?.[1] ?? []);
    assert.equal(asked.length, types.length);
    assert.deepEqual(new Set(asked), new Set<unknown>(types));
  }
});

test("no index begins with what only grows, so that no range of it becomes hot", () => {
  for (const { fields } of COMPOSITE_INDEXES) {
    assert.ok(!["t", "n", "createdAt", "dueAt", "type", "kind", "status"].includes(fields[0]?.fieldPath ?? ""));
  }
});

test("a field has one rule, and every collection one for all others: no automatic indexes", () => {
  const places = FIELD_OVERRIDES.map(({ collectionGroup, fieldPath }) => `${collectionGroup}.${fieldPath}`);
  assert.equal(new Set(places).size, places.length);
  const others = FIELD_OVERRIDES.filter(({ fieldPath }) => fieldPath === "*");
  assert.deepEqual(
    others,
    Object.values(COLLECTIONS).map((collectionGroup) => ({ collectionGroup, fieldPath: "*", indexes: [] })),
  );
});

test("only what is asked for by what it contains has an index of its own", () => {
  const indexed = FIELD_OVERRIDES.filter((rule) => "indexes" in rule && rule.indexes.length > 0);
  const expected = WITH_MANIFESTS.map((kind) => ({
    collectionGroup: COLLECTIONS[kind],
    fieldPath: "manifests",
    indexes: [{ queryScope: "COLLECTION", arrayConfig: "CONTAINS" }],
  }));
  assert.deepEqual(new Set(indexed), new Set<unknown>(expected));
});

test("what expires is operational: never a head, a slot or a cursor", () => {
  const expiring = FIELD_OVERRIDES.filter((rule) => "ttl" in rule).map(({ collectionGroup }) => collectionGroup);
  assert.deepEqual(expiring.sort(), [COLLECTIONS.due, COLLECTIONS.event, COLLECTIONS.run].sort());
});
