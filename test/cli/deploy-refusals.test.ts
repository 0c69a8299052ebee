/** What `sluice deploy` refuses before it calls any tool, as a person reads it. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { temporaryProject } from "../support/sluice-command.ts";

const ENVIRONMENTS = {
  version: 1,
  environments: { prod: { project: "own-project", region: "europe-west1", location: "EU" } },
};
const HOURS = `
  import { asset, bigquery, hourly } from "sluice";
  export const hours = asset({
    key: "shop/hours",
    partitions: hourly({ start: "2020-01-01T00" }),
    resources: { bigquery: bigquery() },
    async materialize() {},
  });
`;

describe("sluice deploy", () => {
  const project = temporaryProject({ "shop.ts": HOURS });
  project.write("infra/environments.json", JSON.stringify(ENVIRONMENTS));
  after(() => project.remove());

  for (const [flag, text, message] of [
    ["--region", "mars", /^error: --region "mars" is no region: write one such as europe-west1\n$/],
    ["--gcp-project", "BAD_ID", /^error: --gcp-project \(of deploy\.sh: --project\) "BAD_ID" is no project's id: /],
  ] as const)
    test(`blames ${flag}, and no file, for what that says`, async () => {
      const { code, stderr } = await project.sluice("deploy", "--dry-run", flag, text);
      assert.equal(code, 2);
      assert.match(stderr, message);
    });

  test("refuses hours that are more than a table holds by now; the compile, which has no clock, says when it is full", async () => {
    const { code, stdout, stderr } = await project.sluice("deploy", "--dry-run");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(
      stderr,
      /^functions\/shop\.ts hours: shop\/hours has \d\d+,\d{3} partitions of shop\.hours by now, and a table holds 10,000 \(.*\)\nerror: nothing was deployed, because of what is listed above\n$/,
    );
    const compiled = await project.sluice("compile");
    assert.equal(compiled.code, 0, compiled.stderr);
    assert.match(compiled.stdout, /^functions\/shop\.ts hours: .* the last of these ends at 2021-02-20T16:00Z$/m);
  });
});
