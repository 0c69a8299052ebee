/**
 * What `deploy.sh` and the real gcloud have deployed runs: messages, files and the clock lead to tables, and the commands that work
 * against a deployment do. First with subscriptions of its own; then the same environment is moved to gcloud's standard triggers.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { StoredEvent } from "../../lib/core/events.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { startGoogleCloud } from "../fakes/fake-google-cloud.ts";
import type { GoogleCloud } from "../fakes/fake-google-cloud.ts";
import { copyOfSluice, deployedProject, REGION } from "../support/deployed-project.ts";
import type { DeployedProject, Ended } from "../support/deployed-project.ts";
import { withEmulators } from "../support/emulators.ts";
import { startFastGcloud } from "../support/fast-gcloud.ts";
import type { FastGcloud } from "../support/fast-gcloud.ts";
import { toolIn } from "../support/gcloud.ts";
import type { Tool } from "../support/gcloud.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";
import { ROOT } from "../support/tree.ts";

/** The one that the Gitcoin example names, and so the example is deployed as it is. */
const PROJECT = "opensource-observer";
const BUCKET = "oso-dataset-transfer-bucket";
const SCORES = "gitcoin/passport_scores";

/** What follows the Gitcoin scores by itself, what the clock asks for, and what always fails. */
const shop = (automation: string): string => `
  import { asset, bigquery, daily, eager, Interval, onInterval, onSchedule, PermanentError, sql, sqlAsset } from "sluice";
  import { gitcoinPassportScores } from "./gitcoin.ts";

  export const people = sqlAsset({
    key: "shop/people",
    automation: eager(),
    sql: sql\`SELECT COUNT(*) AS n FROM \${gitcoinPassportScores.asset}\`,
  });

  export const days = asset({
    key: "shop/days",
    partitions: daily({ start: "2024-05-01" }),
    automation: ${automation},
    resources: { bigquery: bigquery() },
    async materialize({ partition: { key }, target }, { bigquery: warehouse }) {
      await warehouse.run(sql\`CREATE OR REPLACE TABLE \${target} AS SELECT \${key} AS day\`);
    },
  });

  export const broken = asset({
    key: "shop/broken",
    resources: { bigquery: bigquery() },
    async materialize() {
      throw new PermanentError("the shop is closed for good");
    },
  });
`;

const environments = (triggers: "push" | "eventarc"): Readonly<Record<string, unknown>> => ({
  prod: { project: PROJECT, region: REGION, location: "EU", triggers, buckets: { [BUCKET]: { location: "EU" } } },
});

const PATIENCE_MS = 180_000;

