import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { assetGraph } from "../../lib/core/graph.ts";
import type { AssetNode } from "../../lib/core/graph.ts";

/** `c:a,b` is an asset c that depends on a and b. */
function nodes(text: string): AssetNode[] {
  return text.split(" ").map((part) => {
    const [key = "", deps = ""] = part.split(":");
    return { key, deps: deps === "" ? [] : deps.split(",") };
  });
}
const graphOf = (text: string) => assetGraph(nodes(text));

test("the order keeps what was given, save that dependencies come first", () => {
  assert.deepEqual(graphOf("a b c").order, ["a", "b", "c"]);
  assert.deepEqual(graphOf("c:a,b a b d").order, ["a", "b", "c", "d"]);
  assert.deepEqual(graphOf("d:c c:b b:a a").order, ["a", "b", "c", "d"]);
  assert.deepEqual(assetGraph([]).order, []);
});

test("closures", () => {
  const graph = graphOf("a b:a c:b d:b e:c,d x");
  assert.deepEqual(graph.upstream(["e"]), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(graph.upstream(["e"], 1), ["c", "d", "e"]);
  assert.deepEqual(graph.upstream(["e"], 0), ["e"]);
  assert.deepEqual(graph.downstream(["b"]), ["b", "c", "d", "e"]);
  assert.deepEqual(graph.downstream(["b"], 1), ["b", "c", "d"]);
  assert.deepEqual(graph.downstream(["x", "d"]), ["d", "e", "x"]);
  assert.deepEqual(graph.upstream(["nobody"]), []);
  assert.deepEqual(graph.depsOf("e"), ["c", "d"]);
  assert.deepEqual(graph.dependentsOf("b"), ["c", "d"]);
  assert.equal(graph.has("x"), true);
  assert.equal(graph.has("constructor"), false);
});

test("cycles are written out, one for each knot", () => {
  const cycles = (text: string) => graphOf(text).cycles.map((cycle) => cycle.join(" → "));
  assert.deepEqual(cycles("a:b b:a"), ["a → b → a"]);
  assert.deepEqual(cycles("a:a"), ["a → a"]);
  assert.deepEqual(cycles("a:b b:c c:a x:y y:x z:a"), ["a → b → c → a", "x → y → x"]);
  assert.deepEqual(cycles("a b:a c:a d:b,c"), []);
  // The shortest way round, not the first one found.
  assert.deepEqual(cycles("a:b,d b:c c:d d:a"), ["a → d → a"]);
});

test("what is sound beside a cycle is still ordered", () => {
  const graph = graphOf("late:mid mid:early early a:b b:a after:a");
  assert.deepEqual(graph.order.slice(0, 3), ["early", "mid", "late"]);
  assert.equal(graph.order.length, 6);
  assert.deepEqual(graph.upstream(["a"]).toSorted(), ["a", "b"]);
});

test("unknown dependencies name the nearest key, duplicates the key", () => {
  const graph = graphOf("gitcoin/scores top:gitcoin/score,gitcoin/score top a a a");
  assert.deepEqual(graph.unknown, [{ key: "top", dep: "gitcoin/score", remedy: 'did you mean "gitcoin/scores"?' }]);
  assert.deepEqual(graph.duplicates, ["top", "a"]);
  assert.deepEqual(graph.order, ["gitcoin/scores", "top", "a"]);
});

test("keys that objects have by nature are ordinary ones", () => {
  const graph = graphOf("__proto__ constructor:__proto__ toString:constructor");
  assert.deepEqual(graph.order, ["__proto__", "constructor", "toString"]);
  assert.deepEqual(graph.unknown, []);
});

const randomGraph = fc
  .array(fc.array(fc.nat({ max: 14 }), { maxLength: 4 }), { minLength: 1, maxLength: 15 })
  .map((lists) =>
    lists.map((deps, index) => ({ key: `k${index}`, deps: deps.map((dep) => `k${dep % lists.length}`) })),
  );

test("a graph has an order that keeps every dependency, or a cycle that is really there", () => {
  fc.assert(
    fc.property(randomGraph, (list) => {
      const graph = assetGraph(list);
      assert.deepEqual(graph.order.toSorted(), list.map(({ key }) => key).toSorted());
      const place = new Map(graph.order.map((key, index) => [key, index]));
      const broken = list.flatMap(({ key, deps }) =>
        deps.filter((dep) => (place.get(dep) ?? 0) >= (place.get(key) ?? 0)),
      );
      assert.equal(broken.length > 0, graph.cycles.length > 0);
      for (const cycle of graph.cycles) {
        assert.equal(cycle.at(0), cycle.at(-1));
        assert.equal(new Set(cycle).size, cycle.length - 1);
        for (const [index, key] of cycle.slice(0, -1).entries()) {
          assert.ok(graph.depsOf(key).includes(cycle[index + 1] ?? ""));
        }
      }
    }),
  );
});

test("upstream and downstream mirror each other", () => {
  fc.assert(
    fc.property(randomGraph, (list) => {
      const graph = assetGraph(list);
      for (const a of graph.order) {
        for (const b of graph.order) assert.equal(graph.upstream([a]).includes(b), graph.downstream([b]).includes(a));
      }
    }),
    { numRuns: 30 },
  );
});

const SIZE = 100_000;
const shapes: [string, (index: number) => number[]][] = [
  ["a chain, the last one first", (index) => (index + 1 < SIZE ? [index + 1] : [])],
  ["a fan", (index) => (index === 0 ? [] : [0])],
  ["one cycle", (index) => [(index + 1) % SIZE]],
  ["a wide mesh", (index) => [index - 1, index - 7, index - 1000].filter((dep) => dep >= 0)],
];
for (const [name, depsOf] of shapes) {
  test(`100,000 assets in ${name} take well under a second`, () => {
    const list = Array.from({ length: SIZE }, (_, index) => ({
      key: `k${index}`,
      deps: depsOf(index).map((dep) => `k${dep}`),
    }));
    const started = process.cpuUsage();
    const graph = assetGraph(list);
    const reached = graph.upstream(["k0"]).length + graph.downstream(["k0"]).length;
    const { user } = process.cpuUsage(started);
    assert.equal(graph.order.length, SIZE);
    assert.equal(graph.cycles.length, name === "one cycle" ? 1 : 0);
    assert.ok(reached > SIZE);
    assert.ok(user < 2_000_000, `${user / 1000} ms`);
  });
}

test("thousands of unknown dependencies are reported in time", () => {
  const list = Array.from({ length: 5_000 }, (_, index) => ({ key: `asset/k${index}`, deps: [`other/x${index}`] }));
  const started = process.cpuUsage();
  assert.equal(assetGraph(list).unknown.length, 5_000);
  assert.ok(process.cpuUsage(started).user < 3_000_000);
});
