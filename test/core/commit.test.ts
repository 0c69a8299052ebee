import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { adoptPartition } from "../../lib/core/adoption.ts";
import { claim } from "../../lib/core/claim.ts";
import { commitIntent, commitRefs, commitUnmanaged, unmanagedRefs } from "../../lib/core/commit.ts";
import { put } from "../../lib/core/documents.ts";
import type { Intent, RunDocument } from "../../lib/core/documents.ts";
import { announced, putAway } from "../../lib/core/ending.ts";
import type { SluiceEvent } from "../../lib/core/events.ts";
import type { RunRequest } from "../../lib/core/request.ts";
import { runIdOf } from "../../lib/core/request.ts";
import { eventOf, runRefs } from "../../lib/core/run-identity.ts";
import type { RunIdentity } from "../../lib/core/run-identity.ts";
import { closeIntent, openIntent, publishJobId, slotRef } from "../../lib/core/slot.ts";
import type { OpenOutcome } from "../../lib/core/slot.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { memoryDocuments } from "../support/memory-documents.ts";

const TABLE = { dataset: "clean", table: "days" };
let documents: MemoryDocuments;
let now = 0;
beforeEach(() => {
  documents = memoryDocuments();
  now = 1_000;
});

function identify(day: string, runKey = day): RunIdentity {
  return { id: runIdOf("asset", "a", day, runKey), kind: "asset", name: "a", partition: day };
}
function begin(identity: RunIdentity, wishes: Partial<RunRequest> = {}): number {
  const request: RunRequest = {
    partition: identity.partition,
    runKey: identity.id,
    cause: { kind: "manual" },
    requestedAt: 1,
    ...wishes,
  };
  const outcome = documents.apply(runRefs(identity), (state) => claim(state, { identity, request, now, leaseMs: 100 }));
  return outcome.kind === "claimed" ? outcome.token : 0;
}
function open(
  identity: RunIdentity,
  token: number,
  rollback = false,
  events: readonly SluiceEvent[] = [],
): OpenOutcome {
  const { id, partition: day } = identity;
  const head = { materializationId: `m-${id}`, runId: id, fingerprint: "f", inputs: [] };
  const event = { ...eventOf(identity, "materialized", now), type: "materialized", ...head } as const;
  return documents.apply({ ...runRefs(identity), slot: slotRef(TABLE) }, (state) =>
    openIntent(state, {
      identity,
      token,
      now,
      rollback,
      head,
      event,
      order: day,
      destination: TABLE,
      staging: { dataset: "raw", table: `s${day}` },
      raw: { dataset: "raw", table: `r${day}` },
      events,
    }),
  );
}
function intentOf(outcome: OpenOutcome): Intent {
  assert.equal(outcome.kind, "open");
  assert.ok(outcome.kind === "open");
  return outcome.intent;
}
const commit = (intent: Intent, rolledForward = false): RunDocument | undefined =>
  documents.apply(commitRefs(intent), (state) => commitIntent(state, { intent, now, rolledForward }));
const slot = () => documents.get("slot", slotRef(TABLE).id);

test("a commit writes the head, the slot, the run's end, the news and a deadline for them, once", () => {
  const identity = identify("2024-05-01");
  const intent = intentOf(open(identity, begin(identity)));
  assert.deepEqual([intent.sequence, intent.jobId], [1, publishJobId(TABLE, 1)]);
  now += 5;
  const run = commit(intent);
  assert.deepEqual([run?.status, run?.endedAt, run?.materializationId], ["succeeded", now, `m-${identity.id}`]);
  assert.deepEqual(
    run?.outbox.map(({ topic }) => topic),
    ["materialized.a"],
  );
  assert.equal(slot()?.intent, undefined);
  assert.deepEqual([slot()?.sequence, slot()?.committed?.order], [1, "2024-05-01"]);
  const partition = documents.get("partition", "a|2024-05-01");
  assert.deepEqual([partition?.holder, partition?.head?.at, partition?.finish?.runId], [undefined, now, identity.id]);
  assert.equal(documents.get("asset", "a")?.partition, "2024-05-01");
  assert.ok(documents.get("due", identity.id) !== undefined);
  assert.equal(commit(intent), undefined);
  assert.equal(commit(intent, true), undefined);
  assert.equal(documents.events.filter(({ type }) => type === "materialized").length, 1);
});

