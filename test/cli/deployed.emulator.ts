/** `sluice … --env`: commands against a deployment, here the built functions in the local cloud. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { STAGING } from "../support/cloud-services.ts";
import { withEmulators } from "../support/emulators.ts";
import { openLocalCloud } from "../support/local-cloud.ts";
import type { LocalCloud } from "../support/local-cloud.ts";
import { SCORES, temporaryProject } from "../support/sluice-command.ts";
import type { Outcome, Project } from "../support/sluice-command.ts";

const ENVIRONMENT = "prod";
const SENSOR = "scores_clean_up_sensor";
const run = z.object({ run: z.string(), status: z.string(), name: z.string().optional() });

await withEmulators((emulators) => {
  let cloud: LocalCloud;
  let project: Project;
  before(async () => {
    const functions = { "scores.ts": SCORES };
    cloud = await openLocalCloud({ emulators, project: "deployed-cli", functions });
    project = temporaryProject(functions);
    const environment = {
      project: cloud.project,
      region: "europe-west1",
      location: cloud.bigquery.location,
      stagingBucket: STAGING,
    };
    project.write(
      "infra/environments.json",
      JSON.stringify({ version: 1, environments: { [ENVIRONMENT]: environment } }),
    );
    process.env["SLUICE_GCP_ENDPOINTS"] = JSON.stringify({
      storage: cloud.gcs.url,
      bigquery: cloud.bigquery.url,
      firestore: emulators.firestore.host,
      pubsub: emulators.pubsub.host,
    });
  });
  after(async () => {
    delete process.env["SLUICE_GCP_ENDPOINTS"];
    await project.remove();
    await cloud.close();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  const sluice = (...args: readonly string[]): Promise<Outcome> => project.sluice(...args, "--env", ENVIRONMENT);
  /** The parsed lines of stdout of a command that works. */
  async function json(...args: readonly string[]): Promise<readonly unknown[]> {
    const { code, stdout, stderr } = await sluice(...args, "--json");
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}${stdout}\n${cloud.logs()}`);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as unknown);
  }
  async function refused(wanted: RegExp, exitCode: number, ...args: readonly string[]): Promise<void> {
    const { code, stderr } = await sluice(...args);
    assert.match(stderr, wanted);
    assert.equal(code, exitCode, stderr);
  }
  const shown = async (): Promise<readonly unknown[]> =>
    (await cloud.rows("SELECT n FROM demo.scores")).map(({ n }) => n);

  describe("a deployment", () => {
    test("is looked at", async () => {
      for (const day of [1, 2]) {
        await cloud.put(`gs://drops/scores/2024-05-0${day}.json`, `{"n":${day}}\n`);
        await cloud.quiet();
      }
      const [listed] = await json("list");
      const { assets } = z.object({ assets: z.array(z.object({ latest: z.looseObject({}) })) }).parse(listed);
      assert.equal(assets[0]?.latest["partition"], "2024-05-02");
      const [held] = await json("show", "demo/scores");
      assert.deepEqual(z.looseObject({}).parse(held)["partitionCounts"], { materialized: 2, sealed: 0, busy: 0 });
      const [runs] = await json("runs", "--asset", "demo/scores");
      assert.deepEqual(
        z
          .array(run)
          .parse(runs)
          .map(({ status }) => status),
        ["succeeded", "succeeded"],
      );
      assert.equal((await json("events", "--type", "materialized")).length, 2);
      await json("why", "demo/scores");
      assert.deepEqual(await json("query", "SELECT n FROM demo.scores"), [{ n: 2 }]);
      assert.deepEqual(await json("dead-letters"), [[]]);
      assert.deepEqual(await json("backfill", "list"), [[]]);
    });

    test("does what is asked for, and is followed to the end", async () => {
      const [made] = await json("materialize", "demo/scores", "--partition", "2024-05-02", "--force");
      const [ended] = z.array(run).parse(made);
      assert.equal(ended?.status, "succeeded");
      const found = await cloud.events.get("run", ended.run);
      assert.equal(found?.request.cause.kind, "manual");
      const { code, stdout } = await sluice("publish", "asset.demo.scores", "--message", '{"partition":"2024-05-02"}');
      assert.equal(code, 0, stdout);
      assert.match(stdout, /published message \d+ to asset\.demo\.scores\n[^]*materialized 1 row/);
      const news = await sluice("publish", "materialized.demo.scores", "--message", "{}");
      assert.equal(news.code, 0, news.stderr);
      assert.match(news.stdout, /sluice events --follow --env prod/);
      const [again] = await json("replay", ended.run);
      assert.equal(run.parse(again).status, "succeeded");
      const [filled] = await json("backfill", "demo/scores", "--from", "2024-05-01", "--to", "2024-05-02", "--all");
      assert.deepEqual(z.looseObject({}).parse(filled)["status"], "done");
      await refused(/has ended already: succeeded/, 1, "cancel", ended.run);
    });

    test("is told what people want of sensors and assets", async () => {
      await json("sensor", "start", SENSOR);
      assert.equal((await cloud.events.get("sensor", SENSOR))?.status, "running");
      await json("sensor", "stop", SENSOR);
      const [states] = await json("sensor", "list");
      assert.deepEqual(
        z
          .array(z.looseObject({ status: z.string() }))
          .parse(states)
          .map(({ status }) => status),
        ["stopped"],
      );
      await json("pause", "demo/scores", "--reason", "the source is broken");
      await refused(/paused.*the source is broken/, 2, "materialize", "demo/scores", "--partition", "2024-05-02");
      await json("resume", "demo/scores");
    });

    test("goes back, and drift is found", async () => {
      const [back] = await json("rollback", "demo/scores", "--to", "2024-05-01");
      assert.equal(run.parse(back).status, "succeeded");
      assert.deepEqual(await shown(), [1]);
      const [event] = (await cloud.events.history({ types: ["materialized"], limit: 1 })).items;
      assert.ok(event?.type === "materialized");
      assert.equal(event.rolledBackFrom, "2024-05-02");
      assert.equal(event.metadata?.["restored_from"], "demo_raw.scores__20240501");
      const [same] = await json("verify");
      const slot = z.looseObject({ status: z.string() });
      assert.deepEqual(
        z
          .array(slot)
          .parse(same)
          .map(({ status }) => status),
        ["as committed"],
      );
      await cloud.warehouse.drop({ dataset: "demo", table: "scores" });
      const { code, stdout } = await sluice("verify", "--json");
      assert.equal(code, 1);
      assert.deepEqual(
        z
          .array(slot)
          .parse(JSON.parse(stdout))
          .map(({ status }) => status),
        ["missing"],
      );
    });

    test("what has no meaning there is refused in one line, and nothing was done on this machine", async () => {
      const { code, stderr } = await project.sluice("list", "--env", "staging");
      assert.match(stderr, /no environment is called "staging"/);
      assert.equal(code, 2);
      await refused(/--target local runs here/, 2, "materialize", "demo/scores", "--target", "local");
      await refused(/unknown option '--env'/, 2, "put", "package.json", "gs://drops/x.json");
      const alone = await project.sluice("list", "--gcp-project", "another-project");
      assert.match(alone.stderr, /--gcp-project goes with --env/);
      assert.equal(existsSync(project.home), false);
    });
  });
});
