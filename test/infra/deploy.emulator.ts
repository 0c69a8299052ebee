/**
 * Deployments by `deploy.sh` and the real gcloud and bq, against the fake of Google's control plane. DEPLOY_CUTS=20 cuts a first
 * deployment off at so many places besides; DEPLOY_SEED chooses others. All cuts at all calls are in deploy.test.ts, without gcloud.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { startGoogleCloud } from "../fakes/fake-google-cloud.ts";
import type { GoogleCloud } from "../fakes/fake-google-cloud.ts";
import { copyOfSluice, deployedProject, REGION } from "../support/deployed-project.ts";
import type { DeployedProject, Deploying, Ended, ProjectOptions } from "../support/deployed-project.ts";
import { startFastGcloud } from "../support/fast-gcloud.ts";
import type { FastGcloud } from "../support/fast-gcloud.ts";
import { withGcloud } from "../support/gcloud.ts";
import { seededRandom } from "../support/virtual-clock.ts";

const PROJECT = "own-project";
const CUTS = Number(process.env["DEPLOY_CUTS"] ?? "0");
const SEED = Number(process.env["DEPLOY_SEED"] ?? "1");

/** One asset that depends on nothing, in a dataset that is there anyway. */
const solo = (limit: number): string => `
  import { sqlAsset, sql } from "sluice";
  export const solo = sqlAsset({ key: "transport/solo", sql: sql\`SELECT ${limit} AS n\` });
`;

/** An asset that is told of what is dropped into a bucket. */
const DROPS = `
  import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
  export const drops = intervalGcsImportAsset({
    keyPrefix: "transport",
    name: "drops",
    bucketName: "flight-drops",
    pathBase: "drops",
    fileMatch: "(?P<interval_timestamp>[0-9]{4}-[0-9]{2}-[0-9]{2})/drops[.]parquet",
    destinationTable: "drops",
    rawDatasetName: "transport_raw",
    cleanDatasetName: "transport",
    interval: Interval.Daily,
    mode: SourceMode.Overwrite,
    retentionDays: 10,
    format: "PARQUET",
  });
`;

const reportSchema = z.looseObject({
  outcome: z.string(),
  calls: z.number(),
  plan: z.looseObject({
    steps: z.array(z.looseObject({ id: z.string(), action: z.string(), reason: z.string() })),
    withheld: z.array(z.looseObject({ id: z.string() })),
  }),
  done: z.array(z.string()).optional(),
  commands: z.array(z.string()).optional(),
});
type Report = z.output<typeof reportSchema>;

function reportOf({ code, stdout, stderr }: Ended): Report {
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return reportSchema.parse(JSON.parse(stdout));
}

/** Without the upload of the code, whose name changes with every byte of Sluice itself. */
const stepsOf = ({ plan }: Report): readonly string[] =>
  plan.steps
    .filter(({ id }) => !id.startsWith("source "))
    .map(({ id, action }) => `${action} ${id}`)
    .sort();

/** Requests that may have changed something. */
function writes({ requests }: GoogleCloud, since: number): readonly string[] {
  const reads = /:(?:getIamPolicy|testIamPermissions)(?:\?|$)/;
  return requests
    .slice(since)
    .filter(({ method, path }) => method !== "GET" && !reads.test(path))
    .map(({ method, api, path }) => `${method} ${api} ${path}`);
}

