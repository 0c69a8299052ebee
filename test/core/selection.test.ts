import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { assetGraph } from "../../lib/core/graph.ts";
import { selectAssets } from "../../lib/core/selection.ts";
import type { AssetAttributes } from "../../lib/core/selection.ts";

const graph = assetGraph([
  { key: "gitcoin/scores", deps: [] },
  { key: "gitcoin/passing", deps: ["gitcoin/scores"] },
  { key: "gitcoin/deep/summary", deps: ["gitcoin/passing"] },
  { key: "report", deps: ["gitcoin/deep/summary", "flights/daily"] },
  { key: "flights/daily", deps: [] },
]);
const attributes = new Map<string, AssetAttributes>([
  [
    "gitcoin/scores",
    { group: "raw", tags: { tier: "gold", pii: "" }, owners: ["data+raw@example.org"], kinds: ["parquet"] },
  ],
  ["flights/daily", { group: "raw", tags: { tier: "silver" }, kinds: ["csv"] }],
  ["report", { group: "mart", owners: ["team:bi"] }],
]);
const all = ["gitcoin/scores", "gitcoin/passing", "gitcoin/deep/summary", "flights/daily", "report"];

const table: [string, string[]][] = [
  ["*", all],
  ["gitcoin/*", all.slice(0, 3)],
  ["gitcoin/*mary", ["gitcoin/deep/summary"]],
  ["*/d*y", ["gitcoin/deep/summary", "flights/daily"]],
  ["g*/*/*", ["gitcoin/deep/summary"]],
  ["report", ["report"]],
  ["+report", all],
  ["1+report", ["gitcoin/deep/summary", "flights/daily", "report"]],
  ["2+report", ["gitcoin/passing", "gitcoin/deep/summary", "flights/daily", "report"]],
  ["0+report", ["report"]],
  ["gitcoin/scores+", ["gitcoin/scores", "gitcoin/passing", "gitcoin/deep/summary", "report"]],
  ["gitcoin/scores+1", ["gitcoin/scores", "gitcoin/passing"]],
  ["+gitcoin/passing+", ["gitcoin/scores", "gitcoin/passing", "gitcoin/deep/summary", "report"]],
  ["1+gitcoin/deep/summary+1", ["gitcoin/passing", "gitcoin/deep/summary", "report"]],
  ["report,flights/daily", ["flights/daily", "report"]],
  [" report  , flights/daily\n", ["flights/daily", "report"]],
  ["report report", ["report"]],
  ["group:raw", ["gitcoin/scores", "flights/daily"]],
  ["group:raw+1", ["gitcoin/scores", "gitcoin/passing", "flights/daily", "report"]],
  ["tag:tier=gold", ["gitcoin/scores"]],
  ["tag:tier", ["gitcoin/scores", "flights/daily"]],
  ["tag:pii=", ["gitcoin/scores"]],
  ["owner:data+raw@example.org", ["gitcoin/scores"]],
  ["owner:team:bi", ["report"]],
  ["kind:csv", ["flights/daily"]],
];
for (const [expression, expected] of table) {
  test(`select ${JSON.stringify(expression)}`, () =>
    assert.deepEqual(selectAssets(expression, graph, attributes), expected));
}

const refused: [string, RegExp][] = [
  ["", /empty/],
  [" , ", /empty/],
  ["gitcoin/score", /did you mean "gitcoin\/scores"/],
  ["+gitcoin/score+", /did you mean "gitcoin\/scores"/],
  ["gitcoin", /no asset is called "gitcoin"/],
  ["flight/*", /no asset is called/],
  ["report,nothing", /"nothing"/],
  ["group:row", /did you mean "raw"/],
  ["tag:tier=bronze", /tier=gold/],
  ["grup:raw", /did you mean "group"/],
  ["kind:", /no asset has the kind ""/],
  ["+", /no asset is called "\+"/],
];
for (const [expression, message] of refused) {
  test(`refuse ${JSON.stringify(expression)}`, () => {
    assert.throws(
      () => selectAssets(expression, graph, attributes),
      (error) => error instanceof DefinitionError && message.test(messageOf(error)),
    );
  });
}

test("a union is the union of its parts, in graph order", () => {
  const term = fc.constantFrom(...table.map(([expression]) => expression));
  fc.assert(
    fc.property(fc.array(term, { minLength: 1, maxLength: 4 }), (terms) => {
      const parts = new Set(terms.flatMap((one) => selectAssets(one, graph, attributes)));
      assert.deepEqual(
        selectAssets(terms.join(","), graph, attributes),
        graph.order.filter((key) => parts.has(key)),
      );
    }),
  );
});

test("a glob agrees with the regular expression of the same meaning", () => {
  const piece = fc.stringMatching(/^[ab/*]{1,8}$/);
  const key = fc.stringMatching(/^[ab]{1,3}(\/[ab]{1,3}){0,2}$/);
  fc.assert(
    fc.property(piece, fc.uniqueArray(key, { minLength: 1, maxLength: 8 }), (glob, keys) => {
      if (!glob.includes("*")) return;
      const some = assetGraph(keys.map((name) => ({ key: name, deps: [] })));
      const regex = new RegExp(`^${glob.replaceAll("*", ".*")}$`);
      const expected = keys.filter((name) => regex.test(name));
      if (expected.length === 0) assert.throws(() => selectAssets(glob, some), DefinitionError);
      else assert.deepEqual(selectAssets(glob, some), expected);
    }),
    { numRuns: 500 },
  );
});