test("an intent needs the token, a free slot and an order that does not go back; asked twice it is the same", () => {
  const [first, second] = [identify("2024-05-01"), identify("2024-05-02")];
  const token = begin(first);
  assert.equal(open(first, token + 1).kind, "lost");
  assert.equal(open(second, 1).kind, "lost", "it holds nothing");
  const intent = intentOf(open(first, token));
  assert.deepEqual(intentOf(open(first, token)), intent);
  assert.equal(open(second, begin(second)).kind, "occupied");
  commit(intent);
  commit(intentOf(open(second, 1)));
  const again = identify("2024-05-01", "again");
  const late = begin(again);
  assert.deepEqual(open(again, late), { kind: "superseded", by: "2024-05-02" });
  const back = intentOf(open(again, late, true));
  assert.equal(back.sequence, 3);
  commit(back);
  assert.equal(slot()?.committed?.partition, "2024-05-01");
  assert.equal(documents.get("asset", "a")?.partition, "2024-05-02", "the newest stays the newest");
});

test("a closed intent is as if it had never been, but its sequence is used up", () => {
  const identity = identify("2024-05-01");
  const token = begin(identity);
  const intent = intentOf(open(identity, token));
  const close = () => documents.apply({ slot: slotRef(TABLE) }, (state) => closeIntent(state, { intent, now }));
  close();
  assert.deepEqual(slot(), { sequence: 1 });
  assert.equal(commit(intent), undefined);
  const next = intentOf(open(identity, token));
  assert.notEqual(next.jobId, intent.jobId);
  close(); // late: it means the first
  assert.equal(slot()?.intent?.sequence, 2);
});

test("a roll-forward by a stranger leaves the partition to its new holder, and what waits there too", () => {
  const identity = identify("2024-05-01");
  const intent = intentOf(open(identity, begin(identity)));
  now += 1_000;
  const taker = identify("2024-05-01", "taker");
  const token = begin(taker);
  begin(identify("2024-05-01", "waits"));
  const run = commit(intent, true);
  assert.deepEqual(
    run?.outbox.map(({ topic }) => topic),
    ["materialized.a"],
  );
  const partition = documents.get("partition", "a|2024-05-01");
  assert.deepEqual(
    [partition?.holder?.token, partition?.pending?.plain?.runKey],
    [token, identify("2024-05-01", "waits").id],
  );
  assert.equal(partition?.head?.runId, identity.id);
  assert.ok(documents.events.some((event) => event.type === "publish.settled" && event.outcome === "rolled-forward"));
});

test("what waited for the partition goes out with the news, and the next deadline is soon", () => {
  const identity = identify("2024-05-01");
  const intent = intentOf(open(identity, begin(identity)));
  begin(identify("2024-05-01", "plain"));
  begin(identify("2024-05-01", "special"), { force: true });
  now += 50;
  const run = commit(intent);
  assert.deepEqual(
    run?.outbox.map(({ topic, data }) => [topic, (data as Partial<RunRequest>).runKey]),
    [
      ["materialized.a", undefined],
      ["asset.a", identify("2024-05-01", "special").id],
      ["asset.a", identify("2024-05-01", "plain").id],
    ],
  );
  assert.equal(documents.get("partition", "a|2024-05-01")?.pending, undefined);
  assert.equal(documents.get("due", identity.id)?.dueAt, now + 5_000, "not the end of its lease");
});

test("a commit forgets what its partition was refused, failed or came too late for before", () => {
  const identity = identify("2024-05-01");
  const intent = intentOf(open(identity, begin(identity)));
  const at = { kind: "partition", id: "a|2024-05-01" } as const;
  const before = documents.get("partition", at.id) ?? assert.fail("no partition");
  const marks = {
    blocked: { at: 1, runId: "r", reason: "a check" },
    failed: { at: 1, runId: "r" },
    superseded: { at: 1, inputs: [] },
    writing: [],
  };
  documents.apply({}, () => ({ result: 0, writes: [put(at, { ...before, ...marks })], events: [] }));
  commit(intent);
  const { head, finish, ...left } = documents.get("partition", at.id) ?? assert.fail("no partition");
  assert.deepEqual(left, { name: "a", partition: "2024-05-01", token: 1 });
});

test("a commit of what is the newest already is the newest", () => {
  for (const runKey of ["first", "again"]) {
    const identity = identify("2024-05-01", runKey);
    commit(intentOf(open(identity, begin(identity))));
    assert.equal(documents.get("asset", "a")?.materializationId, `m-${identity.id}`);
  }
});

