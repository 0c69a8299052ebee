import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { assetCheck } from "../../lib/core/check.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { allChecks } from "../../lib/core/definitions.ts";
import { subscriptionsOf, watchedBuckets } from "../../lib/core/subscriptions.ts";
import type { LoadedModule } from "../../lib/core/collect.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { combineResponses, filterResponse } from "../../lib/core/factory-response.ts";
import { job } from "../../lib/core/job.ts";
import { assetSensor, objectSensor, skip } from "../../lib/core/sensor.ts";
import { sql } from "../../lib/core/sql.ts";
import { sqlAsset } from "../../lib/core/sql-asset.ts";

function made(key: string, more: { deps?: readonly string[]; table?: string; project?: string } = {}): AssetDefinition {
  const { deps = [], table, project } = more;
  return asset({
    key,
    deps,
    ...(table === undefined
      ? {}
      : { target: { table: { ...(project === undefined ? {} : { project }), dataset: "d", table }, slot: "table" } }),
    materialize: async () => undefined,
  });
}
const tidy = job({ name: "tidy", run: async () => undefined });
const other = job({ name: "other", run: async () => undefined });
const watching = (name: string, watched: AssetDefinition, requested = tidy) =>
  assetSensor({ name, asset: watched, job: requested, evaluate: () => skip("no") });
const checking = (checked: { readonly key: string }, blocking = false, name = "check") =>
  assetCheck({ asset: checked, name, blocking, sql: sql`SELECT 1` });

/** A module as it was loaded, or what `functions/<its position>.ts` exports. */
type Module = Readonly<Record<string, unknown>> | LoadedModule;

function collect(...modules: readonly Module[]) {
  return collectDefinitions(
    modules.map((module, index): LoadedModule => {
      // An export called file is not among those below.
      return "file" in module ? (module as LoadedModule) : { file: `functions/${index + 1}.ts`, exports: module };
    }),
  );
}
const problemsOf = (...modules: readonly Module[]): string[] => collect(...modules).problems.map(messageOf);

describe("what is collected", () => {
  const [a, b] = [made("a"), made("b")];

  test("definitions of every kind, alone, in arrays within arrays, and in factory responses", () => {
    const check = checking(a);
    const sensor = watching("s", a);
    const { definitions, problems } = collect(
      {
        a,
        list: [[[b]], { assets: [made("c")], sensors: [sensor], jobs: [tidy], checks: [check] }],
        text: "x",
        no: null,
      },
      { helper: () => 1, plain: { assets: "none" }, alone: other },
    );
    assert.deepEqual(problems, []);
    assert.deepEqual([...definitions.assets.keys()], ["a", "b", "c"]);
    assert.deepEqual([...definitions.jobs.keys()], ["tidy", "other"]);
    assert.deepEqual([...definitions.sensors.keys()], ["s"]);
    assert.deepEqual(definitions.checks, [check]);
    assert.equal(definitions.places.get("asset c"), "functions/1.ts list");
    assert.equal(definitions.places.get("job other"), "functions/2.ts alone");
    assert.deepEqual(allChecks(definitions, a), [check]);
    assert.deepEqual(allChecks(definitions, b), []);
  });

  test("the same object once, however often it is exported; a list that holds itself too", () => {
    const circle: unknown[] = [a];
    circle.push(circle);
    const response = { assets: [a], jobs: [tidy] };
    const { definitions, problems } = collect({ a, again: a, circle, response }, { default: response, a });
    assert.deepEqual(problems, []);
    assert.equal(definitions.assets.size, 1);
    assert.equal(definitions.places.get("asset a"), "functions/1.ts a");
  });

  test("nothing of a module that exports nothing", () => {
    assert.deepEqual(problemsOf({}, { file: "functions/x.ts" }), []);
  });
});

