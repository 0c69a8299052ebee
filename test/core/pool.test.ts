import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Decision, PartitionDocument, RunDocument } from "../../lib/core/documents.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { job } from "../../lib/core/job.ts";
import {
  freeSlots,
  handOver,
  isBefore,
  leaveSlot,
  ownSlot,
  pool,
  renewSlot,
  runOfTicket,
  slotOfPool,
  takeSlot,
  ticketDocument,
  ticketOf,
} from "../../lib/core/pool.ts";

const run = (id: string, more: Partial<RunDocument> = {}): RunDocument => ({
  id,
  kind: "asset",
  name: "a",
  partition: "",
  request: { partition: "", runKey: "k", cause: { kind: "manual" }, requestedAt: 0 },
  status: "running",
  attempt: 1,
  failures: 0,
  token: 1,
  createdAt: 1_000,
  updatedAt: 1_000,
  outbox: [],
  ...more,
});
const wish = (id: string, token: number, now: number) => ({
  pool: "p",
  number: 0,
  run: { id },
  token,
  now,
  leaseUntil: now + 90,
});
const ticket = ticketOf("p", { id: "x", createdAt: 5 });
/** The slot after the decision. */
function slotAfter({ writes }: Decision<unknown>): PartitionDocument | undefined {
  const [first] = writes;
  return first !== undefined && "put" in first && first.put.kind === "partition"
    ? (first.value as PartitionDocument)
    : undefined;
}
const held = (id: string, token: number, now: number): PartitionDocument =>
  slotAfter(takeSlot({ slot: undefined }, { ...wish(id, token, now), ticket })) ?? assert.fail("it was not taken");

describe("a slot", () => {
  test("is taken when it is free, and then nobody else's until its lease is over", () => {
    const slot = held("a", 1, 0);
    assert.equal(takeSlot({ slot }, { ...wish("b", 1, 89), ticket }).result, false);
    assert.equal(takeSlot({ slot }, { ...wish("b", 1, 90), ticket }).result, true);
  });

  test("is the run's own in a later attempt, and not in an earlier one", () => {
    assert.equal(takeSlot({ slot: held("a", 1, 0) }, { ...wish("a", 2, 10), ticket }).result, true);
    assert.equal(takeSlot({ slot: held("a", 2, 0) }, { ...wish("a", 1, 1_000), ticket }).result, false);
  });

  test("is renewed and given back by the attempt that holds it alone", () => {
    const slot = held("a", 2, 0);
    for (const [id, token, good] of [
      ["a", 2, true],
      ["a", 1, false],
      ["b", 2, false],
    ] as const) {
      assert.equal(renewSlot({ slot }, wish(id, token, 50)).result, good);
      assert.equal(leaveSlot({ slot }, wish(id, token, 50)).writes.length, good ? 1 : 0);
    }
    assert.equal(renewSlot({ slot: undefined }, wish("a", 2, 50)).result, false);
    // Nobody has taken it, so it is not too late.
    assert.equal(renewSlot({ slot }, wish("a", 2, 500)).result, true);
  });

  test("is looked for where others do not look, and a lease that is over counts as none", () => {
    const slots = [held("a", 1, 0), { ...held("b", 1, 100), partition: "slot-002" }];
    assert.deepEqual(freeSlots(slots, { limit: 4, now: 50, first: 3 }), [3, 1]);
    assert.deepEqual(freeSlots(slots, { limit: 4, now: 95 }), [0, 1, 3]);
    assert.deepEqual(freeSlots(slots, { limit: 1, now: 50 }), []);
    assert.equal(ownSlot(slots, "b"), 2);
    assert.equal(ownSlot(slots, "c"), undefined);
  });
});

