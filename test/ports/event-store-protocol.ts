/**
 * The protocol of runs on a store: claim, renew, park, intent, guarded commit, announcement and seal, as the rules of
 * `lib/core` decide them, read back by another process each time. Every adapter runs it with its own harness.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claim, renew } from "../../lib/core/claim.ts";
import type { ClaimOutcome } from "../../lib/core/claim.ts";
import { commitIntent, commitRefs } from "../../lib/core/commit.ts";
import { ref } from "../../lib/core/documents.ts";
import type { Intent, RunDocument } from "../../lib/core/documents.ts";
import { announced, end, park } from "../../lib/core/ending.ts";
import type { SluiceEvent } from "../../lib/core/events.ts";
import { runIdOf } from "../../lib/core/request.ts";
import type { RunRequest } from "../../lib/core/request.ts";
import { eventOf, lockRef, runRefs } from "../../lib/core/run-identity.ts";
import type { RunIdentity } from "../../lib/core/run-identity.ts";
import { seal } from "../../lib/core/seal.ts";
import { closeIntent, openIntent, slotRef } from "../../lib/core/slot.ts";
import type { OpenOutcome } from "../../lib/core/slot.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { EventStoreHarness } from "./event-store-conformance.ts";

const LEASE = 90_000;
const TABLE = { dataset: "gitcoin", table: "passport_scores" };

const requestOf = (day: string, runKey: string): RunRequest => ({
  partition: day,
  runKey,
  cause: { kind: "object", uri: `gs://bucket/${day}/scores.parquet`, generation: runKey },
  requestedAt: 1_000,
});
const identityOf = ({ partition, runKey }: RunRequest): RunIdentity => {
  const name = "gitcoin/passport_scores";
  return { id: runIdOf("asset", name, partition, runKey), kind: "asset", name, partition };
};

/** The steps of a run, each one transaction on the given store. */
function steps(store: EventStore, request: RunRequest) {
  const identity = identityOf(request);
  return {
    identity,
    claim: (now: number): Promise<ClaimOutcome> =>
      store.transact(runRefs(identity), (state) => claim(state, { identity, request, now, leaseMs: LEASE })),
    renew: (token: number, now: number): Promise<boolean | "canceled"> =>
      store.transact({ partition: lockRef(identity) }, (state) =>
        renew(state, { identity, token, now, leaseMs: LEASE }),
      ),
    park: (token: number, now: number, wakeAt: number): Promise<boolean | "canceled"> =>
      store.transact(runRefs(identity), (state) =>
        park(state, {
          identity,
          token,
          now,
          wakeAt,
          leaseMs: LEASE,
          code: "incomplete",
          reason: "2 of 3",
          failed: false,
        }),
      ),
    open(token: number, now: number): Promise<OpenOutcome> {
      const materializationId = `m-${identity.id}`;
      const staging = { dataset: "raw", table: `passport_scores__staging_${identity.id}` };
      const inputs = [{ bucket: "bucket", name: request.partition, generation: request.runKey, size: 1 }];
      const event: SluiceEvent = {
        ...eventOf(identity, "materialized", now),
        type: "materialized",
        materializationId,
        fingerprint: request.runKey,
        inputs,
      };
      const refs = { partition: lockRef(identity), slot: slotRef(TABLE) };
      return store.transact(refs, (state) =>
        openIntent(state, {
          identity,
          token,
          order: request.partition,
          rollback: false,
          now,
          destination: TABLE,
          staging,
          head: { materializationId, runId: identity.id, fingerprint: request.runKey, inputs },
          event,
          events: [],
        }),
      );
    },
    commit: (intent: Intent, now: number): Promise<RunDocument | undefined> =>
      store.transact(commitRefs(intent), (state) => commitIntent(state, { intent, now, rolledForward: false })),
    announced: (now: number): Promise<string | undefined> =>
      store.transact(runRefs(identity), (state) => announced(state, { identity, finished: true, now })),
    end: (token: number, now: number): Promise<RunDocument | undefined> =>
      store.transact(runRefs(identity), (state) =>
        end(state, { identity, token, now, status: "failed", code: "bad-input" }),
      ),
  };
}

