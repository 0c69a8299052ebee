/** `sluice why`: a waiting asset explains itself. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { SCORES, temporaryProject } from "../support/sluice-command.ts";

const CHAIN = `
import { asset, daily, dependsOn, eager } from "sluice";

export const scores = asset({ key: "demo/scores", partitions: daily(), materialize: async () => undefined });

export const trend = asset({
  key: "demo/trend",
  partitions: daily(),
  deps: [dependsOn(scores, { kind: "offset", by: -1, through: 0 })],
  automation: eager(),
  materialize: async () => undefined,
});
`;

describe("sluice why", () => {
  const project = temporaryProject({
    "chain.ts": CHAIN,
    "drops.ts": SCORES.replace('name: "scores"', 'name: "drops"'),
  });
  const { sluice } = project;
  after(() => project.remove());

  test("prints the condition as a tree, from what is there now", async () => {
    assert.equal((await sluice("materialize", "demo/scores", "--partition", "2024-05-02")).code, 0);
    const { code, stdout } = await sluice("why", "demo/trend", "--partition", "2024-05-02");
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines[0], "demo/trend 2024-05-02");
    assert.equal(lines[1], "  ✗ eager");
    assert.match(stdout, /^ {6}✓ missing: it was never made$/m);
    assert.match(
      stdout,
      /^ {6}✓ an upstream updated: made, and never read by it: demo\/scores 2024-05-02 of \S+Z by run [0-9a-f]{16} {2}\[m-/m,
    );
    assert.match(stdout, /^ {4}✗ all upstreams there: not there yet: demo\/scores 2024-05-01$/m);
    assert.match(stdout, /^ {4}✓ no upstream blocked: /m);
  });

  test("says so when the asset has run, by itself", async () => {
    const materialized = await sluice("materialize", "demo/scores", "--partition", "2024-05-01");
    assert.equal(materialized.code, 0);
    assert.match(materialized.stdout, /demo\/trend {2}2024-05-02 {2}materialized/);
    const { stdout } = await sluice("why", "demo/trend", "--partition", "2024-05-02");
    assert.match(
      stdout,
      /^ {4}✗ something new\n {6}✗ missing: it was made \S+Z by run [0-9a-f]{16} {2}\[m-.*\n.*: it was made from what its upstreams show: demo\/scores 2024-05-0\d of .*, demo\/scores .* {2}\[m-[^,]+, m-[^,]+\]$/m,
    );
    assert.match(stdout, /^ {2}last run [0-9a-f]{16} succeeded$/m);
  });

  test("an import: when it is asked for, which files it is made of, and which it was made of", async () => {
    const before = await sluice("why", "demo/drops", "--partition", "2024-05-01");
    assert.match(before.stdout, /^ {2}✗ schedule: it is requested at 0 0 \* \* \* \(UTC\), .*: last \S+Z, next \S+Z$/m);
    assert.match(before.stdout, /^ {2}✗ files\n {4}✓ asked for by each file: of gs:\/\/drops\/scores that matches /m);
    assert.match(before.stdout, /^ {4}✗ loaded: none was, and no run has looked for any$/m);
    const none = await sluice("materialize", "demo/drops", "--partition", "2024-05-01");
    assert.equal(none.code, 0, none.stderr);
    assert.match(
      (await sluice("why", "demo/drops", "--partition", "2024-05-01")).stdout,
      /^ {4}✗ loaded: none was: run ([0-9a-f]{16}) skipped at \S+Z: no object of 2024-05-01 is in gs:\/\/drops\/scores {2}\[\1\]$/m,
    );
    project.write("day.json", '{"score":1}\n');
    assert.equal((await sluice("put", "day.json", "gs://drops/scores/2024-05-01.json")).code, 0);
    assert.match(
      (await sluice("why", "demo/drops", "--partition", "2024-05-01")).stdout,
      /^ {2}✓ files\n.*\n.*\n {4}✓ loaded: scores\/2024-05-01\.json#\S+ at \S+Z by run [0-9a-f]{16} {2}\[m-[^\]]+\]$/m,
    );
  });

  test("an asset without automation, an unknown one, and JSON", async () => {
    assert.match((await sluice("why", "demo/scores", "--partition", "2024-05-01")).stdout, /it never runs by itself/);
    const unknown = await sluice("why", "demo/trends");
    assert.deepEqual([unknown.code, unknown.stdout], [2, ""]);
    assert.match(unknown.stderr, /did you mean "demo\/trend"\?/);
    const value = await project.json("why", "demo/trend", "--partition", "2024-05-02");
    assert.ok(typeof value === "object" && value !== null && "condition" in value && "facts" in value);
  });
});