test("whoever comes late puts away what is left of its own commit alone; what is not done yet is kept", () => {
  const at = { partition: { kind: "partition", id: "a|2024-05-01" } } as const;
  const finish = () => documents.get("partition", at.partition.id)?.finish;
  const identity = identify("2024-05-01");
  commit(intentOf(open(identity, begin(identity))));
  const left = finish();
  documents.apply(at, (state) => putAway(state, { runId: "fedcba9876543210" }));
  documents.apply(runRefs(identity), ({ partition }) =>
    announced({ run: undefined, partition }, { identity: identify("2024-05-01", "other"), finished: true, now }),
  );
  assert.deepEqual(finish(), left);
  const remove = [{ handle: "h", at: 1 }] as never; // whatever it is, it is kept
  documents.apply(at, (state) => putAway(state, { runId: identity.id, keep: remove }));
  assert.deepEqual(finish(), { runId: identity.id, remove });
  documents.apply(at, (state) => putAway(state, { runId: identity.id }));
  assert.equal(finish(), undefined);
});

test("what a commit has left moves with its partition, and is put away under the new name by whoever ended the run", () => {
  const identity = identify("2024-05-01");
  commit(intentOf(open(identity, begin(identity))));
  const [from, to] = [runRefs(identity).partition, runRefs({ ...identity, name: "b" }).partition];
  const slot = slotRef(TABLE);
  documents.apply({ old: from, own: to, slot }, (state) =>
    adoptPartition(state, { from: "a", to: "b", partition: "2024-05-01", slot, now, isExecuting: () => false }),
  );
  const finish = documents.get("partition", to.id)?.finish;
  assert.equal(finish?.runId, identity.id);
  const told = (name: string): string | undefined => {
    const named = { ...identity, name };
    return documents.apply(runRefs(named), (state) => announced(state, { identity: named, finished: true, now }));
  };
  assert.equal(told("a"), "b");
  // Whoever dies here leaves a deadline, which a message that comes late does not end.
  assert.deepEqual(documents.get("run", identity.id)?.outbox, []);
  assert.equal(
    documents.apply(runRefs(identity), (state) => claim(state, { identity, now, leaseMs: 1 })).kind,
    "ended",
  );
  assert.notEqual(documents.get("due", identity.id), undefined);
  assert.deepEqual(documents.get("partition", to.id)?.finish, finish);
  assert.equal(told("b"), undefined);
  assert.deepEqual(
    [documents.get("due", identity.id), documents.get("partition", to.id)?.finish],
    [undefined, undefined],
  );
});

test("what the checks have found is recorded with the intent, once", () => {
  const identity = identify("2024-05-01");
  const token = begin(identity);
  const found = { ...eventOf(identity, "check", now), type: "run.restarted", reason: "stands for a check" } as const;
  for (const _ of [1, 2]) open(identity, token, false, [found]);
  assert.equal(documents.events.filter(({ type }) => type === "run.restarted").length, 1);
});

test("only the very intent that is open is committed: no earlier one, and none that has another name by now", () => {
  const identity = identify("2024-05-01");
  const token = begin(identity);
  const first = intentOf(open(identity, token));
  documents.apply({ slot: slotRef(TABLE) }, (state) => closeIntent(state, { intent: first, now }));
  const second = intentOf(open(identity, token));
  const before = JSON.stringify([slot(), documents.all("run"), documents.all("partition")]);
  assert.equal(commit(first), undefined);
  assert.equal(JSON.stringify([slot(), documents.all("run"), documents.all("partition")]), before);
  const renamed = { sequence: 2, intent: { ...second, name: "b", token: 0 } };
  documents.apply({}, () => ({ result: 0, writes: [put(slotRef(TABLE), renamed)], events: [] }));
  assert.equal(commit(second), undefined, "its run goes on under the new name");
  assert.deepEqual(slot(), renamed);
});

test("an intent of an earlier claim of the same run is to be settled, not taken for this one's", () => {
  const identity = identify("2024-05-01");
  const intent = intentOf(open(identity, begin(identity)));
  now += 1_000;
  assert.deepEqual(open(identity, begin(identity)), { kind: "occupied", intent });
});

test("without a table the token alone decides", () => {
  const identity = identify("2024-05-01");
  const token = begin(identity);
  const head = { materializationId: "m", runId: identity.id, fingerprint: "f", inputs: [] };
  const attempt = (with_: number) =>
    documents.apply(unmanagedRefs(identity), (state) =>
      commitUnmanaged(state, { identity, token: with_, now, order: "2024-05-01", head, events: [] }),
    );
  assert.equal(attempt(token + 1), undefined);
  assert.equal(attempt(token)?.status, "succeeded");
  assert.equal(attempt(token), undefined);
  assert.equal(documents.get("due", identity.id) !== undefined, true, "its news is still to be told");
});
