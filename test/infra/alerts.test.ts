/** What alerts, pools and freshness policies become in a deployment: rights of the one function that sends, and nothing of others. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { alert, asset, daily, job, pool, pubsubTopic, secret, webhook } from "sluice";
import { messageOf } from "../../lib/core/errors.ts";
import { stubOf } from "../../lib/core/stub.ts";
import * as documented from "../support/policies.ts";
import { bindingLine, compiled, definitionsOf, environment } from "../support/infra.ts";

const materialize = async (): Promise<undefined> => undefined;
const accounts = asset({
  key: "crm/accounts",
  partitions: daily(),
  freshness: { by: "0 9 * * *", timeZone: "Europe/Berlin" },
  pool: "crm",
  materialize,
});
const cleaning = job({ name: "cleaning", pool: "crm", run: materialize });
const plain = definitionsOf({ "crm.ts": { accounts, cleaning, crm: pool({ name: "crm", limit: 2 }) } });
const told = definitionsOf({
  "crm.ts": { accounts, cleaning, crm: pool({ name: "crm", limit: 2 }) },
  "alerts.ts": {
    failures: alert({
      on: ["run.failed"],
      assets: "crm/*",
      to: webhook({ url: secret("slack_url"), format: "slack" }),
    }),
    topic: alert({ on: ["freshness", "message.dead-lettered"], to: pubsubTopic("sluice-alerts") }),
  },
});
const configOf = (made: ReturnType<typeof compiled>, unit: string): unknown => {
  const found = made.manifest.functions.find((each) => each.unit === unit) ?? assert.fail(`no ${unit}`);
  const { alerts } = JSON.parse(found.env["SLUICE_CONFIG"] ?? "{}") as { readonly alerts?: unknown }; // as it was written
  return alerts;
};

describe("a deployment with alerts", () => {
  const made = compiled(told, { consoleUrl: "https://sluice.example.org", namePrefix: "dev-", datasetSuffix: "_dev" });

  test("has no problems, and makes the topic", () => {
    assert.deepEqual(made.problems, []);
    assert.ok(made.manifest.topics.some(({ name }) => name === "dev-sluice-alerts"));
  });

  test("lets reconcile alone read the address and publish", () => {
    const lines = made.manifest.bindings.map(bindingLine).filter((line) => /slack_url|sluice-alerts/.test(line));
    assert.deepEqual(lines.sort(), [
      "dev-sluice-reconcile pubsub.publisher topic:dev-sluice-alerts",
      "dev-sluice-reconcile secretmanager.secretAccessor secret:slack_url",
    ]);
    const reading = made.manifest.functions.filter(({ secrets }) => secrets.includes("slack_url"));
    assert.deepEqual(
      reading.map(({ unit }) => unit),
      ["reconcile"],
    );
  });

  test("tells every function what is to be noticed, and the sender where it is", () => {
    const on = ["run.failed", "freshness", "message.dead-lettered"];
    assert.deepEqual(configOf(made, "asset crm/accounts"), { on });
    assert.deepEqual(configOf(made, "reconcile"), {
      on,
      environment: "prod",
      consoleUrl: "https://sluice.example.org",
    });
    assert.equal(configOf(compiled(plain), "reconcile"), undefined, "without alerts nothing is said");
  });
});

test("a console's address is one", () => {
  assert.throws(
    () => environment({ consoleUrl: "sluice.example.org" }),
    (error: unknown) => /prod\.consoleUrl: is no address/.test(messageOf(error)),
  );
});

describe("stubs", () => {
  test("carry a policy to whoever looks at deadlines, and to nobody else", () => {
    const asset_ = plain.assets.get("crm/accounts") ?? assert.fail("no asset");
    assert.ok(!("freshness" in stubOf(asset_)));
    const stub = stubOf(asset_, { deadlines: true });
    assert.deepEqual(stub.kind === "asset" && stub.freshness, accounts.freshness);
  });

  test("of pools and alerts are data", () => {
    const found = plain.pools.get("crm") ?? assert.fail("no pool");
    assert.deepEqual(stubOf(found), { kind: "pool", name: "crm", limit: 2 });
    const failures = told.alerts.get("failures") ?? assert.fail("no alert");
    assert.deepEqual(JSON.parse(JSON.stringify(stubOf({ ...failures, keys: ["crm/accounts"] }))), {
      kind: "alert",
      name: "failures",
      on: ["run.failed"],
      to: { kind: "webhook", secret: "slack_url", format: "slack" },
      quietMs: 3_600_000,
      keys: ["crm/accounts"],
      needs: [{ kind: "secret", name: "slack_url", reason: "the alert is sent to the address in it" }],
    });
  });
});

test("what docs/policies.md says is what an author may write", () => {
  assert.deepEqual(compiled(definitionsOf({ "policies.ts": { ...documented } })).problems, []);
});
