import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { claim, renew } from "../../lib/core/claim.ts";
import type { ClaimOutcome, ClaimRequest } from "../../lib/core/claim.ts";
import type { PartitionDocument, RunDocument, Write } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { announced, end, park } from "../../lib/core/ending.ts";
import type { EndRequest, ParkRequest } from "../../lib/core/ending.ts";
import type { RunRequest } from "../../lib/core/request.ts";
import { runIdOf } from "../../lib/core/request.ts";
import { lockRef, partitionRef, runRefs } from "../../lib/core/run-identity.ts";
import type { RunIdentity } from "../../lib/core/run-identity.ts";
import { seal } from "../../lib/core/seal.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { memoryDocuments } from "../support/memory-documents.ts";

const LEASE = 90_000;
const DAY = "2024-05-01";

let documents: MemoryDocuments;
let now: number;
beforeEach(() => {
  documents = memoryDocuments();
  now = 1_000_000;
});

function request(runKey: string, wishes: Partial<RunRequest> = {}): RunRequest {
  return { partition: DAY, runKey, cause: { kind: "manual" }, requestedAt: now, ...wishes };
}

function identify(runKey: string): RunIdentity {
  return { id: runIdOf("asset", "a", DAY, runKey), kind: "asset", name: "a", partition: DAY };
}

/** A message with a request, or, given a run key alone for a run that is there, a wake-up. */
function ask(wanted: RunRequest, more: Partial<ClaimRequest> = {}): ClaimOutcome {
  const identity = identify(wanted.runKey);
  return documents.apply(runRefs(identity), (state) =>
    claim(state, { identity, request: wanted, now, leaseMs: LEASE, ...more }),
  );
}

function wake(runKey: string, more: Partial<ClaimRequest> = {}): ClaimOutcome {
  const identity = identify(runKey);
  return documents.apply(runRefs(identity), (state) => claim(state, { identity, now, leaseMs: LEASE, ...more }));
}

function tokenOf(outcome: ClaimOutcome): number {
  assert.equal(outcome.kind, "claimed");
  return outcome.kind === "claimed" ? outcome.token : 0;
}

function sleep(runKey: string, token: number, wakeAt: number, more: Partial<ParkRequest> = {}): boolean | "canceled" {
  const identity = identify(runKey);
  const common = { code: "retry", reason: "later", failed: false, leaseMs: LEASE };
  return documents.apply(runRefs(identity), (state) =>
    park(state, { identity, token, now, wakeAt, ...common, ...more }),
  );
}

function finish(runKey: string, token: number, more: Partial<EndRequest> = {}): RunDocument | undefined {
  const identity = identify(runKey);
  return documents.apply(runRefs(identity), (state) =>
    end(state, { identity, token, now, status: "skipped", code: "done", reason: "done", ...more }),
  );
}

function renewLease(runKey: string, token: number): boolean | "canceled" {
  const identity = identify(runKey);
  return documents.apply({ partition: lockRef(identity) }, (state) =>
    renew(state, { identity, token, now, leaseMs: LEASE }),
  );
}

function partition(): PartitionDocument {
  const found = documents.get("partition", partitionRef("a", DAY).id);
  assert.ok(found !== undefined);
  return found;
}

function runOf(runKey: string): RunDocument {
  const found = documents.get("run", identify(runKey).id);
  assert.ok(found !== undefined);
  return found;
}

function dueOf(runKey: string): number | undefined {
  return documents.get("due", identify(runKey).id)?.dueAt;
}

/** The run keys that the ended run asks for again. */
function released(run: RunDocument | undefined): unknown[] {
  assert.ok(run !== undefined);
  return run.outbox.map(({ data }) => (data as RunRequest).runKey); // `bodyOf` makes nothing else
}

function typesOf(runKey: string): string[] {
  return documents.events.filter(({ run }) => run === identify(runKey).id).map(({ type }) => type);
}

