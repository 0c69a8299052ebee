/** What was deployed last, and the lock between two deployers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  checkPlace,
  emptyState,
  parseState,
  releaseLock,
  stateText,
  takeLock,
  withRecords,
} from "../../../infra/plan/state.ts";
import { manifestOf } from "../../support/planned-world.ts";
import { varied } from "../../support/varied-project.ts";

const manifest = manifestOf(varied(1));
const empty = emptyState(manifest);
const MINUTE = 60_000;
const ask = (token: string, now: number) => ({ holder: `ada as ${token}`, token, now, ttlMs: 10 * MINUTE });

describe("the lock", () => {
  test("is one deployer's until it gives it back or it has run out", () => {
    const first = takeLock(empty, ask("a", 0));
    assert.ok(first.kind === "taken" && first.stolenFrom === undefined);
    const second = takeLock(first.state, ask("b", 3 * MINUTE));
    assert.ok(second.kind === "held");
    assert.equal(
      second.message,
      "ada as a has been deploying for 3 min: wait for it; if it has died, its lock runs out in 7 min",
    );
    assert.equal(takeLock(releaseLock(first.state, "a"), ask("b", 3 * MINUTE)).kind, "taken");
    const late = takeLock(first.state, ask("b", 10 * MINUTE));
    assert.ok(late.kind === "taken" && late.stolenFrom?.token === "a");
    assert.equal(late.state.lock?.since, 10 * MINUTE);
  });

  test("is renewed by its holder, and given back by nobody else", () => {
    const first = takeLock(empty, ask("a", 0));
    assert.ok(first.kind === "taken");
    const again = takeLock(first.state, ask("a", 9 * MINUTE));
    assert.ok(again.kind === "taken" && again.stolenFrom === undefined);
    assert.deepEqual([again.state.lock?.since, again.state.lock?.expires], [0, 19 * MINUTE]);
    assert.deepEqual(releaseLock(again.state, "b"), again.state);
    assert.deepEqual(releaseLock(again.state, "a"), empty);
  });

  test("whatever happens, at most one of two deployers has it at any time", () => {
    const moves = fc.array(
      fc.record({ who: fc.constantFrom("a", "b"), wait: fc.nat(8 * MINUTE), release: fc.boolean() }),
    );
    fc.assert(
      fc.property(moves, (all) => {
        let state = empty;
        let now = 0;
        for (const { who, wait, release } of all) {
          now += wait;
          const holder = state.lock !== undefined && state.lock.expires > now ? state.lock.token : undefined;
          const answer = takeLock(state, ask(who, now));
          assert.equal(answer.kind, holder === undefined || holder === who ? "taken" : "held");
          if (answer.kind === "taken") state = release ? releaseLock(answer.state, who) : answer.state;
        }
      }),
    );
  });
});

describe("the object", () => {
  const state = withRecords(
    { ...empty, numbers: { p: "1", other: "2" } },
    { "topic b": { hash: "1" }, "topic a": { hash: "2", on: ["account x"] }, "topic c": { hash: "3" } },
    { "topic c": null },
  );

  test("is read as it was written, in the same bytes whatever the order", () => {
    const text = stateText(state);
    assert.deepEqual(parseState(text, "gs://x"), state);
    assert.equal(stateText({ ...state, numbers: { other: "2", p: "1" } }), text);
    assert.equal(
      stateText(withRecords(empty, { b: { hash: "" }, a: { hash: "" } })),
      stateText(withRecords(empty, { a: { hash: "" }, b: { hash: "" } })),
    );
    assert.ok(!text.includes("topic c"));
  });

  const table = [
    ["nothing", "", /gs:\/\/x is not JSON: .* or delete it/],
    ["half of it", stateText(state).slice(0, 80), /is not JSON/],
    ["a later version", '{"version":2}', /was written by a later Sluice \(version 2\): update this one/],
    ["something else", '{"version":1}', /is no state \(environment: /],
    ["an unknown field", JSON.stringify({ ...state, more: 1 }), /is no state/],
  ] as const;
  for (const [what, text, expected] of table)
    test(`${what} is refused`, () => assert.throws(() => parseState(text, "gs://x"), expected));

  test("an environment's place does not change under it", () => {
    checkPlace(state, manifest);
    const moved = manifestOf(varied(1), { project: "other-project" });
    assert.throws(
      () => checkPlace(state, moved),
      /prod was deployed with project "own-project", which is "other-project" now/,
    );
  });
});