describe("what is wrong is said with its place and a remedy", () => {
  const [a, b] = [made("a"), made("b")];
  const cases: readonly (readonly [string, readonly Module[], readonly string[]])[] = [
    [
      "a module that throws",
      [{ file: "functions/bad.ts", error: new Error("boom\n  at line 2") }],
      ["functions/bad.ts: boom at line 2"],
    ],
    [
      "a module that throws something else",
      [{ file: "functions/bad.ts", error: "thrown text" }],
      ["functions/bad.ts: thrown text"],
    ],
    [
      "a module with a bad definition",
      [{ file: "functions/bad.ts", error: new DefinitionError("no", { where: "x.retentionDays", remedy: "give 1" }) }],
      ["functions/bad.ts x.retentionDays: no (give 1)"],
    ],
    [
      "one key in two files",
      [{ a }, { b, second: made("a") }],
      ["functions/2.ts second: asset a is defined here and in functions/1.ts a (give one of them another name)"],
    ],
    [
      "one name twice in one export",
      [{ jobs: [tidy, job({ name: "tidy", run: async () => undefined })] }],
      ["functions/1.ts jobs: job tidy is defined twice here (give one of them another name)"],
    ],
    [
      "one check name twice for an asset",
      [{ a, one: checking(a), two: checking(a) }],
      ["functions/1.ts two: check a check is defined here and in functions/1.ts one (give one of them another name)"],
    ],
    [
      "an unknown dependency",
      [{ a: made("gitcoin/scores"), b: made("gitcoin/day", { deps: ["gitcoin/score"] }) }],
      ['functions/1.ts b: gitcoin/day depends on gitcoin/score, which is not defined (did you mean "gitcoin/scores"?)'],
    ],
    [
      "a cycle",
      [{ a: made("a", { deps: ["b"] }) }, { b: made("b", { deps: ["a"] }) }],
      ["functions/1.ts a: the dependencies run in a circle: a → b → a (take one of them out)"],
    ],
    [
      "an asset that depends on itself",
      [{ a: made("a", { deps: ["a"] }) }],
      ["functions/1.ts a: the dependencies run in a circle: a → a (take one of them out)"],
    ],
    [
      "two assets with one table, however it is spelled",
      [{ a: made("a", { table: "T" }), b: made("b", { table: "t" }) }],
      ["functions/1.ts b: b and a both write the table d.t (give one of them another table)"],
    ],
    [
      "a sensor that requests a job which is not exported",
      [{ a, s: watching("s", a) }],
      [
        "functions/1.ts s: sensor s requests the job tidy, which is not exported (export the job, or return it from the factory)",
      ],
    ],
    [
      "a sensor of an asset which is not exported",
      [{ s: watching("s", a), tidy }],
      ["functions/1.ts s: sensor s refers to the asset a, which is not defined (export that asset too)"],
    ],
    [
      "a sensor that requests an asset which is not exported",
      [{ a, s: assetSensor({ name: "s", asset: a, target: b, evaluate: () => skip("no") }) }],
      ['functions/1.ts s: sensor s refers to the asset b, which is not defined (known: "a")'],
    ],
    [
      "a check of an unknown asset",
      [{ c: checking({ key: "gone" }), a }],
      ['functions/1.ts c: check gone check refers to the asset gone, which is not defined (known: "a")'],
    ],
    [
      "a blocking check of an asset without a table",
      [{ a }, { c: checking(a, true) }],
      [
        "functions/2.ts c: a has no managed table, so the check check cannot block it (give the asset a target, or make the check non-blocking)",
      ],
    ],
  ];
  for (const [title, modules, expected] of cases) {
    test(title, () => {
      const { problems } = collect(...modules);
      assert.deepEqual(problems.map(messageOf), expected);
      assert.ok(problems.every((problem) => problem instanceof DefinitionError));
    });
  }

  test("all of it at once, and the good ones are there all the same", () => {
    const good = made("good", { table: "good" });
    const { definitions, problems } = collect(
      { file: "functions/bad.ts", error: new Error("boom") },
      { good, again: made("good") },
      { x: made("x", { deps: ["y"] }), y: made("y", { deps: ["x", "nowhere"] }) },
      { t: made("t", { table: "GOOD" }), check: checking(b, true), s: watching("s", a) },
    );
    const found = problems.map(messageOf).join("\n");
    const parts = [
      "boom",
      "defined here",
      "circle",
      "depends on nowhere",
      "both write",
      "the asset b",
      "the asset a",
      "the job tidy",
    ];
    for (const part of parts) assert.ok(found.includes(part), `${part} is not among\n${found}`);
    assert.equal(problems.length, parts.length);
    assert.equal(definitions.assets.get("good"), good);
    assert.equal(definitions.assets.size, 4);
  });

  test("a statement that reads an asset without a table", () => {
    const plain = made("a/plain");
    const tabled = made("a/tabled", { table: "t" });
    const reading = sqlAsset({ key: "a/reading", sql: sql`SELECT * FROM ${plain} JOIN ${tabled} USING (x)` });
    assert.deepEqual(problemsOf({ plain, tabled, reading }), [
      "functions/1.ts reading: the SQL of a/reading reads a/plain, which has no table (give a/plain a target, or name it in deps)",
    ]);
  });

  test("two checks of one name with one asset", () => {
    const check = { name: "same", blocking: false, severity: "error", rule: { kind: "row-count", min: 1 } } as const;
    const twice = asset({ key: "a", target: "d.a", checks: [check, check], materialize: async () => undefined });
    assert.deepEqual(problemsOf({ twice }), [
      "functions/1.ts twice: check a same is defined twice here (give one of them another name)",
    ]);
  });

  test("two checks of one name, one with the asset and one beside it", () => {
    const inlined = asset({
      key: "a",
      target: { table: { dataset: "d", table: "t" }, slot: "table" },
      checks: [{ name: "same", blocking: false, severity: "error", rule: { kind: "row-count", min: 1 } }],
      materialize: async () => undefined,
    });
    assert.deepEqual(problemsOf({ inlined }, { c: checking(inlined, false, "same") }), [
      "functions/2.ts c: check a same is defined here and in functions/1.ts inlined (give one of them another name)",
    ]);
  });
});

