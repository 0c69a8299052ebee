/** What gcloud and bq print of a project that is as wanted shows no drift; and what differs, does. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plan } from "../../../infra/plan.ts";
import { decide, recordOf } from "../../../infra/plan/decide.ts";
import { observations, observed } from "../../../infra/plan/observe.ts";
import { emptyState } from "../../../infra/plan/state.ts";
import { manifestOf, wantedOf } from "../../support/planned-world.ts";
import { varied } from "../../support/varied-project.ts";

const EVENTARC = { triggers: "eventarc", buckets: { drops: { location: "EU" } } };
const P = "projects/own-project";
const R = `${P}/locations/europe-west1`;
const labels = { app: "sluice", "sluice-environment": "prod", "deployment-tool": "cli-gcloud" };
const ids = (options: Parameters<typeof observations>[0]): string[] => observations(options).map(({ id }) => id);

/** As the tools print one asset's parts. */
function printed(hash: string): Record<string, unknown> {
  const settings = {
    ackDeadlineSeconds: 600,
    messageRetentionDuration: "604800s",
    expirationPolicy: {},
    retryPolicy: { minimumBackoff: "10s", maximumBackoff: "600s" },
    deadLetterPolicy: { deadLetterTopic: `${P}/topics/dead-letters`, maxDeliveryAttempts: 100 },
    state: "ACTIVE",
  };
  const url = "https://asset-a-n0-x7-ew.a.run.app";
  return {
    "number own-project": { projectId: "own-project", projectNumber: "4711", lifecycleState: "ACTIVE" },
    functions: [
      {
        name: `${R}/functions/asset-a-n0`,
        environment: "GEN_2",
        state: "ACTIVE",
        labels: { ...labels, "sluice-hash": hash },
        serviceConfig: {
          uri: url,
          serviceAccountEmail: "fn-a0-account@own-project.iam.gserviceaccount.com",
          ingressSettings: "ALLOW_INTERNAL_ONLY",
        },
      },
      { name: `${R}/functions/older`, environment: "GEN_1" },
    ],
    topics: [{ name: `${P}/topics/asset.a.n0`, labels }, { name: `${P}/topics/theirs` }],
    subscriptions: [
      {
        name: `${P}/subscriptions/asset.a.n0`,
        topic: `${P}/topics/asset.a.n0`,
        labels,
        pushConfig: {
          pushEndpoint: `${url}/asset.a.n0`,
          oidcToken: { serviceAccountEmail: "sluice-push@own-project.iam.gserviceaccount.com", audience: url },
        },
        ...settings,
      },
      {
        name: `${P}/subscriptions/dead-letters`,
        topic: `${P}/topics/dead-letters`,
        labels,
        ackDeadlineSeconds: 600,
        messageRetentionDuration: "2678400s",
        expirationPolicy: {},
      },
    ],
    schedules: [
      {
        name: `${R}/jobs/schedule-a-n0`,
        description: "Sluice prod: asks for a/n0",
        schedule: "9 0 * * *",
        timeZone: "UTC",
        pubsubTarget: { topicName: `${P}/topics/asset.a.n0`, data: "e30=" },
        state: "ENABLED",
      },
    ],
    queues: [
      {
        name: `${R}/queues/sluice`,
        rateLimits: { maxBurstSize: 100, maxDispatchesPerSecond: 500, maxConcurrentDispatches: 1000 },
        retryConfig: { maxAttempts: -1, minBackoff: "1s", maxBackoff: "300s", maxDoublings: 16 },
        state: "RUNNING",
      },
    ],
    accounts: [
      {
        email: "fn-a0-account@own-project.iam.gserviceaccount.com",
        displayName: "Sluice prod: fn-a0-account",
        description: "runs what functions/a0.ts defines",
      },
      { email: "4711-compute@developer.gserviceaccount.com", displayName: "Default compute service account" },
    ],
    "policy project own-project": { bindings: [], etag: "BwX=", version: 1 },
    notifications: [
      {
        "Bucket URL": "gs://drops/",
        "Notification Configuration": {
          id: "3",
          topic: `//pubsub.googleapis.com/${P}/topics/bucket.drops`,
          event_types: ["OBJECT_FINALIZE"],
          payload_format: "JSON_API_V1",
        },
      },
    ],
    buckets: [{ name: "own-project-sluice-staging", location: "EU", storage_url: "gs://own-project-sluice-staging/" }],
    datasets: [
      { kind: "bigquery#dataset", id: "own-project:set0", datasetReference: { datasetId: "set0" }, location: "EU" },
    ],
  };
}