describe("a claim", () => {
  test("of a free partition gives a token, a lease, a deadline and an event", () => {
    const outcome = ask(request("r"));
    assert.equal(tokenOf(outcome), 1);
    assert.deepEqual(partition().holder, { runId: identify("r").id, token: 1, leaseUntil: now + LEASE });
    assert.equal(dueOf("r"), now + LEASE);
    now += 30_000;
    assert.equal(renewLease("r", 1), true);
    assert.deepEqual([partition().holder?.leaseUntil, dueOf("r")], [now + LEASE, now + LEASE]);
    assert.deepEqual([runOf("r").status, runOf("r").attempt, runOf("r").request.runKey], ["running", 1, "r"]);
    assert.deepEqual(typesOf("r"), ["run.started"]);
  });

  test("of a run that has ended changes nothing, and says what it still has to announce", () => {
    finish("r", tokenOf(ask(request("r"))), { outbox: [{ topic: "t", data: 1 }] });
    const before = [runOf("r"), partition(), dueOf("r")];
    const outcome = ask(request("r"));
    assert.equal(outcome.kind, "ended");
    assert.deepEqual(outcome.kind === "ended" && outcome.run.outbox, [{ topic: "t", data: 1 }]);
    assert.deepEqual([runOf("r"), partition(), dueOf("r")], before);
    assert.deepEqual(typesOf("r"), ["run.started", "run.skipped"]);
  });

  test("of a run that has ended and announced takes a stale deadline away, so that it cannot be woken for ever", () => {
    finish("r", tokenOf(ask(request("r"))));
    assert.equal(dueOf("r"), undefined);
    const dueRef = { kind: "due", id: identify("r").id } as const;
    documents.apply({}, () => ({
      result: 0,
      writes: [put(dueRef, { shard: 0, dueAt: 1, runId: dueRef.id })],
      events: [],
    }));
    assert.equal(wake("r").kind, "ended");
    assert.equal(dueOf("r"), undefined);
  });

  for (const left of ["its messages", "its staging"] as const)
    test(`of a run that has ended, but not put away ${left}, leaves its deadline`, () => {
      const outbox = left === "its messages" ? [{ topic: "t", data: 1 }] : [];
      finish("r", tokenOf(ask(request("r"))), { outbox });
      const { id } = identify("r");
      const staged = { ...partition(), finish: { runId: id, staging: { dataset: "d", table: "t" } } };
      const due = put(ref("due", id), { shard: 0, dueAt: 7, runId: id });
      const writes = left === "its staging" ? [due, put(partitionRef("a", DAY), staged)] : [due];
      documents.apply({}, () => ({ result: 0, writes, events: [] }));
      for (const again of [wake("r"), ask(request("r"))]) assert.equal(again.kind, "ended");
      assert.equal(dueOf("r"), 7);
    });

  test("by a duplicate message while the run is under way is refused, and leaves everything as it is", () => {
    ask(request("r"));
    const before = partition();
    now += LEASE - 1;
    assert.equal(ask(request("r")).kind, "duplicate");
    assert.equal(wake("r").kind, "duplicate");
    assert.deepEqual(partition(), before);
  });

  test("by a wake-up for a run that does not exist does nothing", () => {
    assert.equal(wake("never").kind, "unknown");
    assert.deepEqual(documents.all("partition"), []);
    assert.deepEqual(documents.all("run"), []);
  });

  test("after the lease has run out is taken over by another run; the first can do nothing any more", () => {
    const first = tokenOf(ask(request("r")));
    now += LEASE;
    const second = tokenOf(ask(request("s")));
    assert.equal(second, first + 1);
    assert.equal(renewLease("r", first), false);
    assert.equal(sleep("r", first, now + 1), false);
    assert.equal(finish("r", first), undefined);
    assert.equal(partition().holder?.runId, identify("s").id);
    const started = documents.events.filter(({ type }) => type === "run.started");
    assert.deepEqual(
      started.map((event) => event.type === "run.started" && event.tookOver === true),
      [false, true],
    );
    assert.ok(dueOf("r") !== undefined, "the first run is still to be looked after");
  });

  test("after the lease has run out by the same run is a new attempt under a new token", () => {
    const first = tokenOf(ask(request("r")));
    now += LEASE;
    const second = tokenOf(wake("r"));
    assert.equal(second, first + 1);
    assert.equal(runOf("r").attempt, 2);
    assert.equal(renewLease("r", first), false);
    assert.equal(renewLease("r", second), true);
  });

  test("of a run that this process is executing is refused however old its lease looks", () => {
    ask(request("r"));
    now += 100 * LEASE;
    const isExecuting = (runId: string): boolean => runId === identify("r").id;
    assert.equal(wake("r", { isExecuting }).kind, "duplicate");
    assert.equal(ask(request("s"), { isExecuting }).kind, "pending");
    assert.equal(ask(request("t"), { isExecuting: () => false }).kind, "claimed");
  });
});