function claimed(outcome: ClaimOutcome): Extract<ClaimOutcome, { kind: "claimed" }> {
  assert.equal(outcome.kind, "claimed");
  assert.ok(outcome.kind === "claimed");
  return outcome;
}

function opened(outcome: OpenOutcome): Intent {
  assert.equal(outcome.kind, "open");
  assert.ok(outcome.kind === "open");
  return outcome.intent;
}

export function testEventStoreProtocol(name: string, open: () => Promise<EventStoreHarness>): void {
  const check = (
    title: string,
    body: (a: EventStore, b: EventStore, harness: EventStoreHarness) => Promise<void>,
  ): void => {
    test(title, async () => {
      const harness = await open();
      try {
        await body(harness.store, await harness.other(), harness);
      } finally {
        await harness.close();
      }
    });
  };

  describe(`the protocol of runs: ${name}`, () => {
    check(
      "a run from its claim to its announcement, each step seen by another process and after a restart",
      async (a, b, harness) => {
        const request = requestOf("2024-05-01", "1");
        const here = steps(a, request);
        const { token } = claimed(await here.claim(0));
        assert.equal((await steps(b, request).claim(1)).kind, "duplicate");
        assert.equal(await here.renew(token, 30_000), true);
        assert.equal((await b.nextDue()) ?? 0, 30_000 + LEASE);
        const intent = opened(await here.open(token, 31_000));
        assert.equal((await b.get("slot", slotRef(TABLE).id))?.intent?.jobId, intent.jobId);
        const run = await here.commit(intent, 32_000);
        assert.deepEqual(
          run?.outbox.map(({ topic }) => topic),
          ["materialized.gitcoin.passport_scores"],
        );
        assert.equal(await here.commit(intent, 33_000), undefined, "a commit happens once");
        assert.equal((await b.due({ now: 100_000, limit: 9 })).length, 1, "it is due until it is announced");
        await here.announced(34_000);

        const later = await harness.reopen();
        const partition = await later.get("partition", lockRef(here.identity).id);
        assert.equal(partition?.head?.fingerprint, "1");
        assert.equal(partition?.holder ?? partition?.finish, undefined);
        const slot = await later.get("slot", slotRef(TABLE).id);
        assert.deepEqual([slot?.sequence, slot?.committed?.runId, slot?.intent], [1, here.identity.id, undefined]);
        assert.equal((await later.get("asset", here.identity.name))?.partition, "2024-05-01");
        assert.equal((await later.get("run", here.identity.id))?.outbox.length, 0);
        assert.equal(await later.nextDue(), undefined);
        const { items } = await later.history({ run: here.identity.id, order: "oldest" });
        assert.deepEqual(
          items.map(({ type }) => type),
          ["run.started", "materialized", "run.succeeded"],
        );
        assert.equal((await steps(later, request).claim(99_000)).kind, "ended", "the same trigger again");
      },
    );

    check("of many claims of one partition at once, one wins; the others wait, and are asked again", async (a, b) => {
      const requests = Array.from({ length: 20 }, (_, i) => requestOf("2024-05-01", `${i}`));
      const outcomes = await Promise.all(requests.map((request, i) => steps(i % 2 === 0 ? a : b, request).claim(0)));
      const winners = outcomes.flatMap((outcome, i) => (outcome.kind === "claimed" ? [{ outcome, i }] : []));
      assert.equal(winners.length, 1);
      assert.equal(outcomes.filter(({ kind }) => kind === "pending").length, 19);
      const [winner] = winners;
      assert.ok(winner !== undefined);
      const run = await steps(b, requests[winner.i] ?? requestOf("", "")).end(winner.outcome.token, 1);
      assert.deepEqual(
        run?.outbox.map(({ topic }) => topic),
        ["asset.gitcoin.passport_scores"],
        "plain requests are one",
      );
    });

    check("an expired lease is taken over, and its old holder can do nothing any more", async (a, b) => {
      const [first, second] = [requestOf("2024-05-01", "1"), requestOf("2024-05-01", "2")];
      const zombie = steps(a, first);
      const old = claimed(await zombie.claim(0));
      const heir = steps(b, second);
      assert.equal((await heir.claim(LEASE - 1)).kind, "pending");
      const { token } = claimed(await heir.claim(LEASE));
      assert.ok(token > old.token);
      assert.equal(await zombie.renew(old.token, LEASE + 1), false);
      assert.equal((await zombie.open(old.token, LEASE + 1)).kind, "lost");
      assert.equal(await zombie.park(old.token, LEASE + 1, LEASE + 9), false);
      assert.equal(await zombie.end(old.token, LEASE + 1), undefined);
      opened(await heir.open(token, LEASE + 2));
    });

    check("a parked run keeps its partition, and goes on when it wakes", async (a, b) => {
      const request = requestOf("2024-05-01", "1");
      const here = steps(a, request);
      const { token } = claimed(await here.claim(0));
      assert.equal(await here.park(token, 1, 500_000), true);
      assert.equal((await steps(b, request).claim(499_999)).kind, "duplicate");
      assert.equal((await steps(b, requestOf("2024-05-01", "2")).claim(300_000)).kind, "pending");
      const woken = claimed(await steps(b, request).claim(500_000));
      assert.equal(woken.run.attempt, 2);
      assert.ok(woken.token > token);
    });

    check("a slot has one open intent; an older interval never follows a newer one", async (a, b) => {
      const [older, newer] = [steps(a, requestOf("2024-05-01", "1")), steps(b, requestOf("2024-05-02", "1"))];
      const [one, two] = [claimed(await older.claim(0)), claimed(await newer.claim(0))];
      const intent = opened(await newer.open(two.token, 1));
      assert.equal((await older.open(one.token, 2)).kind, "occupied");
      await newer.commit(intent, 3);
      const late = await older.open(one.token, 4);
      assert.deepEqual(late, { kind: "superseded", by: "2024-05-02" });
    });

    check("a closed intent is as if it had never been, but for its job id", async (a, b) => {
      const here = steps(a, requestOf("2024-05-01", "1"));
      const { token } = claimed(await here.claim(0));
      const intent = opened(await here.open(token, 1));
      await b.transact({ slot: slotRef(TABLE) }, (state) => closeIntent(state, { intent, now: 2 }));
      assert.equal(await here.commit(intent, 3), undefined);
      const again = opened(await here.open(token, 4));
      assert.deepEqual([again.sequence, again.jobId === intent.jobId], [2, false]);
    });

    check("a seal and a run exclude each other, whoever comes first", async (a, b) => {
      const days = ["2024-05-01", "2024-05-02"].map((day) => requestOf(day, "1"));
      for (const request of days) {
        const here = steps(a, request);
        const { token } = claimed(await here.claim(0));
        await here.commit(opened(await here.open(token, 1)), 2);
        await here.announced(3);
      }
      const sealOf = async (store: EventStore, request: RunRequest) => {
        const identity = identityOf(request);
        const refs = { partition: lockRef(identity), slot: slotRef(TABLE), asset: ref("asset", identity.name) };
        return await store.transact(refs, (state) => seal(state, { identity, now: 4, by: "cleaner", shared: true }));
      };
      const [old, newest] = days;
      assert.ok(old !== undefined && newest !== undefined);
      assert.equal((await sealOf(b, newest)).kind, "kept");
      const correction = requestOf("2024-05-01", "2");
      const [sealing, claiming] = await Promise.all([sealOf(b, old), steps(a, correction).claim(5)]);
      const excluded = sealing.kind === "sealed" ? claiming.kind === "ended" : claiming.kind === "claimed";
      assert.ok(excluded, `${sealing.kind} and ${claiming.kind}`);
    });
  });
}