const texts = (values: Readonly<Record<string, unknown>>): Map<string, string | null> =>
  new Map(Object.entries(values).map(([id, value]) => [id, value === null ? null : JSON.stringify(value)]));

const manifest = manifestOf(varied(1));
const wanted = wantedOf(manifest);
const hash = wanted.items.get("function asset-a-n0")?.facts?.["hash"] ?? "";

describe("what the tools print", () => {
  test("of what is as wanted shows no drift", () => {
    const there = observed({ manifest, state: undefined }, texts(printed(hash)));
    for (const id of [
      "function asset-a-n0",
      "topic asset.a.n0",
      "subscription asset.a.n0",
      "subscription dead-letters",
      "queue sluice",
      "account fn-a0-account",
      "notification drops to bucket.drops",
    ]) {
      const item = wanted.items.get(id);
      assert.ok(item, id);
      assert.deepEqual(
        decide(item, undefined, { observed: there, made: new Set() }),
        { kind: "unchanged", adopted: true },
        id,
      );
    }
    // Lists do not show all of these, so that only what was recorded is known to be the same.
    for (const id of ["schedule schedule-a-n0", "bucket own-project-sluice-staging", "dataset set0"]) {
      const item = wanted.items.get(id);
      assert.ok(item, id);
      assert.deepEqual(
        decide(item, recordOf(item), { observed: there, made: new Set() }),
        { kind: "unchanged", adopted: false },
        id,
      );
      assert.equal(decide(item, undefined, { observed: there, made: new Set() }).kind, "step", id);
    }
    assert.equal(there.values.get("number:own-project"), "4711");
    assert.deepEqual(there.off, []);
    const ours = [...there.found.values()].filter((one) => one.ours).map(({ id }) => id);
    assert.ok(
      !ours.includes("topic theirs") && !ours.includes("function older") && ours.includes("schedule schedule-a-n0"),
    );
  });

  const table: readonly (readonly [
    what: string,
    id: string,
    change: (all: ReturnType<typeof printed>) => void,
    reason: RegExp,
  ])[] = [
    [
      "a subscription without a retry policy",
      "subscription asset.a.n0",
      (all) => delete at(all, "subscriptions")["retryPolicy"],
      /its backoff is none to none and should be 10s to 600s/,
    ],
    [
      "a subscription that expires",
      "subscription asset.a.n0",
      (all) => (at(all, "subscriptions")["expirationPolicy"] = { ttl: "2678400s" }),
      /its expiration is 2678400s and should be never/,
    ],
    [
      "a subscription without dead letters",
      "subscription asset.a.n0",
      (all) => delete at(all, "subscriptions")["deadLetterPolicy"],
      /dead letters is none after 0/,
    ],
    [
      "a subscription that pulls",
      "subscription asset.a.n0",
      (all) => (at(all, "subscriptions")["pushConfig"] = {}),
      /push endpoint is nothing/,
    ],
    [
      "a function that is open",
      "function asset-a-n0",
      (all) => (at(all, "functions")["serviceConfig"] = { ingressSettings: "ALLOW_ALL" }),
      /ingress is ALLOW_ALL/,
    ],
    [
      "a function whose build has failed",
      "function asset-a-n0",
      (all) => (at(all, "functions")["state"] = "FAILED"),
      /state is FAILED/,
    ],
    [
      "a queue that gives up",
      "queue sluice",
      (all) => (at(all, "queues")["retryConfig"] = { maxAttempts: 5, minBackoff: "1s", maxBackoff: "300s" }),
      /attempts is 5/,
    ],
  ];
  for (const [what, id, change, reason] of table) {
    test(`${what} is put right`, () => {
      const all = printed(hash);
      change(all);
      const item = wanted.items.get(id);
      assert.ok(item);
      const there = observed({ manifest, state: undefined }, texts(all));
      const decision = decide(item, recordOf(item), { observed: there, made: new Set() });
      assert.equal(decision.kind === "step" && decision.action, "update");
      assert.match(decision.kind === "step" ? decision.reason : "", reason);
    });
  }

  test("two notifications for one topic become one", () => {
    const all = printed(hash);
    const [first] = all["notifications"] as Record<string, Record<string, unknown>>[];
    const second = { ...first, "Notification Configuration": { ...first?.["Notification Configuration"], id: "4" } };
    const there = observed({ manifest, state: undefined }, texts({ ...all, notifications: [first, second] }));
    const item = wanted.items.get("notification drops to bucket.drops");
    assert.ok(item);
    const decision = decide(item, recordOf(item), { observed: there, made: new Set() });
    assert.ok(decision.kind === "step");
    assert.deepEqual(
      decision.calls.map((call) => ("args" in call ? call.args.slice(2, 5).join(" ") : "")),
      [
        "notifications delete projects/_/buckets/drops/notificationConfigs/3",
        "notifications delete projects/_/buckets/drops/notificationConfigs/4",
        "notifications create gs://drops",
      ],
    );
  });

  for (const fields of [{}, EVENTARC])
    test(`what a bucket announces that nobody watches any more is found and deleted ${JSON.stringify(fields)}`, () => {
      const later = wantedOf(manifestOf(varied(1), fields));
      const id = "notification old to bucket.old";
      const state = { ...emptyState(manifest), resources: { [id]: { hash: "h", on: ["topic bucket.old"] } } };
      const asked = observations({ manifest: later.manifest, state, refresh: false });
      const left = asked.find(({ call }) => call.args.includes("gs://old"));
      assert.deepEqual(left?.call.args.slice(0, 5), ["storage", "buckets", "notifications", "list", "gs://old"]);
      const [drops] = printed(hash)["notifications"] as Record<string, Record<string, unknown>>[];
      const known = "triggers" in fields ? {} : { notifications: [drops] };
      const calls = (list: unknown): readonly string[] | undefined => {
        const outputs = texts({ ...known, [left?.id ?? ""]: list });
        const made = plan(later, observed({ manifest: later.manifest, state }, outputs), { prune: true });
        assert.ok(id in made.records || made.steps.some((step) => step.id === id), "it is forgotten, or deleted");
        return made.steps
          .find((step) => step.id === id)
          ?.calls.flatMap((call) => ("args" in call ? [call.args.slice(2, 5).join(" ")] : []));
      };
      const topic = `//pubsub.googleapis.com/${P}/topics/bucket.old`;
      const one = {
        "Bucket URL": "gs://old/",
        "Notification Configuration": { ...drops?.["Notification Configuration"], id: "9", topic },
      };
      assert.deepEqual(calls([one]), ["notifications delete projects/_/buckets/old/notificationConfigs/9"]);
      assert.equal(calls([]), undefined);
      // The bucket itself is gone.
      assert.equal(calls(null), undefined);
    });

  test("an API that is off means that nothing is there, and that it is to be enabled again", () => {
    const nothing = Object.fromEntries(Object.keys(printed("")).map((id) => [id, null]));
    const there = observed({ manifest, state: undefined }, texts(nothing));
    const first = plan(wanted, there, { prune: false });
    assert.equal(first.steps.filter(({ action }) => action !== "create").length, 0);
    const state = {
      ...emptyState(manifest),
      resources: { "apis project": recordOf(wanted.items.get("apis project") ?? assert.fail()) },
    };
    const later = plan(wanted, observed({ manifest, state }, texts({ ...printed(hash), schedules: null })), {
      prune: false,
    });
    assert.match(later.steps.find(({ kind }) => kind === "apis")?.reason ?? "", /^some are off: schedules$/);
  });

  test("fields of the database are compared with what lists say of indexes, and of times to live", () => {
    const group = `${P}/databases/(default)/collectionGroups/sluice_runs/fields`;
    const own = (field: string, ...ways: readonly object[]): object => ({
      name: `${group}/${field}`,
      indexConfig: {
        indexes: ways.map((way) => ({ queryScope: "COLLECTION", fields: [{ fieldPath: field, ...way }] })),
      },
    });
    const contains = { arrayConfig: "CONTAINS" };
    const reasons = (fields: readonly object[], ttls: readonly object[]): readonly string[] => {
      const there = observed({ manifest, state: undefined }, texts({ ...printed(hash), fields, ttls }));
      return ["*", "manifests", "expireAt"].map((field) => {
        const item = wanted.items.get(`field sluice_runs.${field}`) ?? assert.fail(field);
        const decision = decide(item, recordOf(item), { observed: there, made: new Set() });
        return decision.kind === "step" ? `${decision.action}: ${decision.reason}` : decision.kind;
      });
    };
    const expiry = { name: `${group}/expireAt`, ttlConfig: { state: "ACTIVE" } };
    assert.deepEqual(reasons([own("*"), own("manifests", contains)], [expiry]), [
      "unchanged",
      "unchanged",
      "unchanged",
    ]);
    assert.deepEqual(reasons([own("*", { order: "ASCENDING" }, contains), own("expireAt")], []), [
      "update: its indexes is ORDER,CONTAINS and should be nothing",
      "create: was deployed, and is gone",
      "update: its ttl is off and should be on",
    ]);
  });

  test("what is no such list is refused with its name", () => {
    assert.throws(
      () => observed({ manifest, state: undefined }, new Map([["topics", "WARNING: x"]])),
      /the list of topics is not JSON: WARNING: x/,
    );
    assert.throws(
      () => observed({ manifest, state: undefined }, new Map([["queues", '[{"nam":1}]']])),
      /the list of queues is not what gcloud prints: 0.name/,
    );
    const none = observed({ manifest, state: undefined }, new Map([["datasets", "\n"]]));
    assert.ok(none.looked.has("dataset"));
  });

  test("the subscription of a trigger is found by its function", () => {
    const standard = manifestOf(varied(1), EVENTARC);
    const all = printed("");
    at(all, "functions")["eventTrigger"] = { trigger: `${R}/triggers/asset-a-n0-1` };
    const subscription = `${P}/subscriptions/eventarc-europe-west1-asset-a-n0-1-sub-2`;
    at(all, "subscriptions")["name"] = subscription;
    all["triggers"] = [{ name: `${R}/triggers/asset-a-n0-1`, transport: { pubsub: { subscription } } }];
    const there = observed({ manifest: standard, state: undefined }, texts(all));
    assert.equal(there.values.get("trigger-subscription:asset-a-n0"), subscription);
    const item = wantedOf(standard).items.get("trigger asset-a-n0");
    assert.ok(item);
    assert.deepEqual(decide(item, recordOf(item), { observed: there, made: new Set() }), {
      kind: "unchanged",
      adopted: false,
    });
    at(all, "subscriptions")["ackDeadlineSeconds"] = 10;
    const again = observed({ manifest: standard, state: undefined }, texts(all));
    assert.equal(decide(item, recordOf(item), { observed: again, made: new Set() }).kind, "step");
  });
});

test("nothing has to be known before it can be asked", () => {
  for (const form of [{}, EVENTARC])
    for (const { id, call } of observations({ manifest: manifestOf(varied(3), form), state: undefined, refresh: true }))
      assert.doesNotMatch(call.args.join(" "), /[{}]/, id);
});

test("the number of calls does not follow the number of assets", () => {
  const many = manifestOf(varied(200), { quotas: { serviceAccounts: 300 } });
  const state = { ...emptyState(many), numbers: { "own-project": "4711" } };
  assert.ok(ids({ manifest: many, state, refresh: false }).length <= 10);
  assert.ok(
    ids({ manifest: manifestOf(varied(200), { ...EVENTARC, quotas: { serviceAccounts: 300 } }), state, refresh: false })
      .length <= 11,
  );
  const all = ids({ manifest, state: undefined, refresh: true });
  assert.equal(new Set(all).size, all.length);
  for (const id of ["apis", "indexes", "fields", "policy topic asset.a.n0", "policy dataset set0"])
    assert.ok(all.includes(id), id);
});

function at(all: Record<string, unknown>, list: string): Record<string, unknown> {
  // The lists above.
  const [first] = all[list] as Record<string, unknown>[];
  assert.ok(first);
  return first;
}