describe("how a run has ended, its partition remembers", () => {
  const late = [{ bucket: "b", name: "n", generation: "1", size: 1 }];
  for (const [what, ending, marks] of [
    ["too late", { code: "superseded", superseded: late }, ["superseded"]],
    ["refused by a check", { status: "failed", code: "check-failed", reason: "why" }, ["blocked", "failed"]],
    ["failed", { status: "failed", code: "boom" }, ["failed"]],
    ["skipped", {}, []],
  ] as const)
    test(`${what}`, () => {
      const run = finish("r", tokenOf(ask(request("r"))), ending);
      const { name, partition: day, token, ...left } = partition();
      assert.deepEqual(Object.keys(left).sort(), [...marks]);
      if (left.superseded !== undefined) assert.deepEqual(left.superseded, { at: now, inputs: late });
      if (left.blocked !== undefined) assert.deepEqual(left.blocked, { at: now, runId: run?.id, reason: "why" });
      if (left.failed !== undefined) assert.deepEqual(left.failed, { at: now, runId: run?.id });
    });

  test("and forgets a failure with the next end, but for one that was canceled", () => {
    finish("r", tokenOf(ask(request("r"))), { status: "failed", code: "boom" });
    finish("canceled", tokenOf(ask(request("canceled"))), { status: "canceled" });
    assert.equal(partition().failed?.runId, identify("r").id);
    finish("next", tokenOf(ask(request("next"))));
    assert.equal(partition().failed, undefined);
  });
});

describe("a busy partition", () => {
  test("keeps one plain request for all, and asks for it again when it is free", () => {
    const token = tokenOf(ask(request("r")));
    for (const key of ["b", "c", "d", "b"]) assert.equal(ask(request(key)).kind, "pending");
    assert.equal(partition().pending?.plain?.runKey, "b");
    assert.deepEqual(partition().pending?.special, []);
    assert.deepEqual(released(finish("r", token)), ["b"]);
    assert.equal(partition().pending, undefined);
    assert.equal(partition().holder, undefined);
  });

  for (const wishes of [
    { force: true },
    { rollback: true },
    { allowMissing: true },
    { unseal: true },
    { config: { x: 1 } },
  ]) {
    test(`keeps a request with ${Object.keys(wishes).join()} as itself, once`, () => {
      const token = tokenOf(ask(request("r")));
      ask(request("plain"));
      ask(request("s1", wishes));
      ask(request("s2", wishes));
      ask(request("s1", wishes));
      const run = finish("r", token);
      assert.deepEqual(released(run), ["s1", "s2", "plain"]);
      const [message] = run?.outbox ?? [];
      assert.equal(message?.topic, "asset.a");
      assert.deepEqual(message?.data, { ...wishes, partition: DAY, runKey: "s1", cause: { kind: "manual" } });
    });
  }

  test("lets tags be coalesced", () => {
    const token = tokenOf(ask(request("r")));
    ask(request("b", { tags: { x: "y" } }));
    ask(request("c"));
    assert.deepEqual(released(finish("r", token)), ["b"]);
  });

  test("keeps what waits through renewal, sleep, takeover and failure", () => {
    const first = tokenOf(ask(request("r")));
    ask(request("b"));
    renewLease("r", first);
    sleep("r", first, now + 10);
    now += 10;
    const second = tokenOf(wake("r"));
    now += LEASE;
    const third = tokenOf(ask(request("s")));
    assert.notEqual(second, third);
    assert.deepEqual(released(finish("s", third, { status: "failed" })), ["b"]);
  });

  test("does not fold a request into one that is being served", () => {
    ask(request("dead"));
    assert.equal(ask(request("b")).kind, "pending");
    now += LEASE;
    const token = tokenOf(ask(request("b"))); // delivered twice; it takes over from the dead run
    assert.equal(ask(request("correction")).kind, "pending");
    assert.deepEqual(released(finish("b", token)), ["correction"]);
  });

  test("does not fold a request into a run that has begun and was taken over", () => {
    ask(request("b"));
    now += LEASE;
    const token = tokenOf(ask(request("s")));
    assert.equal(wake("b").kind, "pending");
    assert.equal(ask(request("correction")).kind, "pending");
    // Settling b's intent may end it before it is asked for again; the correction must not go with it.
    assert.deepEqual(released(finish("s", token)), ["b", "correction"]);
  });
});