test("subscriptions: one for each receiver, and each bucket once", () => {
  const source = {
    pathBase: "p",
    fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)\.csv`,
    interval: "daily",
  };
  const days = asset({
    key: "x/days",
    source: { ...source, bucket: "drops", interval: "daily" },
    materialize: async () => undefined,
  });
  const { definitions, problems } = collect({
    days,
    tidy,
    s: watching("s", days),
    o: objectSensor({ name: "o", bucket: "drops", prefix: "q/", job: tidy, evaluate: () => skip("no") }),
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(watchedBuckets(definitions), ["drops"]);
  assert.deepEqual(
    subscriptionsOf(definitions).map(({ name, topic }) => [name, topic]),
    [
      ["asset.x.days", "asset.x.days"],
      ["job.tidy", "job.tidy"],
      ["sensor.s", "sensor.s"],
      ["sensor.s.materialized", "materialized.x.days"],
      ["sensor.o", "sensor.o"],
      ["bucket.drops", "bucket.drops"],
    ],
  );
});

describe("factory responses", () => {
  const [a, b] = [made("a"), made("b")];
  const full = {
    assets: [a, b],
    sensors: [watching("sa", a), watching("sb", b, other)],
    jobs: [tidy, other, job({ name: "free", run: async () => undefined })],
    checks: [checking(a), checking(b)],
  };

  test("combine to one, each object once", () => {
    assert.deepEqual(combineResponses(full, { assets: [a] }, full), { ...full, alerts: [] });
    assert.deepEqual(combineResponses(), { assets: [], sensors: [], jobs: [], checks: [], alerts: [] });
  });

  test("are filtered with what hangs on each asset; a job that no sensor requests stays", () => {
    const left = filterResponse(full, ({ key }) => key === "b");
    assert.deepEqual(left.assets, [b]);
    assert.deepEqual(
      left.sensors.map(({ name }) => name),
      ["sb"],
    );
    assert.deepEqual(
      left.jobs.map(({ name }) => name),
      ["other", "free"],
    );
    assert.deepEqual(
      left.checks.map(({ asset: key }) => key),
      ["b"],
    );
  });

  test("lose the sensors that request an asset which is filtered out", () => {
    const requests = assetSensor({ name: "r", asset: a, target: b, evaluate: () => skip("no") });
    const left = filterResponse({ assets: [a, b], sensors: [requests] }, ({ key }) => key === "a");
    assert.deepEqual(left.sensors, []);
  });
});
