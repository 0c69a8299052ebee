import { describe, test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { InputObject } from "../../lib/core/documents.ts";
import type { Completeness } from "../../lib/core/file-pattern.ts";
import { compareInputs, decideInputs, fingerprintOf } from "../../lib/core/inputs.ts";
import type { InputDecision, InputQuestion, ListedObject } from "../../lib/core/inputs.ts";
import { compileObjectSource } from "../../lib/core/object-source.ts";

const DAY = "2024-05-01";

function input(name: string, generation = "1"): InputObject {
  return { bucket: "drops", name, generation, size: 10 };
}

function listed(name: string, options: { generation?: string; updated?: number } = {}): ListedObject {
  return { ...input(name, options.generation), updated: options.updated ?? 0 };
}

function matcherFor(complete?: Completeness, fileMatch = "(?P<interval_timestamp>[\\d-]+)/.*") {
  return compileObjectSource({
    bucket: "drops",
    pathBase: "",
    fileMatch,
    interval: "daily",
    ...(complete === undefined ? {} : { complete }),
  });
}

function decide(complete: Completeness | undefined, names: string[], more: Partial<InputQuestion> = {}): InputDecision {
  const matcher = matcherFor(complete);
  return decideInputs({
    matcher,
    partition: DAY,
    objects: names.map((name) => listed(`${DAY}/${name}`)),
    now: 0,
    ...more,
  });
}

function namesIn(decision: InputDecision): string[] {
  assert.ok(decision.kind === "ready", JSON.stringify(decision));
  return decision.inputs.map(({ name }) => name.slice(DAY.length + 1));
}

describe("a count", () => {
  const two: Completeness = { count: 2 };
  test("is reached, exceeded, or waited for", () => {
    assert.deepEqual(namesIn(decide(two, ["b", "a"])), ["a", "b"]);
    assert.deepEqual(decide(two, ["a"]), { kind: "wait", reason: "1 of 2 objects are there" });
    const refused = decide(two, ["a", "b", "c"]);
    assert.match(refused.kind === "refused" ? refused.reason : "", /3 objects are there, but complete\.count is 2/);
    assert.deepEqual(decide(two, []), { kind: "none" });
  });
});

describe("a marker", () => {
  const marker: Completeness = { marker: "_SUCCESS" };
  test("must be there, and is no input itself", () => {
    assert.deepEqual(namesIn(decide(marker, ["b", "_SUCCESS", "a"])), ["a", "b"]);
    assert.deepEqual(decide(marker, ["a"]), { kind: "wait", reason: "the marker _SUCCESS is not there yet" });
    assert.deepEqual(decide(marker, ["_SUCCESS"]), { kind: "none" });
  });
  test("of another interval does not count", () => {
    const objects = [listed(`${DAY}/a`), listed("2024-05-02/_SUCCESS"), listed("2024-05-02/a")];
    assert.equal(decide(marker, [], { objects }).kind, "wait");
    assert.equal(decide(marker, [], { objects, partition: "2024-05-02" }).kind, "ready");
    assert.equal(decide(marker, [], { objects, partition: "2024-05-03" }).kind, "none");
  });
});

describe("a settle window", () => {
  const settle: Completeness = { settle: "1m" };
  const objects = [listed(`${DAY}/a`, { updated: 100_000 }), listed(`${DAY}/b`, { updated: 90_000 })];
  test("counts from the newest object, and is over to the millisecond", () => {
    const early = decide(settle, [], { objects, now: 159_999 });
    assert.equal(early.kind === "wait" && early.until, 160_000);
    assert.deepEqual(namesIn(decide(settle, [], { objects, now: 160_000 })), ["a", "b"]);
  });
  test("is not held up by another interval", () => {
    const late = [...objects, listed("2024-05-02/a", { updated: 1e9 })];
    assert.equal(decide(settle, [], { objects: late, now: 160_000 }).kind, "ready");
  });
});

describe("objects that were loaded before", () => {
  const settle: Completeness = { settle: "1s" };
  const loadedBefore = [input(`${DAY}/a`), input(`${DAY}/b`)];
  const now = 10_000;
  test("must still be there, by name", () => {
    assert.deepEqual(decide(settle, ["a"], { loadedBefore, now }), { kind: "missing", names: [`${DAY}/b`] });
    assert.deepEqual(decide(settle, [], { loadedBefore, now }), { kind: "missing", names: [`${DAY}/a`, `${DAY}/b`] });
    assert.deepEqual(namesIn(decide(settle, ["a", "b", "c"], { loadedBefore, now })), ["a", "b", "c"]);
  });
  test("may have changed", () => {
    const objects = [listed(`${DAY}/a`, { generation: "9" }), listed(`${DAY}/b`)];
    const decision = decide(settle, [], { objects, loadedBefore, now });
    assert.deepEqual(decision, { kind: "ready", inputs: [input(`${DAY}/a`, "9"), input(`${DAY}/b`)] });
  });
  test("may be gone when that is allowed, but nothing at all is never ready", () => {
    assert.deepEqual(namesIn(decide(settle, ["a"], { loadedBefore, now, allowMissing: true })), ["a"]);
    assert.deepEqual(decide(settle, [], { loadedBefore, now, allowMissing: true }), { kind: "none" });
  });
  test("are not called missing while the interval is still being written", () => {
    const objects = [listed(`${DAY}/c`, { updated: now })];
    assert.equal(decide(settle, [], { objects, loadedBefore, now }).kind, "wait");
    assert.equal(decide(settle, [], { objects, loadedBefore, now: now + 1000 }).kind, "missing");
  });
  test("the source's own allowMissing holds, and a request overrides it", () => {
    const base = matcherFor(settle);
    const matcher = { ...base, source: { ...base.source, allowMissing: true } };
    assert.equal(decide(settle, ["a"], { matcher, loadedBefore, now }).kind, "ready");
    assert.equal(decide(settle, ["a"], { matcher, loadedBefore, now, allowMissing: false }).kind, "missing");
  });
});

test("an interval that is spelled in two ways is refused", () => {
  const objects = [listed("2024-05-01/a"), listed("20240501/a")];
  const decision = decide({ settle: "1s" }, [], { objects, now: 1e6 });
  assert.match(decision.kind === "refused" ? decision.reason : "", /spelled in 2 ways, as 2024-05-01 and 20240501/);
  const matcher = matcherFor(undefined, "(?P<interval_timestamp>[\\d-]+)/a");
  assert.equal(decideInputs({ matcher, partition: DAY, objects, now: 0 }).kind, "refused");
});

test("names that do not match, or are refused, are left aside", () => {
  const matcher = matcherFor(undefined, "(?P<interval_timestamp>[\\d-]+)/a");
  const objects = ["2024-05-01/a", "2024-05-01/b", "2024-02-30/a", "2024-05-02/a", "x"].map((name) => listed(name));
  assert.deepEqual(decideInputs({ matcher, partition: DAY, objects, now: 0 }), {
    kind: "ready",
    inputs: [input("2024-05-01/a")],
  });
});

const name = fc.stringMatching(/^[a-c]{1,2}$/);
const object = fc.record({ name, generation: fc.constantFrom("1", "2"), updated: fc.nat({ max: 5_000 }) });
const objects = fc
  .uniqueArray(object, { maxLength: 6, selector: (one) => one.name })
  .map((list) => list.map((one) => listed(`${DAY}/${one.name}`, one)));
const rule = fc.constantFrom<Completeness>({ settle: "2s" }, { count: 2 }, { marker: "cc" });

test("ready means: not empty, sorted, exactly the data listed, and nothing lost that was loaded", () => {
  let ready = 0;
  fc.assert(
    fc.property(
      rule,
      objects,
      objects,
      fc.boolean(),
      fc.nat({ max: 10_000 }),
      (complete, list, before, allowMissing, now) => {
        const loadedBefore = before.filter((one) => one.name !== `${DAY}/cc`);
        const question = {
          matcher: matcherFor(complete),
          partition: DAY,
          objects: list,
          loadedBefore,
          allowMissing,
          now,
        };
        const decision = decideInputs(question);
        assert.deepEqual(decideInputs({ ...question, objects: list.toReversed() }), decision);
        if (decision.kind === "wait" && decision.until !== undefined) {
          assert.ok(decision.until > now);
          assert.notEqual(decideInputs({ ...question, now: decision.until }).kind, "wait");
        }
        if (decision.kind !== "ready") return;
        ready += 1;
        const names = decision.inputs.map((one) => one.name);
        assert.ok(names.length > 0);
        const marker = "marker" in complete ? `${DAY}/cc` : "";
        assert.deepEqual(
          names,
          list
            .map((one) => one.name)
            .filter((one) => one !== marker)
            .toSorted(),
        );
        if (!allowMissing) assert.ok(loadedBefore.every((one) => names.includes(one.name)));
        assert.ok(decision.inputs.every((one) => !("updated" in one)));
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(ready > 50, `${ready} ready`);
});

test("comparing tells every object apart by its name and generation", () => {
  fc.assert(
    fc.property(objects, objects, (before, now) => {
      const { added, removed, changed } = compareInputs(before, now);
      const names = (list: readonly InputObject[]) => list.map((one) => one.name);
      const rest = before.filter((one) => !names(removed).includes(one.name));
      const after = [...rest.map((one) => changed.find((other) => other.name === one.name) ?? one), ...added];
      const pair = (list: readonly InputObject[]) => list.map((one) => `${one.name}#${one.generation}`).toSorted();
      assert.deepEqual(pair(after), pair(now));
      assert.ok(names(changed).every((one) => names(before).includes(one)));
      for (const list of [added, removed, changed]) assert.deepEqual(names(list), names(list).toSorted());
    }),
  );
});

describe("fingerprints", () => {
  const parts = { inputs: [input("a"), input("b")], definition: { sql: "x", mode: "y" } };
  const base = fingerprintOf(parts);
  test("don't depend on order, on sizes or on undefined parts", () => {
    assert.match(base, /^[0-9a-f]{64}$/);
    assert.equal(fingerprintOf({ inputs: [input("b"), input("a")], definition: { mode: "y", sql: "x" } }), base);
    assert.equal(fingerprintOf({ ...parts, codeVersion: undefined, nonce: undefined, upstreams: {} }), base);
    assert.equal(fingerprintOf({ ...parts, inputs: [{ ...input("a"), size: 99 }, input("b")] }), base);
  });
  const others = {
    "a generation": { ...parts, inputs: [input("a", "2"), input("b")] },
    "a bucket": { ...parts, inputs: [{ ...input("a"), bucket: "other" }, input("b")] },
    "an object less": { ...parts, inputs: [input("a")] },
    "no object": { ...parts, inputs: [] },
    "names that run together": { ...parts, inputs: [input("a", '1"],["b')] },
    "the definition": { ...parts, definition: { sql: "x", mode: "z" } },
    "no definition": { ...parts, definition: undefined },
    "the code version": { ...parts, codeVersion: "1" },
    "a nonce": { ...parts, nonce: "1" },
    "an upstream": { ...parts, upstreams: { "gitcoin/scores": "1" } },
  };
  test("differ by whatever decides the result", () => {
    const all = new Map([
      ["the base", base],
      ...Object.entries(others).map(([what, other]) => [what, fingerprintOf(other)] as const),
    ]);
    assert.equal(new Set(all.values()).size, all.size, JSON.stringify([...all]));
  });
});