describe("a sleeper", () => {
  test("keeps its partition, and is due a little after its time", () => {
    const token = tokenOf(ask(request("r")));
    assert.equal(sleep("r", token, now + 600_000), true);
    assert.equal(partition().holder?.parked, true);
    const due = dueOf("r") ?? 0;
    assert.ok(due >= now + 600_000 && due <= now + 610_000);
    assert.equal(ask(request("b")).kind, "pending");
    now += 600_000 + LEASE - 1;
    assert.equal(ask(request("c")).kind, "pending", "overdue, but not by a whole lease");
    now += 1;
    assert.equal(ask(request("c")).kind, "claimed");
  });

  test("is woken in its time and no earlier; what it waited for is forgotten then", () => {
    const token = tokenOf(ask(request("r")));
    sleep("r", token, now + 600_000, { code: "incomplete", failed: true });
    now += 599_999;
    assert.equal(wake("r").kind, "duplicate");
    assert.equal(ask(request("r")).kind, "duplicate");
    now += 1;
    assert.equal(tokenOf(wake("r")), token + 1);
    const { wakeAt, code, reason, attempt, failures, status } = runOf("r");
    assert.deepEqual([wakeAt, code, reason], [undefined, undefined, undefined]);
    assert.deepEqual([attempt, failures, status], [2, 1, "running"]);
    assert.equal(wake("r").kind, "duplicate");
  });

  test("is not woken by its own last renewal, which arrives after it was parked", () => {
    const token = tokenOf(ask(request("r")));
    sleep("r", token, now + 600_000);
    const [before, due] = [partition(), dueOf("r")];
    assert.equal(renewLease("r", token), true);
    assert.deepEqual([partition(), dueOf("r")], [before, due]);
  });

  test("gives way to a request with a wish of its own, and goes on later", () => {
    const wakeAt = now + 600_000;
    sleep("r", tokenOf(ask(request("r"))), wakeAt);
    const due = dueOf("r");
    const special = tokenOf(ask(request("s", { force: true })));
    assert.equal(renewLease("r", special - 1), false);
    // Early, it is left asleep: no request is kept, and its deadline does not move.
    assert.equal(wake("r").kind, "duplicate");
    assert.deepEqual([partition().pending, dueOf("r")], [undefined, due]);
    // In its time the partition is still busy: it waits, and is due once in a lease and not all the time.
    now = wakeAt;
    renewLease("s", special);
    for (let round = 1; round <= 3; round++) {
      assert.equal(wake("r").kind, "pending");
      assert.equal(dueOf("r"), now + LEASE);
      now += LEASE - 1;
      renewLease("s", special);
    }
    assert.deepEqual(released(finish("s", special)), ["r"]);
    assert.equal(wake("r").kind, "claimed");
    assert.equal(typesOf("r").filter((type) => type === "run.coalesced").length, 1);
  });

  test("resumes by its own deadline, should the request that displaced it end before", () => {
    const wakeAt = now + 600_000;
    sleep("r", tokenOf(ask(request("r"))), wakeAt);
    finish("s", tokenOf(ask(request("s", { rollback: true }))));
    assert.equal(partition().holder, undefined);
    assert.ok((dueOf("r") ?? 0) >= wakeAt);
    now = wakeAt;
    assert.equal(wake("r").kind, "claimed");
  });

  test("does not give way while it is awake", () => {
    ask(request("r"));
    assert.equal(ask(request("s", { force: true })).kind, "pending");
  });
});

