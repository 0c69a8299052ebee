import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { claim } from "../../lib/core/claim.ts";
import { commitIntent, commitRefs, commitUnmanaged, unmanagedRefs } from "../../lib/core/commit.ts";
import type { Intent, RunDocument } from "../../lib/core/documents.ts";
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
function open(identity: RunIdentity, token: number, rollback = false): OpenOutcome {
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
      events: [],
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
