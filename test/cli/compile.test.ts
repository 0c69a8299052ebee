/** `sluice compile` as a person runs it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { manifestSchema } from "../../infra/manifest.ts";
import { temporaryProject } from "../support/sluice-command.ts";

const ASSET = `
  import { asset } from "sluice";
  export const rates = asset({ key: "shop/rates", target: "their-project.shop.rates", async materialize() {} });
`;
const ENVIRONMENTS = {
  version: 1,
  environments: {
    prod: { project: "own-project", region: "europe-west1", location: "EU" },
    "pr-*": { project: "own-project", region: "europe-west1", location: "EU" },
  },
};

test("the manifest is written, and checked; what is wrong is one line each", async (t) => {
  const project = temporaryProject({ "shop.ts": ASSET });
  t.after(() => project.remove());
  const text = (): string => readFileSync(join(project.root, "infra/manifest.json"), "utf8");

  const without = await project.sluice("compile");
  assert.equal(without.code, 2);
  assert.match(without.stderr, /^error: infra\/environments\.json cannot be read .*: write \{"version":1/);
  assert.equal(without.stderr.trim().split("\n").length, 1);

  project.write("infra/environments.json", JSON.stringify(ENVIRONMENTS));
  const written = await project.sluice("compile");
  assert.equal(written.code, 0, written.stderr);
  assert.match(written.stdout, /^prod: project own-project, europe-west1, datasets in EU$/m);
  assert.match(
    written.stdout,
    /roles\/bigquery\.dataOwner on dataset their-project\.shop for serviceAccount:fn-shop@.*: shop\/rates is published in it/,
  );
  manifestSchema.parse(JSON.parse(text()));

  const before = text();
  const same = await project.sluice("compile", "--check");
  assert.deepEqual([same.code, same.stderr], [0, ""]);

  project.write("functions/shop.ts", ASSET.replace("shop/rates", "shop/prices"));
  const stale = await project.sluice("compile", "--check");
  assert.equal(stale.code, 1);
  assert.match(
    stale.stderr,
    /not up to date at line \d+ .*: run `sluice compile --env prod --out infra\/manifest\.json`/,
  );
  assert.equal(text(), before);

  const preview = await project.json("compile", "--env", "infra/environments.json:pr-42", "--out", "preview.json");
  const { datasets, topics } = manifestSchema.parse(preview);
  assert.deepEqual(
    [datasets.map(({ name }) => name), topics.map(({ name }) => name)],
    [["shop_pr_42"], ["pr-42-asset.shop.prices", "pr-42-materialized.shop.prices"]],
  );

  const unknown = await project.sluice("compile", "--env", "prd");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /no environment is called "prd" \(did you mean "prod"\?\)/);

  const twice = `${ASSET} export const other = asset({ key: "shop_rates", async materialize() {} });`;
  project.write("functions/shop.ts", twice);
  const refused = await project.sluice("compile");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /asset shop_rates and asset shop\/rates would both be called asset-shop-rates/);
  assert.match(refused.stderr, /error: nothing was written, because of what is listed above$/m);
  assert.equal(text(), before);
});
