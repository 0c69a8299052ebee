import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ALERT_ON, alert, chosenBy, concerns, noticeOf, pubsubTopic, webhook } from "../../lib/core/alert.ts";
import type { AlertOptions } from "../../lib/core/alert.ts";
import {
  absorb,
  alertId,
  beginSending,
  groupOf,
  putNotice,
  sendingDone,
  sendingFailed,
} from "../../lib/core/alert-group.ts";
import { asset } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { AlertDocument, Decision, DueDocument, Notice } from "../../lib/core/documents.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import type { SluiceEvent } from "../../lib/core/events.ts";
import { secret } from "../../lib/core/resources.ts";

const to = webhook({ url: secret("hook") });
const materialize = async (): Promise<undefined> => undefined;

describe("a definition", () => {
  const load = (exports: Readonly<Record<string, unknown>>) =>
    collectDefinitions([{ file: "functions/alerts.ts", exports }]);

  test("declares the secret or the topic that it needs, with the reason", () => {
    assert.deepEqual(alert({ name: "a", on: ["run.failed"], to }).needs, [
      { kind: "secret", name: "hook", reason: "the alert a is sent to the address in it" },
    ]);
    assert.deepEqual(alert({ name: "a", on: ["run.failed"], to: pubsubTopic("sluice-alerts") }).needs, [
      { kind: "publish", topic: "sluice-alerts", reason: "the alert a is published there" },
    ]);
  });

  test("has the name of its export where it has none of its own", () => {
    const { definitions, problems } = load({
      failures: alert({ on: ["run.failed"], to }),
      named: alert({ name: "late", on: ["freshness"], to }),
    });
    assert.deepEqual(problems, []);
    assert.deepEqual([...definitions.alerts.keys()], ["failures", "late"]);
  });

  test("is about a selection of assets, which has to choose some", () => {
    const assets = [
      asset({ key: "crm/accounts", tags: { daily: "yes" }, materialize }),
      asset({ key: "web/visits", materialize }),
    ];
    const { definitions, problems } = load({
      assets,
      tagged: alert({ on: ["run.failed"], assets: "tag:daily", to }),
      lost: alert({ on: ["run.failed"], assets: "crn/*", to }),
    });
    const tagged = definitions.alerts.get("tagged") ?? assert.fail("it is not there");
    assert.deepEqual(chosenBy(definitions, tagged), ["crm/accounts"]);
    assert.equal(problems.length, 1);
    assert.match(messageOf(problems[0]), /^functions\/alerts\.ts lost: the alert lost: no asset is called "crn\/\*"/);
  });

  test("says what it cannot be", () => {
    const cases: readonly (readonly [() => unknown, RegExp])[] = [
      [() => alert({ on: [], to }), /on nothing \(choose of run\.failed, /],
      // What a type refuses, plain JavaScript lets through.
      [
        () => alert({ on: ["run.fail"] as unknown as AlertOptions["on"], to }),
        /on "run\.fail" \(did you mean "run\.failed"/,
      ],
      [() => alert({ name: "two words", on: ["freshness"], to }), /not a legal name/],
      [() => alert({ on: ["freshness"], quiet: "1w" as "1d", to }), /"1w" is not a duration/],
      [() => webhook({ url: secret("a"), format: "teams" as "slack" }), /no format "teams"/],
      [() => webhook({ url: { kind: "custom", needs: [] } }), /address is a secret/],
      [() => pubsubTopic("asset.crm.accounts"), /no topic of Sluice's own/],
      [() => pubsubTopic("dead-letters"), /no topic of Sluice's own/],
      [() => pubsubTopic("google-alerts"), /cannot go to the topic/],
      [() => pubsubTopic("a"), /cannot go to the topic/],
    ];
    for (const [make, line] of cases)
      assert.throws(
        make,
        (error: unknown) =>
          error instanceof DefinitionError && (line.test(messageOf(error)) || assert.fail(messageOf(error))),
      );
  });
});

const base = { v: 1, at: 5, asset: "a/b", partition: "2024-05-01", run: "r" } as const;
const failed: SluiceEvent = {
  ...base,
  id: "e1",
  type: "run.failed",
  code: "x",
  reason: "why",
  failures: 4,
  stack: "secret stack",
};
const checked = (more: object): SluiceEvent => ({
  ...base,
  id: "e2",
  type: "check.evaluated",
  result: { check: "c", passed: false, blocking: false, severity: "error", ...more },
});

describe("what somebody can be told of", () => {
  test("is kept small, without stacks", () => {
    const { on, notice } = noticeOf({ ...failed, reason: "y".repeat(9_000) }) ?? assert.fail("nothing");
    assert.equal(on, "run.failed");
    assert.equal(notice.reason.length, 2_000);
    assert.ok(!JSON.stringify(notice).includes("secret stack"));
  });

  test("is a failed check that blocks or is an error, and no other", () => {
    assert.equal(noticeOf(checked({}))?.on, "check.failed");
    assert.equal(noticeOf(checked({ severity: "warn", blocking: true }))?.on, "check.failed");
    assert.equal(noticeOf(checked({ severity: "warn" })), undefined);
    assert.equal(noticeOf(checked({ passed: true, blocking: true })), undefined);
  });

  test("is nothing of an alert itself, so that no alert is about alerts", () => {
    const sent: SluiceEvent = {
      ...base,
      id: "e",
      type: "alert.failed",
      alert: "a",
      about: "b",
      count: 1,
      attempts: 1,
      reason: "r",
    };
    assert.equal(noticeOf(sent), undefined);
  });

  test("concerns the alerts on its kind and its asset; a failed check is told of once", () => {
    const notice = noticeOf(failed)?.notice ?? assert.fail("nothing");
    const on = (...types: AlertOptions["on"]) => alert({ on: types, to });
    assert.ok(concerns(on("run.failed"), undefined, notice) && concerns(on("run.failed"), ["a/b"], notice));
    assert.ok(!concerns(on("run.failed"), ["a/c"], notice) && !concerns(on("freshness"), undefined, notice));
    const byCheck: Notice = { ...notice, code: "check-failed" };
    assert.ok(
      !concerns(on("run.failed", "check.failed"), undefined, byCheck) && concerns(on("run.failed"), undefined, byCheck),
    );
    const { asset: _, ...ofJob } = notice;
    assert.ok(concerns(on(...ALERT_ON), undefined, ofJob) && !concerns(on(...ALERT_ON), ["a/b"], ofJob));
  });

  test("is due under the event's own id, whoever records it how often", () => {
    const notice = noticeOf(failed)?.notice ?? assert.fail("nothing");
    assert.deepEqual(putNotice(notice, 7), putNotice(notice, 7));
    assert.notEqual(groupOf(notice, "a/b"), groupOf({ ...notice, type: "check.evaluated", about: "c" }, "a/b"));
  });
});

/** One group as a store keeps it, with the deadline beside it. */
function group(quietMs: number) {
  const names = { alert: "a", group: "run.failed a/b" };
  const id = alertId(names);
  let document: AlertDocument | undefined;
  let due: number | undefined;
  const events: SluiceEvent[] = [];
  const apply = <T>(decision: Decision<T>): T => {
    for (const write of decision.writes) {
      if ("put" in write && write.put.kind === "alert") document = write.value as AlertDocument;
      if ("put" in write && write.put.kind === "due") due = (write.value as DueDocument).dueAt; // of its kind
      if ("delete" in write && write.delete.kind === "due") due = undefined;
    }
    events.push(...decision.events);
    return decision.result;
  };
  return {
    get due() {
      return due;
    },
    get document() {
      return document;
    },
    events,
    take: (at: number, ...ids: readonly string[]) =>
      apply(
        absorb(
          { alert: document },
          { ...names, now: at, notices: ids.map((event) => ({ event, type: "run.failed", at, reason: event })) },
        ),
      ),
    begin: (now: number) => apply(beginSending({ alert: document }, { id, now, leaseMs: 60 })),
    done: (now: number, sent: NonNullable<AlertDocument["sending"]>) =>
      apply(sendingDone({ alert: document }, { id, sent, now, quietMs })),
    failed: (
      now: number,
      sent: NonNullable<AlertDocument["sending"]>,
      retryAt: number | undefined,
      { stops = false }: { readonly stops?: boolean } = {},
    ) =>
      apply(
        sendingFailed(
          { alert: document },
          { id, sent, now, quietMs, retryAt, reason: "no", remedy: stops ? undefined : "see to it" },
        ),
      ),
  };
}

describe("a group", () => {
  test("is told of at once, then of all that came in the quiet time in one message", () => {
    const one = group(1_000);
    one.take(10, "e1");
    assert.equal(one.due, 10);
    const first = one.begin(10) ?? assert.fail("nothing to send");
    assert.deepEqual([first.count, first.attempt, one.due], [1, 1, 70]);
    one.done(20, first);
    assert.equal(one.due, undefined);
    one.take(30, "e2", "e3");
    one.take(40, "e4", "e2", "e1");
    assert.equal(one.due, 1_020, "when it has been quiet");
    assert.equal(one.begin(500), undefined);
    const second = one.begin(1_020) ?? assert.fail("nothing to send");
    assert.deepEqual([second.count, second.first.event, second.last.event], [3, "e2", "e4"]);
    assert.notEqual(second.id, first.id);
    one.done(1_030, second);
    assert.deepEqual(
      one.events.map(({ type }) => type),
      ["alert.sent", "alert.sent"],
    );
    assert.equal(one.begin(9_999), undefined);
    assert.equal(one.due, undefined);
  });

  test("is sent by one at a time, and taken over from whoever died with it, under the same id", () => {
    const one = group(1_000);
    one.take(0, "e1");
    const first = one.begin(0) ?? assert.fail("nothing to send");
    assert.equal(one.begin(59), undefined);
    const second = one.begin(60) ?? assert.fail("nothing to send");
    assert.deepEqual([second.id, second.attempt], [first.id, 2]);
    one.done(61, first);
    assert.deepEqual(one.events, [], "the answer of whoever was taken for dead does not count any more");
    one.done(62, second);
    one.done(63, second);
    assert.equal(one.events.length, 1);
  });

  test("is tried again when that was decided, and given up with an event and a quiet time", () => {
    const one = group(1_000);
    one.take(0, "e1");
    const first = one.begin(0) ?? assert.fail("nothing to send");
    one.failed(5, first, 400);
    assert.equal(one.due, 400);
    one.take(6, "e2");
    assert.equal(one.due, 400, "what comes meanwhile waits as well");
    assert.equal(one.begin(399), undefined);
    const second = one.begin(400) ?? assert.fail("nothing to send");
    assert.equal(second.count, 1, "a message does not change from one attempt to the next");
    one.failed(410, second, undefined);
    assert.deepEqual(
      one.events.map((event) => [event.type, event.id]),
      [
        ["alert.delayed", `alert-delayed-${first.id}`],
        ["alert.failed", `alert-failed-${first.id}`],
      ],
    );
    assert.equal(one.due, 1_410);
    assert.equal((one.begin(1_410) ?? assert.fail("nothing to send")).last.event, "e2");
  });

  test("says once of each message that it is late, by the first try that somebody lived to tell of", () => {
    const late = (one: ReturnType<typeof group>) => one.events.filter(({ type }) => type === "alert.delayed");
    const one = group(1_000);
    one.take(0, "e1", "e2");
    const dead = one.begin(0) ?? assert.fail("nothing to send");
    const stopped = one.begin(60) ?? assert.fail("nothing to send");
    one.failed(61, stopped, 100, { stops: true }); // a process that stops says nothing
    one.failed(62, dead, 5_000); // nor does one that was taken for dead
    assert.deepEqual([late(one), one.due], [[], 100]);
    const third = one.begin(100) ?? assert.fail("nothing to send");
    one.failed(105, third, 200);
    one.failed(106, third, 200); // told twice, as after an answer that was lost
    const [event] = late(one);
    assert.ok(event?.type === "alert.delayed");
    const { id, at, alert: name, count, attempt, retryAt, reason } = event;
    assert.deepEqual([at, name, count, attempt, retryAt, reason], [105, "a", 2, 3, 200, "no; see to it"]);
    assert.equal(id, `alert-delayed-${dead.id}`);
    for (let now = 200; now < 2_000; now += 100)
      one.failed(now, one.begin(now) ?? assert.fail("nothing to send"), now + 100);
    assert.equal(late(one).length, new Set(late(one).map((told) => told.id)).size);
    assert.equal(new Set(late(one).map((told) => told.id)).size, 1);
    one.done(2_001, one.begin(2_000) ?? assert.fail("nothing to send"));
    one.take(2_002, "e3");
    one.failed(3_010, one.begin(3_001) ?? assert.fail("nothing to send"), 4_000);
    assert.equal(late(one).length, 2, "the next message may be late as well");
  });

  test("whatever comes in whatever order, each notice is told of exactly once", () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("take" as const),
        ids: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 5 }),
      }),
      fc.record({ kind: fc.constantFrom("send" as const, "fail" as const, "die" as const, "wait" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const one = group(100);
        const taken = new Set<string>();
        const told: string[] = [];
        const ids = new Set<string>();
        let now = 0;
        let count = 0;
        const work = (kind: "send" | "fail" | "die"): void => {
          const sent = one.begin(now);
          if (sent === undefined) return;
          if (kind === "fail") one.failed(now, sent, now + 30);
          if (kind !== "send") return;
          assert.ok(!ids.has(sent.id), "a message that arrived is not sent again");
          ids.add(sent.id);
          count += sent.count;
          told.push(sent.first.event);
          one.done(now, sent);
        };
        for (const given of steps) {
          now += 10;
          if (given.kind === "take") {
            const events = given.ids.map(String).filter((id, index, all) => all.indexOf(id) === index);
            for (const id of events) taken.add(id);
            one.take(now, ...events);
          } else if (given.kind === "wait") now += 100;
          else work(given.kind);
          const busy = one.document?.waiting !== undefined || one.document?.sending !== undefined;
          assert.ok(!busy || one.due !== undefined, "what waits has a deadline");
        }
        for (let round = 0; one.due !== undefined; round++) {
          assert.ok(round < 20, "it never comes to rest");
          now = Math.max(now, one.due);
          work("send");
        }
        assert.equal(count, taken.size);
        assert.equal(new Set(told).size, told.length);
      }),
    );
  });
});

test("in a function of its own file, an alert may be about assets that are elsewhere", () => {
  const modules = [{ file: "functions/a.ts", exports: { a: alert({ on: ["run.failed"], assets: "web/*", to }) } }];
  assert.equal(collectDefinitions(modules).problems.length, 1);
  assert.deepEqual(collectDefinitions(modules, { part: true }).problems, []);
});
