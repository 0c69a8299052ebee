import assert from "node:assert/strict";
import { test } from "node:test";
import { assetCheck, asset, bigqueryTable, check, externalAsset, parquetFiles, resource, secret, sql } from "sluice";
import { z } from "zod";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { allNeeds } from "../../lib/core/definitions.ts";
import { verdictOf } from "../../lib/core/function-check.ts";
import { unitsOf } from "../../lib/core/units.ts";

const schema = z.object({ id: z.string(), score: z.number() });
const scores = asset({
  key: "a/scores",
  schema,
  ioManager: bigqueryTable(),
  materialize: () => [{ id: "x", score: 1 }],
});
const api = resource({ needs: secret("limits").needs, create: () => ({ limit: () => 3 }) });

test("a check has the rows of its asset, and the clients of its resources", () => {
  const made = assetCheck({
    asset: scores,
    name: "below_limit",
    blocking: true,
    resources: { api, token: secret("token") },
    async evaluate({ rows, partition, table }, resources) {
      const limit: number = resources.api.limit();
      const token: string = resources.token;
      // @ts-expect-error: no such resource
      void resources.other;
      for await (const row of rows()) {
        const { id, score }: { id: string; score: number } = row;
        if (score > limit) return { passed: false, message: `${id} of ${partition?.key}`, metadata: { token, score } };
        // @ts-expect-error: no such column
        void row.tier;
      }
      return table !== undefined;
    },
  });
  assert.equal(made.rule.kind, "function");
  assert.deepEqual([made.blocking, made.severity, made.asset], [true, "error", "a/scores"]);
  // @ts-expect-error: an answer is true, false or says whether it passed
  assetCheck({ asset: scores, name: "x", evaluate: () => ({ message: "no" }) });
  // @ts-expect-error: metadata is JSON
  assetCheck({ asset: scores, name: "x", evaluate: () => ({ passed: true, metadata: { at: new Date() } }) });
});

test("inline, the rows have the types of the schema that the check is given", () => {
  const plain = check.custom("plain", async ({ rows }) => {
    for await (const row of rows()) if (row["id"] === "") return false;
    return true;
  });
  const typed = check.custom(
    "typed",
    async ({ rows }, { token }) => {
      for await (const row of rows()) {
        const score: number = row.score;
        const text: string = token;
        if (score < text.length) return false;
      }
      return true;
    },
    { schema, resources: { token: secret("token") }, severity: "warn", description: "why" },
  );
  assert.deepEqual([plain.name, plain.blocking, plain.severity], ["plain", true, "error"]);
  assert.deepEqual([typed.blocking, typed.severity, typed.description], [false, "warn", "why"]);
});

test("a check looks at exactly one thing", () => {
  const evaluate = () => true;
  const message = /the check x needs exactly one of sql, rowCount and evaluate/;
  // @ts-expect-error: not both
  assert.throws(() => assetCheck({ asset: scores, name: "x", sql: sql`SELECT 1`, evaluate }), message);
  // @ts-expect-error: not both
  assert.throws(() => assetCheck({ asset: scores, name: "x", rowCount: { min: 1 }, evaluate }), message);
  assert.throws(() => assetCheck({ asset: scores, name: "x" }), message);
});

test("an answer is whether it passed, or that and more; anything else is no answer", () => {
  assert.deepEqual(verdictOf("c", true), { passed: true });
  assert.deepEqual(verdictOf("c", { passed: false, message: "m", metadata: { n: 1 } }), {
    passed: false,
    message: "m",
    metadata: { n: 1 },
  });
  assert.equal(verdictOf("c", { passed: false, message: "x".repeat(5_000) }).message?.length, 2_000);
  for (const answer of [undefined, null, 1, "true", [], {}, { passed: "no" }, { passed: true, mesage: "x" }])
    assert.throws(() => verdictOf("c", answer), { code: "bad-check", message: /the check c gave no answer/ });
  for (const value of [1n, NaN, new Date(), undefined, () => 1])
    assert.throws(() => verdictOf("c", { passed: true, metadata: { value } }), { code: "bad-check" });
  assert.throws(
    () => verdictOf("c", { passed: true, metadata: { text: "x".repeat(200_001) } }),
    /leave some of it out/,
  );
});

test("what a check touches reaches the needs of its asset's function, from whichever file it comes", () => {
  const own = asset({
    key: "a/own",
    target: "d.own",
    checks: [check.custom("own", () => true, { resources: { token: secret("inline-token") } })],
    materialize: async () => undefined,
  });
  const beside = assetCheck({ asset: scores, name: "beside", resources: { api }, evaluate: () => true });
  const crm = externalAsset({ key: "a/crm", table: "crm.accounts" });
  const looked = assetCheck({ asset: crm, name: "looked", resources: { api }, evaluate: () => true });
  const { definitions, problems } = collectDefinitions([
    { file: "functions/a.ts", exports: { scores, own, crm } },
    { file: "functions/quality.ts", exports: { beside, looked } },
  ]);
  assert.deepEqual(problems, []);
  const needsOf = (key: string) => {
    const definition = definitions.assets.get(key);
    assert.ok(definition !== undefined);
    return allNeeds(definitions, definition).map((need) => (need.kind === "secret" ? need.name : need.kind));
  };
  assert.ok(needsOf("a/own").includes("inline-token"));
  assert.ok(needsOf("a/scores").includes("limits"));
  assert.deepEqual(needsOf("a/crm"), ["limits", "read-dataset", "run-jobs"]);
  const unit = unitsOf(definitions).find(({ id }) => id === "asset a/scores");
  assert.deepEqual(unit?.files, ["functions/a.ts", "functions/quality.ts"]);
});

test("without a table, a check that could only look at one is refused, and code is not", () => {
  const loose = { blocking: false } as const;
  const none = { key: "a/none", target: "none", materialize: async () => undefined } as const;
  const kept = {
    key: "a/kept",
    schema,
    ioManager: parquetFiles({ location: "gs://files/kept" }),
    materialize: () => [],
  };
  const message = /the check (row_count|unique_id) looks at a table, and a\/(none|kept) has none/;
  assert.throws(() => asset({ ...none, checks: [check.rowCount({ min: 1 }, loose)] }), message);
  assert.throws(() => asset({ ...kept, checks: [check.unique("id", loose)] }), message);
  assert.throws(
    () => asset({ ...none, checks: [check.custom("c", () => true)] }),
    /no managed table, so the check c cannot block/,
  );
  const made = asset({ ...none, checks: [check.custom("c", () => true, loose)] });
  assert.deepEqual(
    made.needs.map(({ kind }) => kind),
    ["run-jobs"],
  );
  asset({ ...kept, checks: [check.rowCount({ min: 1 }, loose), check.custom("c", () => true, loose)] });

  const plain = asset(none);
  const beside = assetCheck({ asset: plain, name: "itself", sql: sql`SELECT 1 FROM ${plain}` });
  const { problems } = collectDefinitions([{ file: "functions/a.ts", exports: { plain, beside } }]);
  assert.deepEqual(
    problems.map(({ message: what, where }) => [what, where]),
    [["the check itself looks at a table, and a/none has none", "functions/a.ts beside"]],
  );
});
