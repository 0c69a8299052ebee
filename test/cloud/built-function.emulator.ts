/** A built function as a process, with all of the cloud around it: a whole run, a secret, and the end of the process in the middle. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import type { TestContext } from "node:test";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { build } from "../../infra/build.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { PROJECT, STAGING, startCloudServices } from "../support/cloud-services.ts";
import type { CloudServices } from "../support/cloud-services.ts";
import { withEmulators } from "../support/emulators.ts";
import { freePort, startFunction } from "../support/function-process.ts";
import type { FunctionProcess } from "../support/function-process.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import { pushOf } from "../support/plain-runtime.ts";
import { temporaryProject } from "../support/sluice-command.ts";
import type { Project } from "../support/sluice-command.ts";

const TOKEN = 'pa"ss\\word-0815';
const BUCKET = "drops";

/** An import, and an asset whose code tells everybody its secret and then waits for what `gate` says. */
const sourcesFor = (gate: string): Readonly<Record<string, string>> => ({
  "scores.ts": `
    import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
    export const scores = intervalGcsImportAsset({
      keyPrefix: "shop", name: "scores", bucketName: "${BUCKET}", pathBase: "scores",
      fileMatch: String.raw\`(?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d)/scores\\.parquet\`,
      destinationTable: "scores", rawDatasetName: "raw", cleanDatasetName: "shop",
      interval: Interval.Daily, mode: SourceMode.Overwrite, retentionDays: 10, format: "PARQUET",
    });`,
  "crawl.ts": `
    import { asset, secret } from "sluice";
    export const pages = asset({
      key: "crawl/pages",
      resources: { token: secret("crawl-token") },
      async materialize({ log, signal, metadata }, { token }) {
        log.info(\`asking with \${token}\`, { header: [token] });
        console.log("by hand: " + token);
        console.error(JSON.stringify({ token }));
        metadata({ token });
        await fetch("${gate}", { signal });
      },
    });`,
});

await withEmulators((emulators) => {
  let project: Project;
  let cloud: CloudServices;
  let events: EventStore & { close(): Promise<void> };
  let dist = "";
  // Whoever asks waits until it is opened.
  let gate = Promise.withResolvers<void>();
  let asked = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    asked.resolve();
    void gate.promise.then(() => response.end("ok"));
  });

  before(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo; // it listens on a port
    project = temporaryProject(sourcesFor(`http://127.0.0.1:${port}/`));
    const { definitions, problems, modules } = await functionsLoader(project.root).load();
    assert.deepEqual(problems, []);
    dist = join(project.root, "dist");
    await build({ root: project.root, outDir: dist, definitions, modules });
    cloud = await startCloudServices({
      firestore: emulators.firestore.host,
      pubsub: emulators.pubsub.host,
      database: "built",
      buckets: [BUCKET],
      datasets: ["raw", "shop"],
      secrets: new Map([["crawl-token", { value: TOKEN }]]),
    });
    for (const topic of ["materialized.shop.scores", "materialized.crawl.pages"]) await cloud.createTopic(topic);
    events = firestoreEventStore({
      client: firestoreClient({ projectId: PROJECT, databaseId: "built", emulatorHost: emulators.firestore.host }),
      clock: systemClock(),
      random: systemRandom(),
    });
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await events.close();
    await cloud.close();
    await project.remove();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  async function started(t: TestContext, name: string): Promise<FunctionProcess> {
    const env = { SLUICE_FUNCTION: name, SLUICE_CONFIG: JSON.stringify(cloud.config) };
    const running = startFunction(await freePort(), { source: dist, env });
    t.after(async () => {
      running.kill();
      await running.ended;
    });
    return running;
  }

  test("a Parquet drop becomes a table, by the bundle alone", async (t) => {
    const duck = await openDuck();
    t.after(() => duck.close());
    const day = "2024-05-01";
    await cloud.gcs.put(BUCKET, `scores/${day}/scores.parquet`, await duck.file(scoresSql(day, 7)));
    const running = await started(t, "asset-shop-scores");
    const answer = await running.post("/asset.shop.scores", pushOf({ partition: day }));
    assert.equal(answer.status, 204, running.output());
    const { items } = await events.history({ asset: "shop/scores", order: "oldest" });
    assert.deepEqual(
      items.map(({ type }) => type),
      ["run.started", "check.evaluated", "materialized", "run.succeeded"],
    );
    const run = items[0]?.run ?? assert.fail("no run");
    const logged = running.log().map((line) => line["logging.googleapis.com/labels"]);
    assert.deepEqual(
      logged,
      items.map(() => ({ sluice_asset: "shop/scores", sluice_partition: day, sluice_run: run })),
    );
    assert.equal(cloud.gcs.objects(STAGING).length, 0);

    const again = await running.post("/asset.shop.scores", pushOf({ partition: day, runKey: "other" }));
    assert.equal(again.status, 204);
    const runs = (await events.runs({ name: "shop/scores" })).items;
    assert.deepEqual(runs.map(({ status }) => status).sort(), ["skipped", "succeeded"]);
  });

  test("a secret is in no line that the process prints, whoever prints it", async (t) => {
    gate.resolve();
    const running = await started(t, "asset-crawl-pages");
    const answer = await running.post("/asset.crawl.pages", pushOf({}, undefined, "secret"));
    assert.equal(answer.status, 204, running.output());
    const output = running.output();
    assert.match(output, /by hand: \[secret\]/);
    assert.match(output, /asking with \[secret\]/);
    assert.match(output, /\{"token":"\[secret\]"\}/);
    assert.doesNotMatch(output, /0815/);
    assert.doesNotMatch(JSON.stringify((await events.history({ asset: "crawl/pages" })).items), /0815/);
  });

  test("asked to end in the middle of a run, it parks the run, refuses what comes, and is gone; another one goes on", async (t) => {
    gate = Promise.withResolvers();
    asked = Promise.withResolvers();
    const first = await started(t, "asset-crawl-pages");
    const pending = first.post("/asset.crawl.pages", pushOf({}, undefined, "cut"));
    await asked.promise;
    first.kill("SIGTERM");
    // A signal may be slower than a request; whatever is taken before it is on record.
    await pause(100);
    const late = await first.post("/asset.crawl.pages", pushOf({}, undefined, "late")).catch(() => undefined);
    assert.ok(late === undefined || late.status === 503, "it comes again");
    // At the end of its patience the process would have cut this answer off.
    assert.equal((await pending).status, 204, "the message was taken: the run is on record");
    assert.deepEqual(await first.ended, { code: 0, signal: null });
    const [parked] = (await events.runs({ name: "crawl/pages", status: "parked" })).items;
    assert.deepEqual([parked?.code, parked?.failures], ["stopped", 0]);
    const partition = await events.get("partition", partitionRef("crawl/pages", "").id);
    assert.equal(partition?.holder?.parked, true, "nobody has to wait for its lease");
    const wakes = cloud.tasks.calls.filter((call) => call.includes("/tasks"));
    assert.equal(wakes.length, 1, "it is asked for again at once");

    gate.resolve();
    const second = await started(t, "asset-crawl-pages");
    const answer = await second.post("/asset.crawl.pages", pushOf({ wake: parked?.id }, undefined, "wake"));
    assert.equal(answer.status, 204, second.output());
    assert.equal((await events.get("run", parked?.id ?? ""))?.status, "succeeded");
  });
});