describe("a sealed partition", () => {
  beforeEach(() => {
    finish("first", tokenOf(ask(request("first"))));
    const target = partitionRef("a", DAY);
    const outcome = documents.apply({ partition: target }, (state) =>
      seal(
        { ...state, slot: undefined, asset: undefined },
        { identity: identify("first"), now, by: "job", shared: false },
      ),
    );
    assert.equal(outcome.kind, "sealed");
    documents.apply({ partition: target }, (state) => ({
      result: 0,
      writes: state.partition === undefined ? [] : [put(target, { ...state.partition, cleanedAt: now })],
      events: [],
    }));
  });

  test("refuses every run but one that unseals it, forced ones too, and says how", () => {
    for (const [key, wishes] of [
      ["plain", {}],
      ["forced", { force: true, rollback: true, allowMissing: true }],
    ] as const) {
      const outcome = ask(request(key, wishes));
      assert.equal(outcome.kind, "ended");
      const run = runOf(key);
      assert.deepEqual([run.status, run.code, dueOf(key)], ["skipped", "sealed", undefined]);
      assert.match(run.reason ?? "", /^a 2024-05-01 was cleaned up .*--unseal$/);
      assert.equal(partition().holder, undefined);
    }
    assert.deepEqual(typesOf("plain"), ["run.skipped"]);
    assert.ok(partition().seal !== undefined && partition().cleanedAt !== undefined);
  });

  test("is not opened while its clean-up still goes on", () => {
    const target = partitionRef("a", DAY);
    documents.apply({ partition: target }, ({ partition: sealed }) => {
      const { cleanedAt, ...rest } = sealed ?? { name: "a", partition: DAY, token: 0 };
      return { result: 0, writes: [put(target, rest)], events: [] };
    });
    assert.equal(ask(request("u", { unseal: true })).kind, "ended");
    assert.match(runOf("u").reason ?? "", /^a 2024-05-01 is being cleaned up .*--unseal$/);
    assert.ok(partition().seal !== undefined && partition().holder === undefined);
  });

  test("is opened by a run that asks for it, with an event", () => {
    assert.equal(ask(request("u", { unseal: true })).kind, "claimed");
    assert.deepEqual([partition().seal, partition().cleanedAt], [undefined, undefined]);
    assert.deepEqual(typesOf("u"), ["run.started", "partition.unsealed"]);
  });
});

describe("runs of jobs and sensors", () => {
  test("lock themselves alone, and leave no lock behind", () => {
    const identities = ["x", "y"].map((key): RunIdentity => {
      return { id: runIdOf("job", "j", "", key), kind: "job", name: "j", partition: "" };
    });
    for (const identity of identities) {
      const wanted = { partition: "", runKey: identity.id, cause: { kind: "manual" as const }, requestedAt: now };
      const outcome = documents.apply(runRefs(identity), (state) =>
        claim(state, { identity, request: wanted, now, leaseMs: LEASE }),
      );
      assert.equal(outcome.kind, "claimed");
    }
    for (const identity of identities) {
      const run = documents.apply(runRefs(identity), (state) =>
        end(state, { identity, token: 1, now, status: "succeeded", metadata: { n: 1 } }),
      );
      assert.equal(run?.status, "succeeded");
    }
    assert.deepEqual(documents.all("partition"), []);
    assert.deepEqual(documents.all("due"), []);
  });
});

/** What may happen to one partition, in any order; `key` names a request, `token` the latest claim of its run. */
type Step =
  /** `settle`: the run's publish turns out to have happened, and whoever found its intent has ended it. */
  | { readonly do: "ask" | "wake" | "end" | "renew" | "settle"; readonly key: number }
  | { readonly do: "sleep"; readonly key: number; readonly ms: number }
  | { readonly do: "pass"; readonly ms: number };

const key = fc.integer({ min: 0, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("ask" as const, "end" as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("wake" as const, "renew" as const, "settle" as const), key }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("sleep" as const), key, ms: fc.integer({ min: 1, max: 200_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 200_000 }) }) },
);