withGcloud(() => {
  describe("deploy.sh", () => {
    let fast: FastGcloud;
    let sluice = "";
    const folder = mkdtempSync(join(tmpdir(), "sluice-copy-"));
    before(async () => {
      sluice = copyOfSluice(folder);
      fast = await startFastGcloud();
    });
    after(async () => {
      await fast.close();
      rmSync(folder, { recursive: true, force: true });
    });

    /** A cloud and a project of their own. */
    async function ground<T>(
      options: Pick<ProjectOptions, "functions" | "environments">,
      play: (cloud: GoogleCloud, project: DeployedProject) => Promise<T>,
    ): Promise<T> {
      const buckets = { "flight-drops": "EU", "oso-dataset-transfer-bucket": "EU" };
      const cloud = await startGoogleCloud({ project: PROJECT, buckets });
      const project = deployedProject({ cloud, sluice, bin: fast.bin, ...options });
      try {
        const result = await play(cloud, project);
        assert.deepEqual(cloud.unknown, []);
        return result;
      } finally {
        project.close();
        await cloud.close();
      }
    }

    /** Begins a deployment, and ends it when the cloud has seen so many more requests, if it is not over before. */
    async function cutOff(
      cloud: GoogleCloud,
      deploying: Deploying,
      how: "killed" | "interrupted",
      requests: number,
    ): Promise<void> {
      const end = cloud.requests.length + requests;
      let over = false;
      void deploying.ended.then(() => (over = true));
      while (!over && cloud.requests.length < end) await sleep(2);
      deploying.signal(how === "killed" ? "SIGKILL" : "SIGINT");
      const { code, stdout, stderr } = await deploying.ended;
      // When the last steps are under way, nothing is left to be stopped.
      if (how === "killed" || code === 0 || /^prod is (?:deployed|as wanted)/m.test(stdout)) return;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /stopping after what is under way/);
    }

    /** Two at once, among faults; then all is as wanted. */
    async function deployTwiceAmongFaults(cloud: GoogleCloud, project: DeployedProject): Promise<void> {
      cloud.faults.randomly({ seed: SEED, rate: 0.03, kinds: [429, 503] });
      const both = [project.start("--yes", "--json"), project.start("--yes", "--json")];
      const ends = await Promise.all(both.map(({ ended }) => ended));
      cloud.faults.clear();
      assert.ok(
        ends.some(({ code }) => code === 0),
        ends.map(({ stderr }) => stderr).join("\n"),
      );
      for (const { code, stderr } of ends) if (code !== 0) assert.match(stderr, /has been deploying for .*--wait/);
      await deployNothing(cloud, project);
    }

    /** With at most 15 calls. */
    async function deployNothing(cloud: GoogleCloud, project: DeployedProject): Promise<void> {
      const seen = cloud.requests.length;
      const report = reportOf(await project.deploy("--yes", "--json"));
      const reasons = report.plan.steps.map(({ id, reason }) => `${id}: ${reason}`);
      assert.deepEqual([report.outcome, reasons], ["unchanged", []]);
      assert.ok(report.calls <= 15, `${report.calls} calls`);
      assert.deepEqual(writes(cloud, seen), []);
    }

    /** The asset that was added last is edited, and taken away. */
    async function editAndRemove(cloud: GoogleCloud, project: DeployedProject): Promise<void> {
      project.write("solo.ts", solo(2));
      const edited = reportOf(await project.deploy("--yes", "--json"));
      assert.deepEqual(stepsOf(edited), ["update function asset-transport-solo"]);
      const before = cloud.snapshot();
      project.remove("solo.ts");
      const kept = reportOf(await project.deploy("--dry-run", "--json"));
      assert.ok(kept.plan.withheld.some(({ id }) => id === "function asset-transport-solo"));
      assert.ok(kept.plan.steps.every(({ action }) => action !== "delete"));
      const pruned = reportOf(await project.deploy("--yes", "--json", "--prune"));
      assert.ok(stepsOf(pruned).includes("delete function asset-transport-solo"));
      const after = cloud.snapshot();
      // Nothing but its own is gone.
      const gone = Object.keys(before).filter((key) => !(key in after));
      assert.ok(gone.length > 0);
      for (const key of gone) assert.match(key, /solo/);
    }

    test("deploys the example, changes only what has changed, and bears being cut off, faults and company", () =>
      ground({ functions: "example" }, async (cloud, project) => {
        const random = seededRandom(SEED);
        const dry = reportOf(await project.deploy("--dry-run", "--json"));
        assert.deepEqual(writes(cloud, 0), []);
        for (const line of dry.commands ?? []) assert.match(line, /^(?:#|gcloud |bq )/);

        // The first one is killed somewhere, and carried on by the next.
        await cutOff(cloud, project.start("--yes"), "killed", 20 + Math.floor(random.next() * 300));
        const first = reportOf(await project.deploy("--yes", "--json"));
        assert.equal(first.outcome, "done");
        assert.deepEqual(cloud.shortfalls(), []);
        const deployed = cloud.snapshot();
        await deployNothing(cloud, project);

        project.write("solo.ts", solo(1));
        const added = reportOf(await project.deploy("--dry-run", "--json"));
        assert.ok(stepsOf(added).includes("create function asset-transport-solo"));
        // What sweeps knows every asset.
        const expected = /solo|^(?:create|update) policy |^update function reconcile$/;
        assert.deepEqual(
          stepsOf(added).filter((step) => !expected.test(step)),
          [],
        );
        await cutOff(cloud, project.start("--yes"), "interrupted", 20 + Math.floor(random.next() * 60));
        await deployTwiceAmongFaults(cloud, project);
        await editAndRemove(cloud, project);
        assert.deepEqual(cloud.snapshot(), deployed);
      }));

    test("does the same in gcloud's standard form, and takes it all away at once", () => {
      const place = { project: PROJECT, region: REGION, location: "EU", triggers: "eventarc" };
      const environments = { prod: { ...place, buckets: { "flight-drops": { location: "EU" } } } };
      return ground({ functions: { "drops.ts": DROPS }, environments }, async (cloud, project) => {
        const random = seededRandom(SEED + 1);
        await cutOff(cloud, project.start("--yes"), "interrupted", 20 + Math.floor(random.next() * 150));
        reportOf(await project.deploy("--yes", "--json"));
        assert.deepEqual(cloud.shortfalls(), []);
        const deployed = cloud.snapshot();
        assert.ok(cloud.state.resources.trigger.size >= 2);

        project.write("solo.ts", solo(1));
        reportOf(await project.deploy("--yes", "--json"));
        const withSolo = cloud.snapshot();
        await editAndRemove(cloud, project);
        assert.deepEqual(cloud.snapshot(), deployed);
        project.write("solo.ts", solo(1));
        await deployTwiceAmongFaults(cloud, project);
        assert.deepEqual(cloud.snapshot(), withSolo);

        const destroy = ["destroy", "--env", "prod"];
        for (const more of [["--yes"], ["--yes", "--confirm", "dev"]]) {
          const before = cloud.requests.length;
          assert.equal((await project.sluice(...destroy, ...more)).code, 2);
          assert.deepEqual(writes(cloud, before), []);
        }
        const destroyed = reportOf(await project.sluice(...destroy, "--yes", "--confirm", "prod", "--json"));
        assert.equal(destroyed.outcome, "done");
        for (const kind of ["function", "trigger", "topic", "subscription", "account"] as const)
          assert.deepEqual([...cloud.state.resources[kind].keys()], [], kind);
        assert.ok(cloud.state.resources.dataset.size > 0 && cloud.state.resources.bucket.size > 2);
        const again = reportOf(await project.sluice(...destroy, "--yes", "--confirm", "prod", "--json"));
        assert.deepEqual([again.outcome, stepsOf(again)], ["unchanged", []]);
      });
    });

    test("says what is missing, in one line", () =>
      ground({ functions: { "solo.ts": solo(1) } }, async (cloud, project) => {
        const refused = await project.deploy();
        assert.equal(refused.code, 2);
        assert.match(refused.stderr, /nobody can be asked here: look at it with --dry-run, and say --yes/);
        assert.deepEqual(writes(cloud, 0), []);
        project.write("solo.ts", "export const broken = ;");
        const broken = await project.deploy("--yes");
        assert.equal(broken.code, 1);
        assert.match(broken.stderr, /nothing was deployed, because the definitions have problems/);
      }));

    if (CUTS > 0)
      test(`of one asset, killed or interrupted at ${CUTS} places, always ends as if it had not been`, async () => {
        const small = { functions: { "solo.ts": solo(1) } };
        const { snapshot, requests } = await ground(small, async (cloud, project) => {
          reportOf(await project.deploy("--yes", "--json"));
          return { snapshot: cloud.snapshot(), requests: cloud.requests.length };
        });
        const random = seededRandom(SEED);
        for (let round = 0; round < CUTS; round++) {
          const cut = Math.floor(((round + random.next()) / CUTS) * requests);
          await ground(small, async (cloud, project) => {
            await cutOff(cloud, project.start("--yes"), round % 2 === 0 ? "killed" : "interrupted", cut);
            reportOf(await project.deploy("--yes", "--json"));
            assert.deepEqual(cloud.snapshot(), snapshot, `cut off at request ${cut} of ${requests}`);
          });
        }
      });
  });
});
