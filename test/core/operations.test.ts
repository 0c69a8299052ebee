/** What people do about runs and assets, rule by rule: pauses, ages, cancels and replays. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { cancelRefs, cancelWaiting, renamedCancelRefs, requestCancel } from "../../lib/core/cancel.ts";
import type { CancelOutcome } from "../../lib/core/cancel.ts";
import { claim, renew } from "../../lib/core/claim.ts";
import type { ClaimOutcome, ClaimRequest } from "../../lib/core/claim.ts";
import type { PauseDocument, RunDocument, SlotDocument } from "../../lib/core/documents.ts";
import { end, park } from "../../lib/core/ending.ts";
import { ageProblem, checkMaxEventAge } from "../../lib/core/event-age.ts";
import { notYet, pause, pauseAnswer, pauseRefs, resume, sentPage } from "../../lib/core/pause.ts";
import { replayOf } from "../../lib/core/replay.ts";
import { runIdOf } from "../../lib/core/request.ts";
import type { Cause, RunRequest } from "../../lib/core/request.ts";
import { claimRefs, lockRef, partitionRef, runRefs } from "../../lib/core/run-identity.ts";
import type { RunIdentity } from "../../lib/core/run-identity.ts";
import { openIntent } from "../../lib/core/slot.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";

const DAY = "2024-05-01";
const LEASE = 90_000;
let documents: MemoryDocuments;
let now: number;
beforeEach(() => {
  documents = memoryDocuments();
  now = 1_000_000;
});

const OBJECT: Cause = { kind: "object", uri: "gs://b/a", generation: "1" };
const CAUSES: readonly Cause[] = [
  { kind: "manual" },
  { kind: "replay", run: "r" },
  OBJECT,
  { kind: "schedule" },
  { kind: "sensor", sensor: "s", tick: "t" },
  { kind: "materialization", asset: "u", id: "m" },
  { kind: "reconcile" },
  { kind: "backfill", id: "0123456789abcdef" },
  { kind: "dependent", asset: "d", run: "r" },
  { kind: "job", job: "j", run: "r" },
];

const wish = (runKey: string, more: Partial<RunRequest> = {}): RunRequest => ({
  partition: DAY,
  runKey,
  cause: OBJECT,
  requestedAt: now,
  ...more,
});
const identify = (runKey: string): RunIdentity => ({
  id: runIdOf("asset", "a", DAY, runKey),
  kind: "asset",
  name: "a",
  partition: DAY,
});
function ask(request: RunRequest, more: Partial<ClaimRequest> = {}): ClaimOutcome {
  const identity = identify(request.runKey);
  return documents.apply(claimRefs(identity), (state) =>
    claim(state, { identity, request, now, leaseMs: LEASE, ...more }),
  );
}
function wake(runKey: string): ClaimOutcome {
  const identity = identify(runKey);
  return documents.apply(runRefs(identity), (state) => claim(state, { identity, now, leaseMs: LEASE }));
}
function tokenOf(outcome: ClaimOutcome): number {
  return outcome.kind === "claimed" ? outcome.token : assert.fail(outcome.kind);
}
function sleep(runKey: string, token: number, wakeAt: number, more: object = {}): boolean | "canceled" {
  const identity = identify(runKey);
  const asleep = { code: "retry", reason: "later", failed: false, leaseMs: LEASE, ...more };
  return documents.apply(runRefs(identity), (state) => park(state, { identity, token, now, wakeAt, ...asleep }));
}
function cancel(runKey: string, reason?: string): CancelOutcome {
  const identity = identify(runKey);
  return documents.apply(cancelRefs(identity), (state) => requestCancel(state, { identity, now, reason }));
}
const runOf = (runKey: string): RunDocument => documents.get("run", identify(runKey).id) ?? assert.fail(runKey);
const day = () => documents.get("partition", partitionRef("a", DAY).id);
const due = (runKey: string) => documents.get("due", identify(runKey).id)?.dueAt;
const typesOf = (): readonly string[] => documents.events.map(({ type }) => type);
const setPause = (set: boolean): boolean =>
  documents.apply(pauseRefs("a"), (state) =>
    set
      ? pause(state, { asset: "a", reason: "why", now, id: `${documents.events.length}` })
      : resume(state, { asset: "a", now, id: `${documents.events.length}` }),
  );

describe("a pause", () => {
  const paused: PauseDocument = { asset: "a", at: 0, reason: "why" };
  const expected: Readonly<Record<Cause["kind"], readonly [plain: string, forced: string]>> = {
    manual: ["refuse", "go"],
    replay: ["refuse", "go"],
    object: ["wait", "wait"],
    schedule: ["wait", "wait"],
    sensor: ["wait", "wait"],
    materialization: ["wait", "wait"],
    reconcile: ["wait", "wait"],
    backfill: ["wait", "wait"],
    dependent: ["skip", "skip"],
    job: ["wait", "wait"],
  };
  for (const cause of CAUSES)
    test(`what it means for a request by ${cause.kind}`, () => {
      const [plain, forced] = expected[cause.kind];
      assert.equal(pauseAnswer(paused, { cause }).kind, plain);
      assert.equal(pauseAnswer(paused, { cause, force: true }).kind, forced);
    });

  test("keeps what asks by itself, folded into one, and sends it when it is over", () => {
    assert.equal(setPause(true), true);
    assert.equal(setPause(true), false);
    assert.equal(ask(wish("k1")).kind, "pending");
    assert.equal(ask(wish("k2")).kind, "pending");
    assert.equal(ask(wish("k3", { config: { own: 1 } })).kind, "pending");
    assert.equal(ask(wish("by hand", { cause: { kind: "manual" } })).kind, "paused");
    assert.deepEqual(
      [day()?.pending?.plain?.runKey, day()?.pending?.special.map(({ runKey }) => runKey)],
      ["k1", ["k3"]],
    );
    assert.equal(day()?.holder, undefined);
    assert.equal(setPause(false), true);
    assert.equal(setPause(false), false);
    const id = pauseRefs("a").due.id;
    assert.equal(documents.get("due", id)?.dueAt, now);
    assert.equal(ask(wish("k1")).kind, "claimed");
    assert.equal(day()?.pending?.plain, undefined);
    assert.deepEqual(
      typesOf().filter((type) => type.startsWith("asset.")),
      ["asset.paused", "asset.resumed"],
    );
  });

  test("leaves alone what has begun", () => {
    const token = tokenOf(ask(wish("k1")));
    assert.equal(sleep("k1", token, now + 10_000), true);
    setPause(true);
    now += 10_000;
    assert.equal(wake("k1").kind, "claimed");
  });

  test("lets a forced request of a person through, and whatever waited still waits", () => {
    setPause(true);
    ask(wish("k1"));
    const token = tokenOf(ask(wish("by hand", { cause: { kind: "manual" }, force: true })));
    const identity = identify("by hand");
    documents.apply(runRefs(identity), (state) => end(state, { identity, token, now, status: "skipped" }));
    const [sent] = runOf("by hand").outbox;
    assert.match(JSON.stringify(sent?.data), /"runKey":"k1"/);
    assert.equal(ask(wish("k1")).kind, "pending");
  });

  test("goes out page by page, until a pass finds nothing; and a new pause ends that", () => {
    setPause(true);
    setPause(false);
    const { due: ref } = pauseRefs("a");
    const left = () => documents.get("due", ref.id);
    const page = (next: string | undefined, some: boolean): void => {
      const resumed = left()?.resume ?? assert.fail();
      documents.apply({ due: ref }, (state) => sentPage(state, { left: resumed, next, some, now }));
    };
    page("p2", true);
    assert.deepEqual(left()?.resume, { asset: "a", after: "p2", sent: true });
    // A second sender, who is behind, changes nothing.
    documents.apply({ due: ref }, (state) =>
      sentPage(state, { left: { asset: "a" }, next: undefined, some: false, now }),
    );
    assert.deepEqual(left()?.resume, { asset: "a", after: "p2", sent: true });
    page(undefined, false);
    assert.deepEqual([left()?.resume, left()?.dueAt], [{ asset: "a" }, now + 300_000]);
    page(undefined, false);
    assert.equal(left(), undefined);
    setPause(true);
    setPause(false);
    setPause(true);
    assert.equal(left(), undefined);
  });
});

describe("canceling while an asset gets another name", () => {
  test("tells whoever holds the run under the old one", () => {
    const documents = memoryDocuments();
    const old = { id: "r", kind: "asset" as const, name: "old", partition: "p" };
    const request: RunRequest = { cause: { kind: "manual" }, partition: "p", runKey: "k", requestedAt: 0 };
    documents.apply(claimRefs(old), (state) => claim(state, { identity: old, request, now: 0, leaseMs: 90_000 }));
    const present = { ...old, name: "new" };
    const wish = { identity: present, now: 1 };
    const outcome = documents.apply(renamedCancelRefs(present, "old"), (state) => requestCancel(state, wish));
    assert.equal(outcome.kind, "asked");
    assert.equal(documents.get("partition", lockRef(old).id)?.holder?.cancel, true);
    assert.equal(documents.get("partition", lockRef(present).id), undefined);
    const input = { identity: old, token: 1, now: 2, leaseMs: 90_000 };
    assert.equal(
      documents.apply({ partition: lockRef(old) }, (state) => renew(state, input)),
      "canceled",
    );
  });
});

describe("a person's request that waits", () => {
  test("does not stand for what comes by itself, which a pause would refuse together with it", () => {
    const documents = memoryDocuments();
    const ask = (runKey: string, kind: "manual" | "schedule"): string => {
      const request: RunRequest = { cause: { kind }, partition: "p", runKey, requestedAt: 0 };
      const identity = { id: runIdOf("asset", "a", "p", runKey), kind: "asset" as const, name: "a", partition: "p" };
      return documents.apply(claimRefs(identity), (state) =>
        claim(state, { identity, request, now: 0, leaseMs: 90_000 }),
      ).kind;
    };
    const kept = () => {
      const { plain, special = [] } = documents.get("partition", partitionRef("a", "p").id)?.pending ?? {};
      return [plain?.runKey, ...special.map(({ runKey }) => runKey)];
    };
    assert.equal(ask("at work", "schedule"), "claimed");
    assert.equal(ask("hand", "manual"), "pending");
    ask("hand again", "manual");
    assert.deepEqual(kept(), ["hand"]);
    ask("by itself", "schedule");
    assert.deepEqual(kept(), ["by itself", "hand"]);
    for (const [key, kind] of [
      ["hand", "manual"],
      ["later", "schedule"],
      ["hand at last", "manual"],
    ] as const)
      ask(key, kind);
    assert.deepEqual(kept(), ["by itself", "hand"]);
  });
});

describe("the end of a pause", () => {
  test("stays due while nothing can be sent, but not at every moment", () => {
    const documents = memoryDocuments();
    const refs = pauseRefs("a");
    const [id, left] = ["x", { asset: "a" }];
    documents.apply(refs, (state) => pause(state, { asset: "a", now: 0, id }));
    documents.apply(refs, (state) => resume(state, { asset: "a", now: 1_000, id }));
    const due = () => documents.get("due", refs.due.id);
    documents.apply(refs, (state) => notYet(state, { left, now: 1_000 }));
    assert.deepEqual([due()?.dueAt, due()?.resume], [31_000, left]);
    // Who is behind changes nothing, and brings back nothing.
    documents.apply(refs, (state) => notYet(state, { left: { asset: "a", after: "p1" }, now: 9_000 }));
    assert.equal(due()?.dueAt, 31_000);
    documents.apply(refs, (state) => sentPage(state, { left, next: undefined, some: false, now: 31_000 }));
    documents.apply(refs, (state) => notYet(state, { left, now: 31_000 }));
    assert.equal(due(), undefined);
  });
});

describe("the age of a request", () => {
  const limit = { now: 100_000, maxAgeMs: 60_000 };
  for (const [what, request, age, old] of [
    ["younger", { cause: OBJECT }, { sentAt: 40_000 }, false],
    ["older", { cause: OBJECT }, { sentAt: 39_999 }, true],
    ["older, by hand", { cause: { kind: "manual" } }, { sentAt: 0 }, true],
    ["older, after reconcile had found the object", { cause: { kind: "reconcile" } }, { sentAt: 0 }, true],
    ["older and forced", { cause: { kind: "manual" }, force: true }, { sentAt: 0 }, false],
    ["older, of a backfill", { cause: { kind: "backfill", id: "0123456789abcdef" } }, { sentAt: 0 }, false],
    ["not by message", { cause: OBJECT }, {}, false],
    ["from the future", { cause: OBJECT }, { sentAt: 200_000 }, false],
    ["without a limit", { cause: OBJECT }, { sentAt: 0, maxAgeMs: undefined }, false],
  ] as const)
    test(`${what}: ${old ? "skipped" : "served"}`, () => {
      assert.equal(ageProblem(request, { ...limit, ...age }) !== undefined, old);
    });

  test("a request that is too old is a run that was skipped, once; one that has begun goes on", () => {
    const old = { sentAt: now - 60_001, maxAgeMs: 60_000 };
    assert.equal(ask(wish("k1"), old).kind, "ended");
    assert.deepEqual([runOf("k1").status, runOf("k1").code], ["skipped", "too-old"]);
    assert.equal(ask(wish("k1"), { maxAgeMs: 60_000, sentAt: now }).kind, "ended");
    assert.deepEqual(typesOf(), ["run.skipped"]);
    const token = tokenOf(ask(wish("k2")));
    sleep("k2", token, now);
    assert.equal(ask(wish("k2"), old).kind, "claimed");
  });

  test("no time at all is refused where the asset is defined", () => {
    assert.throws(() => checkMaxEventAge("0s", "a/b"), /the maxEventAge of a\/b is nothing/);
    assert.throws(() => checkMaxEventAge("6x" as "6h", "a/b"), /is not a duration/);
    checkMaxEventAge(undefined, "a/b");
  });
});

describe("canceling", () => {
  test("a live run is told at its renewal, and opens no intent from then on", () => {
    const token = tokenOf(ask(wish("k1")));
    assert.equal(cancel("k1", "because").kind, "asked");
    assert.equal(cancel("k1").kind, "asked-before");
    assert.deepEqual([runOf("k1").cancel?.reason, day()?.holder?.cancel, due("k1")], ["because", true, now]);
    const identity = identify("k1");
    const renewed = documents.apply({ partition: lockRef(identity) }, (state) =>
      renew(state, { identity, token, now, leaseMs: LEASE, jobs: ["j1"] }),
    );
    assert.equal(renewed, "canceled");
    assert.deepEqual([day()?.holder?.cancel, day()?.holder?.jobs], [true, ["j1"]]);
    const slot: SlotDocument = { sequence: 0 };
    // Nothing beyond the holder is looked at before the mark is.
    const opened = openIntent({ partition: day(), slot }, { identity, token, order: DAY, rollback: false } as never);
    assert.equal(opened.result.kind, "canceled");
    assert.deepEqual(typesOf(), ["run.started", "run.cancel-requested"]);
  });

  test("the successor of a dead run keeps the mark and knows of its jobs", () => {
    const token = tokenOf(ask(wish("k1")));
    const identity = identify("k1");
    documents.apply({ partition: lockRef(identity) }, (state) =>
      renew(state, { identity, token, now, leaseMs: LEASE, jobs: ["j1"] }),
    );
    cancel("k1");
    const duplicate = wake("k1");
    assert.deepEqual(duplicate, { kind: "duplicate", cancel: true });
    now += LEASE;
    tokenOf(wake("k1"));
    assert.deepEqual([day()?.holder?.cancel, day()?.holder?.jobs], [true, ["j1"]]);
  });

  test("a sleeper is due at once, whatever the clock of who wakes it says", () => {
    const token = tokenOf(ask(wish("k1")));
    sleep("k1", token, now + 1_000_000, { jobs: ["j1"] });
    cancel("k1");
    assert.deepEqual([due("k1"), runOf("k1").wakeAt], [now, now]);
    now -= 5_000;
    tokenOf(wake("k1"));
    assert.deepEqual(day()?.holder?.jobs, ["j1"], "what is still under way is known");
  });

  test("a run that goes to sleep without knowing is due at once; one that knows keeps its time", () => {
    const token = tokenOf(ask(wish("k1")));
    cancel("k1");
    assert.equal(sleep("k1", token, now + 50_000), "canceled");
    assert.deepEqual([runOf("k1").wakeAt, due("k1")], [now, now]);
    // What it had sent before may still arrive.
    const identity = identify("k1");
    const late = { identity, token, order: DAY, rollback: false } as never; // nothing else is looked at before the mark is
    assert.equal(openIntent({ partition: day(), slot: { sequence: 0 } }, late).result.kind, "canceled");
    const again = tokenOf(wake("k1"));
    assert.equal(sleep("k1", again, now + 50_000, { canceling: true }), true);
    assert.equal(runOf("k1").wakeAt, now + 50_000);
    assert.equal(wake("k1").kind, "duplicate");
  });

  for (const [status, code] of [
    ["canceled", "canceled"],
    ["succeeded", "cancel-too-late"],
    ["failed", "boom"],
  ] as const)
    test(`a run that was to be canceled can end ${status}, and an ended one is refused`, () => {
      const token = tokenOf(ask(wish("k1")));
      cancel("k1", "because");
      const identity = identify("k1");
      const how = { status, ...(status === "succeeded" ? {} : { code, reason: "what happened" }) };
      documents.apply(runRefs(identity), (state) => end(state, { identity, token, now, ...how }));
      assert.deepEqual([runOf("k1").status, runOf("k1").code], [status, code]);
      if (status === "canceled") assert.equal(runOf("k1").reason, "because");
      assert.equal(day()?.failed !== undefined, status === "failed");
      const late = cancel("k1");
      assert.equal(late.kind, "ended");
      assert.equal(cancel("nobody").kind, "unknown");
    });

  test("a request that waits ends at once, and its message finds it ended", () => {
    ask(wish("k1"));
    ask(wish("k2"));
    ask(wish("k3", { force: true }));
    const drop = (runKey: string) => {
      const identity = identify(runKey);
      return documents.apply(cancelRefs(identity), (state) => cancelWaiting(state, { identity, runKey, now }));
    };
    assert.equal(drop("k2").kind, "canceled");
    assert.equal(drop("k2").kind, "gone");
    assert.equal(drop("k3").kind, "canceled");
    assert.equal(drop("k1").kind, "gone");
    assert.deepEqual([day()?.pending, day()?.holder?.runId], [undefined, identify("k1").id]);
    assert.equal(ask(wish("k2")).kind, "ended");
  });
});

describe("replaying", () => {
  const base: RunDocument = {
    id: "0123456789abcdef",
    kind: "asset",
    name: "a",
    partition: DAY,
    request: wish("k1", { config: { n: 1 }, tags: { t: "x" }, allowMissing: true }),
    status: "failed",
    attempt: 1,
    failures: 1,
    token: 1,
    createdAt: 0,
    updatedAt: 0,
    endedAt: 1,
    outbox: [],
  };
  const shows = (order: string) => ({
    slot: { sequence: 1, committed: { partition: order, order } } as unknown as SlotDocument, // what the rule reads of it
    order: DAY,
  });

  test("asks for the same under a run key of its own", () => {
    assert.deepEqual(replayOf(base, "nonce", { force: true }), {
      kind: "request",
      body: {
        partition: DAY,
        config: { n: 1 },
        allowMissing: true,
        tags: { t: "x" },
        force: true,
        runKey: "replay:0123456789abcdef:nonce",
        cause: { kind: "replay", run: "0123456789abcdef" },
      },
    });
  });

  const { endedAt: _, ...running } = { ...base, status: "running" as const };
  for (const [what, replay, reason] of [
    ["a run that has not ended", replayOf(running, "n"), /it is running; cancel it first/],
    ["a sensor's tick", replayOf({ ...base, kind: "sensor" }, "n"), /a tick of the sensor a/],
    [
      "an output of a multi-asset",
      replayOf({ ...base, request: { ...base.request, multi: "fedcba9876543210" } }, "n"),
      /replay that one/,
    ],
    [
      "an interval that is not the newest",
      replayOf(base, "n", {}, shows("2024-05-02")),
      /shows 2024-05-02.*--rollback/,
    ],
  ] as const)
    test(`refuses ${what}`, () => {
      assert.match(replay.kind === "refused" ? replay.reason : "it was not refused", reason);
    });

  test("goes back on purpose, and lets equal intervals through", () => {
    assert.equal(replayOf(base, "n", { rollback: true }, shows("2024-05-02")).kind, "request");
    assert.equal(replayOf(base, "n", {}, shows(DAY)).kind, "request");
    assert.equal(replayOf(base, "n", {}, { slot: undefined, order: DAY }).kind, "request");
  });
});
