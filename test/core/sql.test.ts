import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { asset } from "../../lib/core/asset.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { quoteTable, renderSql, sql } from "../../lib/core/sql.ts";
import type { SqlTemplate, SqlValue } from "../../lib/core/sql.ts";

const scores = asset({ key: "gitcoin/scores", materialize: async () => undefined });
const render = (statement: SqlTemplate) =>
  renderSql(statement, (key) => ({ dataset: "d", table: key.replace("/", "_") }));

describe("a template", () => {
  test("turns assets into tables, values into parameters, identifiers into quoted names", () => {
    const { text, parameters, assets } = render(
      sql`SELECT ${sql.id("day")} FROM ${scores} s JOIN ${sql.table({ project: "my-project", dataset: "x", table: "y" })} USING (a)
WHERE s.n > ${20} AND s.name = ${"O'Neil"} AND ${scores} IS NOT NULL`,
    );
    assert.equal(
      text,
      "SELECT `day` FROM `d.gitcoin_scores` s JOIN `my-project.x.y` USING (a)\nWHERE s.n > @p0 AND s.name = @p1 AND `d.gitcoin_scores` IS NOT NULL",
    );
    assert.deepEqual(parameters, { p0: { type: "INT64", value: 20 }, p1: { type: "STRING", value: "O'Neil" } });
    assert.deepEqual(assets, ["gitcoin/scores"]);
  });

  test("takes templates into itself, and numbers their values through", () => {
    const where = sql`a = ${1}`;
    const { text, parameters } = render(sql`SELECT ${0} WHERE ${where} OR ${sql`b = ${2} AND ${where}`}`);
    assert.equal(text, "SELECT @p0 WHERE a = @p1 OR b = @p2 AND a = @p3");
    assert.deepEqual(
      Object.values(parameters).map(({ value }) => value),
      [0, 1, 2, 1],
    );
  });

  test("asks where an asset is, and passes on that it is not declared", () => {
    const undeclared = new Error("declare it");
    assert.throws(
      () =>
        renderSql(sql`SELECT * FROM ${scores}`, () => {
          throw undeclared;
        }),
      (error) => error === undeclared,
    );
  });

  for (const [value, parameter] of [
    ["x", { type: "STRING", value: "x" }],
    ["", { type: "STRING", value: "" }],
    [null, { type: "STRING", value: null }],
    [true, { type: "BOOL", value: true }],
    [-3, { type: "INT64", value: -3 }],
    [0.5, { type: "FLOAT64", value: 0.5 }],
    [2 ** 60, { type: "FLOAT64", value: 2 ** 60 }],
    [2n ** 62n, { type: "INT64", value: "4611686018427387904" }],
    [new Date(0), { type: "TIMESTAMP", value: "1970-01-01T00:00:00.000Z" }],
    [[1, 2], { type: "INT64", array: true, value: [1, 2] }],
    [[1, 2.5], { type: "FLOAT64", array: true, value: [1, 2.5] }],
    [[2.5, 1], { type: "FLOAT64", array: true, value: [2.5, 1] }],
    [[null, "a"], { type: "STRING", array: true, value: [null, "a"] }],
    [[], { type: "STRING", array: true, value: [] }],
  ] as const satisfies readonly (readonly [SqlValue, unknown])[]) {
    test(`passes ${typeof value === "bigint" ? `${value}n` : JSON.stringify(value)} as ${parameter.type}`, () => {
      assert.deepEqual(render(sql`${value}`), { text: "@p0", parameters: { p0: parameter }, assets: [] });
    });
  }

  for (const bad of [
    Number.NaN,
    Infinity,
    [1, -Infinity],
    [1, "a"],
    [true, 1],
    new Date(Number.NaN),
  ] as readonly SqlValue[]) {
    test(`refuses ${inspect(bad)}`, () => {
      assert.throws(() => render(sql`${bad}`), DefinitionError);
    });
  }
});

describe("nothing of a value becomes part of the statement", () => {
  test("whatever the value", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("'; DROP TABLE x; --", "`", "@p0", "\\")),
        (value) => {
          const { text, parameters } = render(sql`SELECT * FROM t WHERE a = ${value} AND b IN UNNEST(${[value]})`);
          assert.equal(text, "SELECT * FROM t WHERE a = @p0 AND b IN UNNEST(@p1)");
          assert.equal(parameters["p0"]?.value, value);
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  for (const name of ["a b", "a`b", "a;b", "a.b", "", "1a", "a'", "ä", "a\n", "a--", "x".repeat(1_025)]) {
    test(`an identifier such as ${JSON.stringify(name.slice(0, 20))} is refused`, () => {
      assert.throws(() => sql.id(name), DefinitionError);
    });
  }

  for (const table of [
    { dataset: "d`; DROP TABLE x; --", table: "t" },
    { dataset: "d", table: "t` WHERE 1=1 --" },
    { project: "p`", dataset: "d", table: "t" },
    { dataset: "", table: "t" },
    { dataset: "d.e", table: "t" },
  ]) {
    test(`a table such as ${JSON.stringify(table)} is refused`, () => {
      assert.throws(() => quoteTable(table), DefinitionError);
      assert.throws(() => render(sql`SELECT * FROM ${sql.table(table)}`), DefinitionError);
    });
  }

  test("a value that only looks like one of ours is not believed", () => {
    // As untyped code, or parsed JSON, could hand it in.
    for (const forged of [
      { kind: "identifier", name: "a` OR 1=1" },
      { kind: "something", text: "1; DROP TABLE x" },
    ]) {
      assert.throws(() => render(sql`SELECT ${forged as unknown as SqlValue}`), DefinitionError);
    }
  });
});