await withEmulators((emulators) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-copy-"));
  let fast: FastGcloud;
  let cloud: GoogleCloud;
  let project: DeployedProject;
  let gcloud: Tool;
  let events: EventStore & { close(): Promise<void> };
  let duck: Duck;
  before(async () => {
    fast = await startFastGcloud();
    duck = await openDuck();
    cloud = await startGoogleCloud({
      project: PROJECT,
      buckets: { [BUCKET]: "EU" },
      run: { pubsub: emulators.pubsub.host, firestore: emulators.firestore.host },
    });
    gcloud = toolIn("gcloud", { ...cloud.env, PATH: `${fast.bin}:${cloud.env["PATH"]}` });
    project = deployedProject({
      cloud,
      sluice: copyOfSluice(folder),
      bin: fast.bin,
      functions: { "shop.ts": shop("onInterval(Interval.Daily)") },
      environments: environments("push"),
    });
    copyFileSync(join(ROOT, "functions/gitcoin.ts"), join(project.root, "functions/gitcoin.ts"));
    events = firestoreEventStore({
      client: firestoreClient({ projectId: PROJECT, emulatorHost: emulators.firestore.host }),
      clock: systemClock(),
      random: systemRandom(),
    });
  });
  after(async () => {
    await events.close();
    project.close();
    await cloud.close();
    duck.close();
    await fast.close();
    rmSync(folder, { recursive: true, force: true });
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(100)) if (await condition()) return;
    assert.fail(`${what}: it did not come to pass\n${JSON.stringify(cloud.live?.deliveries)}\n${cloud.live?.logs()}`);
  }
  /** Resolves once there is such an event. */
  const seen = (asset: string, partition: string, matches: (event: StoredEvent) => boolean): Promise<void> =>
    until(`${asset} ${partition}`, async () => {
      const { items } = await events.history({ asset, partition, order: "newest" });
      return items.some(matches);
    });
  const isDone = ({ type }: StoredEvent): boolean => type === "run.succeeded";

  async function drop(day: string, people: number): Promise<void> {
    await cloud.gcs.put(BUCKET, `passport/${day}/scores.parquet`, await duck.file(scoresSql(day, people)));
  }
  const publish = (asset: string, body: object): Promise<string> =>
    gcloud.well(`pubsub topics publish asset.${asset.replace("/", ".")}`, `--message=${JSON.stringify(body)}`);
  const tick = (name: string): Promise<string> => gcloud.well(`scheduler jobs run ${name} --location=${REGION}`);

  function worked({ code, stdout, stderr }: Ended): string {
    assert.equal(code, 0, `${stdout}\n${stderr}\n${cloud.live?.logs()}`);
    return stdout;
  }
  /** What a command prints of the deployment: one value a line. */
  async function told(...args: readonly string[]): Promise<readonly unknown[]> {
    const text = worked(await project.sluice(...args, "--env", "prod", "--json"));
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as unknown);
  }
  /** Resolves once the table that follows the scores shows so many; it is looked at whenever it was made anew. */
  async function counted(people: number): Promise<void> {
    let looked = 0;
    await until(`${people} people`, async () => {
      const { items } = await events.history({ asset: "shop/people", types: ["materialized"], limit: 50 });
      if (items.length === looked) return false;
      looked = items.length;
      const [row] = await told("query", "SELECT n FROM shop.people");
      return z.object({ n: z.number() }).parse(row).n === people;
    });
  }

  /** Everything that looks at a deployment, after a day was loaded. */
  async function looksWell(day: string): Promise<void> {
    const [[list], [show], [runs], materialized] = await Promise.all([
      told("list"),
      told("show", SCORES),
      told("runs", "--asset", SCORES),
      told("events", "--type", "materialized", "--asset", SCORES),
    ]);
    const latest = z.object({ partition: z.string() });
    const { assets } = z
      .object({
        assets: z.array(
          z.looseObject({ key: z.string(), latest: latest.optional(), differsFromDeployed: z.string().optional() }),
        ),
      })
      .parse(list);
    for (const { key, differsFromDeployed } of assets) assert.equal(differsFromDeployed, undefined, key);
    assert.deepEqual(assets.find(({ key }) => key === SCORES)?.latest?.partition, day);
    assert.equal(z.looseObject({ key: z.string() }).parse(show).key, SCORES);
    const [newest] = z.array(z.looseObject({ partition: z.string(), status: z.string() })).parse(runs);
    assert.deepEqual([newest?.partition, newest?.status], [day, "succeeded"]);
    const partitions = z.array(z.looseObject({ partition: z.string() })).parse(materialized);
    assert.ok(partitions.some(({ partition }) => partition === day));
  }

  /** Nothing stands in the way of a message, and nothing was asked that the fake does not know. */
  function soundCloud(): void {
    assert.deepEqual(cloud.shortfalls(), []);
    assert.deepEqual(cloud.unknown, []);
  }

  /** The runs that the clock has begun. */
  async function scheduled(asset: string): Promise<readonly string[]> {
    const { items } = await events.history({ asset, types: ["run.started"], limit: 50 });
    return items.flatMap((event) =>
      event.type === "run.started" && event.cause.kind === "schedule" ? (event.run ?? []) : [],
    );
  }

  /** By which ways messages have come to a function: the paths of what it has taken. */
  const waysTo = (name: string): readonly string[] =>
    (cloud.live?.deliveries ?? [])
      .filter((delivery) => delivery.function === name && delivery.status < 300)
      .map(({ path }) => decodeURIComponent(path));

  /** A run's end is seen before its message is acknowledged. */
  const idle = (): Promise<void> => until("idle", () => cloud.live?.isIdle() === true);

  const refusals = (): readonly string[] =>
    (cloud.live?.deliveries ?? []).flatMap(({ refusal }) => refusal?.replace(/@\S+/, "") ?? []);

  /** A request by hand, a request by the clock, and a file, which is a day of the scores for so many people. */
  async function takesEverything(day: string, people: number): Promise<void> {
    const before = await scheduled("shop/days");
    await tick("schedule-shop-days");
    await publish("shop/days", { partition: day });
    await drop(day, people);
    const begun = async (): Promise<string | undefined> =>
      (await scheduled("shop/days")).find((run) => !before.includes(run));
    await until("the schedule", async () => {
      const run = await begun();
      return run !== undefined && (await events.history({ run })).items.some(isDone);
    });
    await seen("shop/days", day, isDone);
    await seen(SCORES, day, isDone);
    await counted(people);
    await looksWell(day);
    await idle();
  }

  describe("what deploy.sh has deployed runs", () => {
    test("with subscriptions of its own", async () => {
      // It lay there before anybody was told of it.
      await drop("2024-05-01", 3);
      const text = worked(await project.deploy("--yes", "--smoke", "shop/days"));
      assert.match(text, /asking for shop\/days by a message to asset\.shop\.days\n[^]*its run works: succeeded/);
      soundCloud();
      await tick("reconcile");
      await seen(SCORES, "2024-05-01", isDone);
      await counted(3);
      await takesEverything("2024-05-02", 5);
      assert.deepEqual([...new Set(waysTo("asset-shop-days"))], ["/asset.shop.days"]);

      // Only the account that pushes may call a function: a message waits until it may.
      assert.deepEqual(refusals(), []);
      const service = `service projects/${PROJECT}/locations/${REGION}/services/asset-shop-days`;
      const policy = cloud.state.policies.get(service);
      assert.ok(policy !== undefined);
      cloud.state.policies.delete(service);
      await publish("shop/days", { partition: "2024-05-03" });
      await until("a refusal", () => refusals().includes("sluice-push may not invoke asset-shop-days"));
      cloud.state.policies.set(service, policy);
      await seen("shop/days", "2024-05-03", isDone);
      await idle();
    });

    test("and with the triggers that gcloud makes, after it was moved to these", async () => {
      project.environments(environments("eventarc"));
      // Another line of the clock, because what was asked for at the end of a day is not done twice.
      project.write("shop.ts", shop('onSchedule("30 6 * * *")'));
      const listed = worked(await project.sluice("list", "--env", "prod"));
      assert.match(listed, /^not as in prod, which runs what was deployed last: .*shop\/days/m);
      const { code, stdout, stderr } = await project.deploy("--yes", "--prune", "--smoke", "shop/broken");
      assert.equal(code, 1, `${stdout}\n${stderr}`);
      assert.match(stdout, /prod is deployed: [^]*shop\/broken .*the shop is closed for good[^]*did not work: failed/);
      soundCloud();
      await idle();
      const router = `sensor-${BUCKET}`;
      const [asked, told] = [waysTo("asset-shop-days").length, waysTo(router).length];
      await takesEverything("2024-05-04", 7);
      // By the triggers, and by nothing that was there before.
      assert.deepEqual([...new Set(waysTo("asset-shop-days").slice(asked))], ["/"]);
      assert.deepEqual([...new Set(waysTo(router).slice(told))], ["/"]);
      // What is announced again comes by the bucket's topic.
      const again = waysTo(router).length;
      await tick("reconcile");
      await until("announced again", () => waysTo(router).slice(again).includes(`/bucket.${BUCKET}`));
    });
  });
});
