import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { eager } from "../../lib/core/automation.ts";
import { assetCheck } from "../../lib/core/check.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { job } from "../../lib/core/job.ts";
import { assetSensor, objectSensor, skip } from "../../lib/core/sensor.ts";
import { fromStub, stubOf } from "../../lib/core/stub.ts";
import { unitsOf } from "../../lib/core/units.ts";

const nothing = async (): Promise<void> => undefined;
const source = {
  bucket: "drops",
  pathBase: "a",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/x\.csv`,
  interval: "daily",
} as const;

function project() {
  const up = asset({ key: "a/up", source, materialize: nothing });
  const down = asset({ key: "a/down", target: "a.down", deps: [up], automation: eager(), materialize: nothing });
  const tidy = job({ name: "tidy", run: nothing });
  const near = assetSensor({ name: "near", asset: up, job: tidy, evaluate: () => skip("no") });
  const far = assetSensor({ name: "far", asset: up, job: tidy, evaluate: () => skip("no") });
  const eye = objectSensor({ name: "eye", bucket: "drops", job: tidy, evaluate: () => skip("no") });
  const added = assetCheck({ asset: down, name: "added", rowCount: { min: 1 } });
  const { definitions, problems } = collectDefinitions([
    { file: "functions/up.ts", exports: { up, tidy, near } },
    { file: "functions/down.ts", exports: { down } },
    { file: "functions/more.ts", exports: { far, eye, added } },
  ]);
  assert.deepEqual(problems, []);
  return definitions;
}

describe("units", () => {
  test("one function an asset, job, far sensor and watched bucket, and one that reconciles", () => {
    const units = unitsOf(project());
    assert.deepEqual(
      units.map(({ id, files, subscriptions }) => [id, files, subscriptions.map(({ name }) => name)]),
      [
        ["asset a/up", ["functions/up.ts"], ["asset.a.up", "sensor.near", "sensor.near.materialized"]],
        [
          "asset a/down",
          ["functions/down.ts", "functions/more.ts"],
          ["asset.a.down", "asset.a.down.follows.materialized.a.up"],
        ],
        ["job tidy", ["functions/up.ts"], ["job.tidy"]],
        ["sensor far", ["functions/more.ts"], ["sensor.far", "sensor.far.materialized"]],
        ["sensor eye", ["functions/more.ts"], ["sensor.eye"]],
        ["bucket drops", [], ["bucket.drops"]],
        ["reconcile", [], []],
      ],
    );
  });

  test("every subscription of the project belongs to exactly one unit", () => {
    const names = unitsOf(project()).flatMap(({ subscriptions }) => subscriptions.map(({ name }) => name));
    assert.equal(new Set(names).size, names.length);
  });
});

describe("stubs", () => {
  test("say what others rely on, survive JSON, and route objects as the definitions do", () => {
    const { assets, sensors, jobs } = project();
    const stubs = [...assets.values(), ...sensors.values(), ...jobs.values()].map((definition) =>
      fromStub(JSON.parse(JSON.stringify(stubOf(definition, { source: true }))) as ReturnType<typeof stubOf>),
    );
    const { definitions, problems } = collectDefinitions([{ file: "stubs", exports: { stubs } }]);
    assert.deepEqual(problems, []);
    assert.deepEqual([...definitions.watchers.keys()], ["drops"]);
    assert.deepEqual(definitions.sensors.get("eye")?.watches, { kind: "objects", bucket: "drops", prefix: "" });
    assert.throws(() => definitions.assets.get("a/up")?.materialize({} as never, {}), /is not part of this function/);
  });

  test("leave the source out for those who only read", () => {
    const up = project().assets.get("a/up") ?? assert.fail();
    assert.ok(!("source" in stubOf(up)));
  });
});