describe("those who wait", () => {
  test("are ordered by when their runs began", () => {
    const runs = [
      run("b", { createdAt: 5 }),
      run("a", { createdAt: 5 }),
      run("c", { createdAt: 1_000_000 }),
      run("d", { createdAt: 4 }),
    ];
    const ids = runs.map((waiter) => ticketDocument("p", waiter)).sort((a, b) => (a.partition < b.partition ? -1 : 1));
    assert.deepEqual(ids.map(runOfTicket), ["d", "a", "b", "c"]);
    assert.ok(isBefore(run("d", { createdAt: 4 }), ids[0]) && !isBefore(run("c", { createdAt: 9 }), ids[0]));
    assert.ok(isBefore(run("any"), undefined));
  });

  const waiting = run("w", { status: "parked", code: "pool-full", wakeAt: 99_999, token: 7 });
  const input = { pool: "p", number: 0, now: 1_000, leaseUntil: 1_090, ticket: ticketOf("p", waiting) };
  const own = ticketDocument("p", waiting);

  test("get a slot with their wake-up and their deadline", () => {
    const { result, writes } = handOver({ slot: undefined, ticket: own, run: waiting }, input);
    assert.equal(result, "woken");
    assert.deepEqual(
      writes.map((write) => ("put" in write ? `put ${write.put.kind} ${write.put.id}` : `delete ${write.delete.id}`)),
      [`put partition ${slotOfPool("p", 0).id}`, `delete ${input.ticket.id}`, "put run w", "put due w"],
    );
    const awake = writes.flatMap((write) =>
      "put" in write && write.put.kind === "run" ? [write.value as RunDocument] : [],
    );
    assert.equal(awake[0]?.wakeAt, 1_000);
  });

  const cases: readonly (readonly [string, Parameters<typeof handOver>[0], string, number])[] = [
    ["a slot that somebody has taken meanwhile", { slot: held("a", 1, 1_000), ticket: own, run: waiting }, "taken", 0],
    ["a ticket that is used up", { slot: undefined, ticket: undefined, run: waiting }, "passed", 0],
    ["a run that just looks by itself", { slot: undefined, ticket: own, run: run("w") }, "passed", 0],
    ["a run that has ended", { slot: undefined, ticket: own, run: run("w", { status: "canceled" }) }, "passed", 1],
    [
      "a run that waits for something else",
      { slot: undefined, ticket: own, run: { ...waiting, code: "retry" } },
      "passed",
      1,
    ],
    ["a run that is forgotten", { slot: undefined, ticket: own, run: undefined }, "passed", 1],
  ];
  for (const [name, state, result, writes] of cases)
    test(`${name}: ${result}`, () => {
      const decision = handOver(state, input);
      assert.deepEqual([decision.result, decision.writes.length], [result, writes]);
    });
});

describe("definitions", () => {
  const materialize = async (): Promise<undefined> => undefined;
  const problemsOf = (exports: Readonly<Record<string, unknown>>): readonly string[] =>
    collectDefinitions([{ file: "functions/a.ts", exports }]).problems.map(messageOf);

  test("a pool has a legal name and a limit", () => {
    for (const options of [
      { name: "a b", limit: 1 },
      { name: "a", limit: 0 },
      { name: "a", limit: 101 },
      { name: "a", limit: 1.5 },
    ])
      assert.throws(() => pool(options), DefinitionError);
    assert.throws(() => asset({ key: "a", pool: "two words", materialize }), DefinitionError);
  });

  test("an asset or a job in a pool that nobody exports is a problem with the way out", () => {
    const warehouse = pool({ name: "warehouse", limit: 2 });
    const a = asset({ key: "a", pool: "warehose", materialize });
    const j = job({ name: "j", pool: "lake", run: materialize });
    assert.deepEqual(problemsOf({ warehouse, a, j }), [
      'functions/a.ts a: asset a is in the pool warehose, which is not defined (did you mean "warehouse"?)',
      'functions/a.ts j: job j is in the pool lake, which is not defined (known: "warehouse")',
    ]);
    assert.deepEqual(problemsOf({ j }), [
      'functions/a.ts j: job j is in the pool lake, which is not defined (export pool({ name: "lake", limit: 4 }))',
    ]);
    assert.deepEqual(problemsOf({ warehouse, a: asset({ key: "a", pool: warehouse, materialize }) }), []);
  });
});
