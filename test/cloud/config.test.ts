import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "../../lib/cloud/config.ts";
import { PermanentError } from "../../lib/core/errors.ts";

const GIVEN = {
  project: "p",
  region: "europe-west1",
  location: "EU",
  stagingBucket: "b",
  queue: "q",
  taskAccount: "tasks@p.iam.gserviceaccount.com",
};
const read = (value: unknown) => readConfig({ SLUICE_CONFIG: JSON.stringify(value) });

test("what the deployment leaves out has a default", () => {
  const names = { topicPrefix: "", datasetSuffix: "", database: "(default)" };
  assert.deepEqual(read(GIVEN), { ...GIVEN, ...names, settings: { deadlineMs: 500_000 }, endpoints: {} });
  assert.deepEqual(read({ ...GIVEN, settings: { waitMs: 1 } }).settings, { waitMs: 1, deadlineMs: 500_000 });
});

for (const [what, env, line] of [
  ["is not there", {}, /^SLUICE_CONFIG is not set: deploy the function with Sluice, which sets it$/],
  ["is no JSON", { SLUICE_CONFIG: "{" }, /^SLUICE_CONFIG is not JSON: deploy/],
  [
    "lacks something",
    { SLUICE_CONFIG: JSON.stringify({ ...GIVEN, queue: undefined }) },
    /^SLUICE_CONFIG\.queue: .*; deploy/,
  ],
  [
    "has a wrong type",
    { SLUICE_CONFIG: JSON.stringify({ ...GIVEN, project: 5 }) },
    /^SLUICE_CONFIG\.project: .*; deploy/,
  ],
  [
    "has what is unknown",
    { SLUICE_CONFIG: JSON.stringify({ ...GIVEN, keyFile: "x" }) },
    /^SLUICE_CONFIG: .*keyFile.*; deploy/,
  ],
  [
    "is wrong inside",
    { SLUICE_CONFIG: JSON.stringify({ ...GIVEN, endpoints: { pubsub: 1 } }) },
    /^SLUICE_CONFIG\.endpoints\.pubsub: /,
  ],
  ["is a list", { SLUICE_CONFIG: "[]" }, /^SLUICE_CONFIG: /],
] as const) {
  test(`a config that ${what} is one line`, () => {
    assert.throws(
      () => readConfig(env),
      (error) => error instanceof PermanentError && line.test(error.message) && !error.message.includes("\n"),
    );
  });
}
