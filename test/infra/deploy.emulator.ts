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
      functions: ProjectOptions["functions"],
      play: (cloud: GoogleCloud, project: DeployedProject) => Promise<T>,
    ): Promise<T> {
      const buckets = { "flight-drops": "EU", "oso-dataset-transfer-bucket": "EU" };
      const cloud = await startGoogleCloud({ project: PROJECT, buckets });
      const project = deployedProject({ cloud, sluice, bin: fast.bin, functions });
      try {
        const result = await play(cloud, project);
        assert.deepEqual(cloud.unknown, []);
        return result;
      } finally {
        project.close();
        await cloud.close();
      }
    }

    /** Begins a deployment and ends it when the cloud has seen so many more requests; `false` where it was over before. */
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
      const { code, stderr } = await deploying.ended;
      // When the last steps are under way, nothing is left to be stopped.
      if (how === "killed" || code === 0) return;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /stopping after what is under way/);
    }

    test("deploys the example, changes only what has changed, and bears being cut off, faults and company", () =>
      ground("example", async (cloud, project) => {
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

        const seen = cloud.requests.length;
        const second = reportOf(await project.deploy("--yes", "--json"));
        assert.deepEqual([second.outcome, stepsOf(second)], ["unchanged", []]);
        assert.ok(second.calls <= 15, `${second.calls} calls`);
        assert.deepEqual(writes(cloud, seen), []);

        project.write("solo.ts", solo(1));
        const added = reportOf(await project.deploy("--yes", "--json"));
        assert.ok(stepsOf(added).includes("create function asset-transport-solo"));
        // What sweeps knows every asset.
        const expected = /solo|^(?:create|update) policy |^update function reconcile$/;
        const others = stepsOf(added).filter((step) => !expected.test(step));
        assert.deepEqual(others, []);
        const withSolo = cloud.snapshot();

        project.write("solo.ts", solo(2));
        const edited = reportOf(await project.deploy("--yes", "--json"));
        assert.deepEqual(stepsOf(edited), ["update function asset-transport-solo"]);

        project.remove("solo.ts");
        const kept = reportOf(await project.deploy("--yes", "--json"));
        assert.ok(kept.plan.withheld.some(({ id }) => id === "function asset-transport-solo"));
        const pruned = reportOf(await project.deploy("--yes", "--json", "--prune"));
        assert.ok(stepsOf(pruned).includes("delete function asset-transport-solo"));
        assert.deepEqual(cloud.snapshot(), deployed);

        // Its making, with an interruption, among faults, and with two deployers at once.
        project.write("solo.ts", solo(1));
        await cutOff(cloud, project.start("--yes"), "interrupted", 20 + Math.floor(random.next() * 60));
        cloud.faults.randomly({ seed: SEED, rate: 0.03, kinds: [429, 503] });
        const both = [project.start("--yes", "--json"), project.start("--yes", "--json")];
        const ends = await Promise.all(both.map(({ ended }) => ended));
        cloud.faults.clear();
        assert.ok(
          ends.some(({ code }) => code === 0),
          ends.map(({ stderr }) => stderr).join("\n"),
        );
        for (const { code, stderr } of ends) if (code !== 0) assert.match(stderr, /has been deploying for .*--wait/);
        const settled = reportOf(await project.deploy("--yes", "--json"));
        assert.equal(
          settled.outcome,
          "unchanged",
          settled.plan.steps.map(({ id, reason }) => `${id}: ${reason}`).join("\n"),
        );
        assert.deepEqual(cloud.snapshot(), withSolo);

        const place = ["--env", "prod", "--gcp-project", PROJECT, "--region", REGION];
        for (const more of [["--yes"], ["--yes", "--confirm", "dev"], []]) {
          const before = cloud.requests.length;
          assert.equal((await project.sluice("destroy", ...place, ...more)).code, 2);
          assert.deepEqual(writes(cloud, before), []);
        }
        const destroyed = reportOf(await project.sluice("destroy", ...place, "--yes", "--confirm", "prod", "--json"));
        assert.equal(destroyed.outcome, "done");
        const left = (kind: "function" | "topic" | "subscription" | "account" | "dataset" | "bucket"): number =>
          cloud.state.resources[kind].size;
        assert.deepEqual([left("function"), left("topic"), left("subscription"), left("account")], [0, 0, 0, 0]);
        assert.ok(left("dataset") > 0 && left("bucket") > 2);
        const again = reportOf(await project.sluice("destroy", ...place, "--yes", "--confirm", "prod", "--json"));
        // The queue stays for its name's sake, and loses the roles that the first time found in use.
        assert.deepEqual(
          stepsOf(again).filter((step) => step !== "update policy queue sluice"),
          [],
        );
      }));

    test("says what is missing, in one line", () =>
      ground({ "solo.ts": solo(1) }, async (cloud, project) => {
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
        const small = { "solo.ts": solo(1) };
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
