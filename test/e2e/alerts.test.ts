/** Alerts on one machine, from a failing run to what a receiver reads: by a process that stays, and by a single command. */
import assert from "node:assert/strict";
import { env } from "node:process";
import { after, test } from "node:test";
import { PermanentError, alert, asset, bigquery, check, pool, pubsubTopic, secret, sql, webhook } from "sluice";
import { z } from "zod";
import { localPlatform } from "../support/local-platform.ts";
import { receiver } from "../support/receiver.ts";
import type { Received } from "../support/receiver.ts";
import { temporaryProject } from "../support/sluice-command.ts";

const VARIABLES = ["HOOK_JSON", "HOOK_SLACK", "HOOK_DISCORD"];
after(() => VARIABLES.forEach((name) => delete env[name]));

const jsonSchema = z.looseObject({
  id: z.string(),
  type: z.string(),
  subject: z.string(),
  command: z.string(),
  count: z.int(),
});
const broken = asset({
  key: "crm/broken",
  pool: "crm",
  materialize: (): Promise<undefined> => Promise.reject(new PermanentError("no such table: <crm>")),
});
const empty = asset({
  key: "crm/empty",
  pool: "crm",
  resources: { bigquery: bigquery() },
  checks: [check.rowCount({ min: 1 })],
  materialize: async ({ target }, { bigquery: warehouse }) => {
    await warehouse.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 1 AS n FROM UNNEST([1]) WHERE FALSE`);
  },
});
const hook = (name: "json" | "slack" | "discord") => webhook({ url: secret(`hook-${name}`), format: name });
const exports = {
  crm: pool({ name: "crm", limit: 1 }),
  broken,
  empty,
  json: alert({ on: ["run.failed", "check.failed"], to: hook("json") }),
  slack: alert({ on: ["run.failed"], assets: "crm/broken", to: hook("slack") }),
  discord: alert({ on: ["run.failed"], assets: "crm/broken", to: hook("discord") }),
  topic: alert({ on: ["run.failed"], to: pubsubTopic("sluice-alerts") }),
};

test("each receiver gets its own form, once, and no run waits for one that is slow to come back", async () => {
  let refusals = 2;
  await using to = await receiver(({ path }) =>
    path === "/json" && refusals-- > 0 ? { status: 503, headers: {} } : { status: 200 },
  );
  env["HOOK_JSON"] = `${to.url}/json`;
  env["HOOK_SLACK"] = `${to.url}/slack`;
  env["HOOK_DISCORD"] = `${to.url}/discord`;
  await using platform = await localPlatform({ exports });
  await platform.publish("asset.crm.broken", {});
  await platform.publish("asset.crm.empty", {});
  await platform.quiet();
  const runs = await platform.allRuns();
  assert.deepEqual(runs.map(({ name, status }) => `${name} ${status}`).sort(), [
    "crm/broken failed",
    "crm/empty failed",
  ]);
  const by = (path: string): readonly Received[] => to.received.filter((request) => request.path === path);
  assert.deepEqual([by("/slack").length, by("/discord").length], [1, 1]);
  const run = runs.find(({ name }) => name === "crm/broken")?.id ?? "";
  assert.match(
    JSON.stringify(by("/slack")[0]?.body),
    new RegExp(`"blocks".*crm/broken failed.*npx sluice events --run ${run}`),
  );
  assert.match(
    JSON.stringify(by("/discord")[0]?.body),
    /"embeds":\[\{"title":"crm\/broken failed","description":"```\\nno such table: <crm>\\n```"/,
  );
  assert.equal(by("/slack")[0]?.headers["idempotency-key"]?.length, 16);

  const sent = await platform.eventsOf("alert.sent");
  assert.deepEqual(sent.map(({ alert: name, about }) => `${name}: ${about}`).sort(), [
    "discord: run.failed crm/broken",
    "slack: run.failed crm/broken",
    "topic: run.failed crm/broken",
    "topic: run.failed crm/empty",
  ]);
  const late = await platform.eventsOf("alert.delayed");
  assert.deepEqual(late.map(({ about }) => about).sort(), [
    "check.evaluated crm/empty row_count",
    "run.failed crm/broken",
  ]);
  for (const { reason } of late)
    assert.match(reason, /^the receiver behind the secret hook-json answered 503; see to /);
  // The two that the receiver refused wait for their next try, and nothing else does.
  const waiting = await platform.events.due({ now: Number.MAX_SAFE_INTEGER, limit: 10 });
  assert.equal(waiting.filter((entry) => entry.alert !== undefined).length, 2);
  assert.equal(waiting.length, 2);
  const history = JSON.stringify(await platform.history());
  assert.ok(!history.includes(to.url), "an address is in no event");
});

test("a single command tells of its own failure, and says how fresh things are", async () => {
  await using to = await receiver();
  env["HOOK_JSON"] = to.url;
  const project = temporaryProject({
    "crm.ts": `import { PermanentError, alert, asset, secret, webhook } from "sluice";
export const accounts = asset({
  key: "crm/accounts",
  freshness: { within: "26h" },
  materialize: () => Promise.reject(new PermanentError("the CRM is closed")),
});
export const people = asset({ key: "crm/people", freshness: { by: "0 9 * * *" }, materialize: async () => undefined });
export const failures = alert({ on: ["run.failed"], to: webhook({ url: secret("hook-json") }) });
`,
  });
  try {
    const failed = await project.sluice("materialize", "crm/accounts");
    assert.equal(failed.code, 1, failed.stderr);
    const [got] = to.received.map(({ body }) => jsonSchema.parse(body));
    assert.deepEqual([to.received.length, got?.type, got?.subject, got?.count], [1, "run.failed", "crm/accounts", 1]);
    // What it says works as it stands.
    const [, , ...args] = got?.command.split(" ") ?? [];
    assert.match((await project.sluice(...args)).stdout, /the CRM is closed/);

    assert.equal((await project.sluice("materialize", "crm/people")).code, 0);
    const listed = z.object({
      assets: z.array(z.looseObject({ key: z.string(), freshnessNow: z.looseObject({ status: z.string() }) })),
    });
    const { assets } = listed.parse(await project.json("list"));
    assert.deepEqual(assets.map(({ key, freshnessNow }) => `${key} ${freshnessNow.status}`).sort(), [
      "crm/accounts unknown",
      "crm/people fresh",
    ]);
    assert.match(
      (await project.sluice("why", "crm/people")).stdout,
      /fresh: it was materialized at .* \(by 0 9 \* \* \* \(UTC\)\)/,
    );
    assert.match(
      (await project.sluice("show", "crm/accounts")).stdout,
      /freshness +unknown: there is no data yet \(within 26h\)/,
    );
    assert.equal(to.received.length, 1, "nobody is told twice");
  } finally {
    await project.remove();
  }
});
