import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseEnvironments, sizeOf } from "../../infra/environments.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { ROOT } from "../support/tree.ts";

const BASE = { project: "own-project", region: "europe-west1", location: "EU" };
const parse = (environments: unknown) => parseEnvironments({ version: 1, environments }, "e.json");

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return messageOf(error);
  }
  return "nothing was refused";
}

describe("environments", () => {
  test("say little, and have everything settled", () => {
    const prod = parse({ prod: BASE }).find("prod");
    assert.equal(prod.database, "(default)");
    assert.equal(prod.firestoreLocation, "eur3");
    assert.equal(prod.stagingBucket, "own-project-sluice-staging");
    assert.equal(prod.triggers, "push");
    assert.deepEqual(sizeOf(prod, "asset a/b"), prod.defaults);
  });

  test("a pattern makes throw-away environments, each with names and datasets of its own", () => {
    const all = parse({ prod: BASE, "pr-*": BASE });
    const pr = all.find("pr-42");
    assert.deepEqual(
      [pr.name, pr.namePrefix, pr.datasetSuffix, pr.database, pr.stagingBucket],
      ["pr-42", "pr-42-", "_pr_42", "sluice-pr-42", "own-project-pr-42-sluice-staging"],
    );
    assert.notEqual(all.find("pr-43").datasetSuffix, pr.datasetSuffix);
    assert.deepEqual(
      all.named.map(({ name }) => name),
      ["prod"],
    );
  });

  test("one function may be larger than the others", () => {
    const prod = parse({ prod: { ...BASE, defaults: { memory: "1Gi" }, sizes: { "asset a/b": { cpu: 2 } } } }).find(
      "prod",
    );
    assert.deepEqual([sizeOf(prod, "asset a/b").cpu, sizeOf(prod, "asset a/b").memory], [2, "1Gi"]);
    assert.deepEqual([sizeOf(prod, "asset a/c").cpu, sizeOf(prod, "asset a/c").memory], [1, "1Gi"]);
  });

  const wrong: readonly (readonly [string, unknown, RegExp])[] = [
    [
      "a misspelt field",
      { prod: { ...BASE, regoin: "x" } },
      /^e\.json environments\.prod\.regoin: is not a known field \(did you mean "region"\?\)$/,
    ],
    [
      "a region that is none",
      { prod: { ...BASE, region: "Europe" } },
      /environments\.prod\.region: is no region: write one such as/,
    ],
    [
      "a timeout that outlasts a push",
      { prod: { ...BASE, defaults: { timeoutSeconds: 600 } } },
      /timeoutSeconds: is more than 590/,
    ],
    ["too few deliveries", { prod: { ...BASE, maxDeliveryAttempts: 4 } }, /maxDeliveryAttempts/],
    ["a name in capitals", { Prod: BASE }, /"Prod" is no environment's name/],
    ["a prefix that Google keeps to itself", { dev: { ...BASE, namePrefix: "goog-" } }, /namePrefix: is no prefix/],
    [
      "one suffix for all of a pattern",
      { "pr-*": { ...BASE, datasetSuffix: "_x" } },
      /stands for several environments.*same datasetSuffix/,
    ],
    [
      "one project for two",
      { prod: BASE, dev: BASE },
      /prod and dev would have the same names in the project own-project \(give it a project/,
    ],
    ["a missing project", { prod: { region: "europe-west1", location: "EU" } }, /environments\.prod\.project/],
  ];
  for (const [what, value, expected] of wrong)
    test(`refuse ${what}`, () =>
      assert.match(
        refusal(() => parse(value)),
        expected,
      ));

  test("an unknown name says what there is", () => {
    const all = parse({ prod: BASE, "pr-*": BASE });
    assert.match(
      refusal(() => all.find("prd")),
      /no environment is called "prd" \(did you mean "prod"\?\)/,
    );
    for (const name of ["pr-", "pr-*", "pr-A", "pr-4_2", "Pr-1"])
      assert.match(
        refusal(() => all.find(name)),
        /no environment is called/,
        name,
      );
  });

  test("the example's file can be read, and says that it holds placeholders", () => {
    const text = readFileSync(join(ROOT, "infra/environments.json"), "utf8");
    const all = parseEnvironments(JSON.parse(text), "infra/environments.json");
    assert.deepEqual(all.names, ["prod", "staging", "pr-*"]);
    assert.match(text, /placeholder/);
    assert.ok(all.named.every(({ project }) => project.startsWith("your-")));
  });
});