/** Plays steps on fresh documents, brings them to rest, and returns the requests that nothing was done about. */
function lostRequests(steps: readonly Step[], rule: typeof claim): string[] {
  documents = memoryDocuments();
  now = 1_000_000;
  let tick = 0;
  const tokens = new Map<string, number>();
  /** When each request was last made, when each run last began, and when something that began then has ended. */
  const asked = new Map<string, number>();
  const begun = new Map<string, number>();
  let servedUpTo = -1;
  const messages: string[] = [];
  // Odd requests have a wish of their own.
  const wanted = (name: string): RunRequest => request(name, Number(name) % 2 === 1 ? { force: true } : {});
  const take = (name: string, withRequest: boolean): void => {
    const identity = identify(name);
    const outcome = documents.apply(runRefs(identity), (state) =>
      rule(state, { identity, now, leaseMs: LEASE, ...(withRequest ? { request: wanted(name) } : {}) }),
    );
    if (outcome.kind !== "claimed") return;
    tokens.set(name, outcome.token);
    begun.set(name, tick);
  };
  const ended = (name: string): void => {
    const run = finish(name, tokens.get(name) ?? 0);
    if (run === undefined) return;
    servedUpTo = Math.max(servedUpTo, begun.get(name) ?? -1);
    messages.push(...released(run).map(String));
    const identity = identify(name);
    documents.apply(runRefs(identity), (state) => announced(state, { identity, finished: true, now }));
  };
  const settled = (name: string): void => {
    const { id } = identify(name);
    const run = documents.get("run", id);
    const holder = documents.get("partition", partitionRef("a", DAY).id)?.holder;
    if (run === undefined || run.endedAt !== undefined || holder?.runId === id || !begun.has(name)) return;
    servedUpTo = Math.max(servedUpTo, begun.get(name) ?? -1);
    const writes = [put(ref("run", id), { ...run, status: "succeeded", endedAt: now }), { delete: ref("due", id) }];
    documents.apply({}, () => ({ result: undefined, writes, events: [] }));
  };
  const isOver = (name: string): boolean => documents.get("run", identify(name).id)?.endedAt !== undefined;

  for (const move of steps) {
    tick += 1;
    if (move.do === "pass") now += move.ms;
    else {
      const name = String(move.key);
      if (move.do === "ask" && !isOver(name)) asked.set(name, tick);
      if (move.do === "ask") take(name, true);
      if (move.do === "wake") take(name, false);
      if (move.do === "renew") renewLease(name, tokens.get(name) ?? 0);
      if (move.do === "sleep") sleep(name, tokens.get(name) ?? 0, now + move.ms);
      if (move.do === "end") ended(name);
      if (move.do === "settle") settled(name);
    }
    const { holder, pending } = documents.get("partition", partitionRef("a", DAY).id) ?? {};
    assert.ok(pending === undefined || holder !== undefined, "requests wait for a free partition");
  }
  // To rest: what was released is asked for, what is due is woken, and what begins comes to its end.
  for (let round = 0; round < 100 && (messages.length > 0 || documents.all("due").length > 0); round++) {
    tick += 1;
    const name = messages.shift();
    if (name !== undefined) take(name, true);
    else {
      now = Math.max(now, Math.min(...documents.all("due").map(([, { dueAt }]) => dueAt)));
      for (const each of asked.keys()) if ((dueOf(each) ?? Infinity) <= now) take(each, false);
    }
    for (const each of asked.keys()) ended(each);
  }
  assert.deepEqual(documents.all("due"), [], "deadlines are left");
  return [...asked].filter(([name, at]) => at > servedUpTo && !isOver(name)).map(([name]) => name);
}

describe("under every order of requests, wake-ups, sleeps and ends", () => {
  test("each request is followed by a run that began after it and has ended", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        assert.deepEqual(lostRequests(steps, claim), []);
      }),
      { numRuns: 3_000, seed: 3 },
    );
  });

  test("which the same property denies a claim that leaves its own request among those that wait", () => {
    const careless: typeof claim = (state, input) => {
      const decision = claim(state, input);
      const pending = state.partition?.pending;
      if (decision.result.kind !== "claimed" || pending === undefined) return decision;
      const writes = decision.writes.map((write): Write =>
        // Of a partition, as its ref says.
        "put" in write && write.put.kind === "partition"
          ? ({ ...write, value: { ...write.value, pending } } as Write)
          : write,
      );
      return { ...decision, writes };
    };
    const property = fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
      assert.deepEqual(lostRequests(steps, careless), []);
    });
    const result = fc.check(property, { numRuns: 3_000, seed: 3 });
    assert.ok(result.failed);
  });
});
