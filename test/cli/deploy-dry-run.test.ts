/** `sluice deploy --dry-run` as a person reads it, by tools that know of nothing: those that speak to a cloud are in deploy.emulator.ts. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fakeTools } from "../support/fake-tool.ts";
import { temporaryProject } from "../support/sluice-command.ts";

const ENVIRONMENTS = {
  version: 1,
  environments: { prod: { project: "own-project", region: "europe-west1", location: "EU" } },
};
const RATES = `
  import { asset, bigquery, onSchedule } from "sluice";
  export const rates = asset({
    key: "shop/rates",
    automation: onSchedule("0 4 * * *"),
    resources: { bigquery: bigquery() },
    async materialize() {},
  });
`;
const DENIED = [
  "ERROR: (gcloud.storage.objects.describe) [None] does not have permission to access b instance [o] (or it may not exist): The caller does not have permission",
  "- '@type': type.googleapis.com/google.rpc.ErrorInfo",
  "  domain: googleapis.com",
  "  metadata:",
  "    service: storage.googleapis.com",
].join("\n");

describe("a dry run", () => {
  const project = temporaryProject({ "shop.ts": RATES });
  const folder = mkdtempSync(join(tmpdir(), "sluice-dry-run-"));
  const temporary = join(folder, "tmp");
  mkdirSync(temporary);
  project.write("infra/environments.json", JSON.stringify(ENVIRONMENTS));
  after(async () => {
    await project.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  const dryRun = (behaviour: Readonly<Record<string, unknown>>) => {
    Object.assign(process.env, fakeTools(folder, behaviour).env, { TMPDIR: temporary });
    return project.sluice("deploy", "--dry-run");
  };

  test("prints each binding with its reason, why all else is made, and where the files are; the next one clears these", async () => {
    const { code, stdout, stderr } = await dryRun({ code: 1, stderr: "ERROR: (gcloud.x) NOT_FOUND: there is nothing" });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^\+ account fn-shop +runs what functions\/shop\.ts defines$/m);
    assert.match(stdout, /^\+ dataset shop +shop\/rates is published in it$/m);
    assert.match(stdout, /^\+ function asset-shop-rates +materializes the asset shop\/rates$/m);
    const policy =
      /^\+ policy function asset-shop-rates +grants a role\n {4}roles\/run\.invoker for sluice-push@own-project: messages are pushed to it$/m;
    assert.match(stdout, policy);
    assert.match(
      stdout,
      /^\+ policy dataset shop +grants a role\n {4}roles\/bigquery\.dataOwner for fn-shop@own-project: shop\/rates is published in it, after a look for row policies$/m,
    );
    assert.doesNotMatch(stdout, /is not there yet/);
    const [, files = ""] =
      /^# the files of these commands are in (\S+), until the next deployment from here$/m.exec(stdout) ?? [];
    assert.ok(files.startsWith(temporary) && existsSync(files));
    assert.equal(existsSync(join(files, "dist")), false);
    assert.ok(stdout.includes(join(files, "")), "commands name the files");

    const denied = await dryRun({ code: 1, stderr: DENIED });
    assert.equal(denied.code, 1);
    assert.match(
      denied.stderr,
      /^error: this account does not have permission .*: The caller does not have permission: it takes roles\/storage\.objectViewer, see "What the deployer may do" in docs\/deploying\.md; the command was: gcloud storage objects describe .*\n$/,
    );
    assert.deepEqual(readdirSync(files).sort(), ["pid", "project"]);
  });
});
