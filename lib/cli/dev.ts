/** `sluice dev`: the whole platform on one machine, until Ctrl-C. */
import inspector from "node:inspector";
import { mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { cwd, pid } from "node:process";
import { watchedBuckets } from "../core/subscriptions.ts";
import type { Collected } from "../core/collect.ts";
import { PermanentError, messageOf } from "../core/errors.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { watchBuckets } from "../local/bucket-watcher.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import { catalogOf } from "./catalog.ts";
import { openControlServer } from "./control-server.ts";
import type { Handlers } from "./control-server.ts";
import { probeDev, removeDevFile, writeDevFile } from "./dev-file.ts";
import { explainLock, writeObject } from "./direct-workbench.ts";
import { eventTexts, liveLine } from "./event-lines.ts";
import { functionsLoader } from "./load-functions.ts";
import { openPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { differences, watchFunctions } from "./reload.ts";
import type { Reload } from "./reload.ts";
import { startScheduler } from "./scheduler.ts";
import type { Shell } from "./shell.ts";
import { keepSweeping } from "./sweeper.ts";
import { switchSensor } from "./switch-sensor.ts";
import { countText } from "./tables.ts";

/** What runs at Ctrl-C may finish within this time; then it gives up its claim and goes on at the next start. */
const GRACE_MS = 5_000;
const LIST_BUCKETS_EVERY_MS = 600_000;
/** A command that waits asks again after this long. */
const SETTLE_ANSWER_MS = 10_000;

/** Resolves when it was asked to stop, and has. Throws `PermanentError` (`running`) while another one has the home. */
export async function dev(shell: Shell, { port }: { readonly port?: number }): Promise<void> {
  const { home, project, paint, signal } = shell;
  const running = await probeDev(home);
  if (running !== undefined) {
    throw new PermanentError(
      `sluice dev runs for ${home} already, as process ${running.pid}; stop that one, or choose another --home`,
      { code: "running" },
    );
  }
  const clock = systemClock();
  const random = systemRandom();
  const warn = (line: string): void => shell.warn(line, "yellow");
  const onError = (error: unknown): void => warn(messageOf(error));

  const loader = functionsLoader(project);
  let current: Collected = await loader.load();
  for (const problem of current.problems) warn(messageOf(problem));
  let catalog = catalogOf(current);
  const definitions = (): Collected["definitions"] => current.definitions;

  const platform = await openPlatform({
    home,
    definitions,
    onError,
    // A paused process is not a dead one.
    holdLeases: () => inspector.url() !== undefined,
  }).catch((error: unknown) => explainLock(error, home));
  const { events, bus, objects, runtime, warehouse } = platform;
  const texts = eventTexts();
  events.onEvents((happened) => {
    for (const event of happened) {
      shell.value(event);
      const line = liveLine(event, texts, paint);
      if (line !== undefined) shell.print(line);
    }
  });

  const server = await openControlServer({
    handlers: handlersOf(),
    topics: () => catalog.topics,
    publish: (topic, { data, attributes }) => bus.publishRaw(topic, data, attributes),
    async put(uri, body, aborted) {
      const object = await writeObject(objects, uri, body, aborted);
      await (definitionsWatch(object.bucket) ? watcher.report(object) : undefined);
      return object;
    },
    query: (sql, aborted) => warehouse.query(sql, { signal: aborted }),
    ...(port === undefined ? {} : { port }),
  }).catch(async (error: unknown) => {
    await platform.close(0);
    throw error;
  });

  await makeBucketFolders();
  await banner();
  bus.start();
  const watcher = watchBuckets({
    store: objects,
    clock,
    buckets: () => watchedBuckets(definitions()),
    onFinalized: (object) => platform.announceObject(object),
    onError,
    onRefused: (path, reason) => void refuseFile(path, reason).catch(onError),
  });
  const sweeper = keepSweeping({ ...platform, clock, onError });
  const scheduler = startScheduler({ events, bus, clock, definitions, onProblem: warn, onError });
  const lister = setInterval(() => void runtime.sweepBuckets().catch(onError), LIST_BUCKETS_EVERY_MS);
  const reloading = watchFunctions({ project, loader, onReload, onError });
  // The file comes last: whoever finds it finds everything ready.
  await writeDevFile(home, server.address);

  await stopped();
  shell.print(paint("dim", "stopping; Ctrl-C again ends at once"));
  await removeDevFile(home, pid);
  clearInterval(lister);
  await Promise.all([reloading.close(), watcher.close(), scheduler.stop(), sweeper.stop()]);
  await platform.close(GRACE_MS);
  await server.close();
  shell.print(paint("dim", "stopped"));

  function stopped(): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  function definitionsWatch(bucket: string): boolean {
    return watchedBuckets(definitions()).includes(bucket);
  }

  async function makeBucketFolders(): Promise<void> {
    for (const bucket of watchedBuckets(definitions())) await mkdir(join(objects.root, bucket), { recursive: true });
  }

  async function onReload({ loaded, files }: Reload): Promise<void> {
    const what = files.join(", ");
    if (loaded.problems.length > 0) {
      for (const problem of loaded.problems) warn(messageOf(problem));
      warn(`${what}: not taken over; the definitions before it stay in force`);
      catalog = { ...catalog, problems: loaded.problems.map(messageOf), broken: (loaded.broken ?? []).map(messageOf) };
      return;
    }
    const before = catalog;
    current = loaded;
    catalog = catalogOf(loaded);
    const changes = differences(before, catalog);
    shell.print(paint("cyan", `reloaded ${what}: ${changes.length === 0 ? "new code" : changes.join(", ")}`));
    await makeBucketFolders();
    scheduler.refresh();
    await watcher.rescan();
  }

  async function refuseFile(path: string, reason: string): Promise<void> {
    const uri = `gs://${path}`;
    const id = `refused-${shortHash(["file", uri])}`;
    const at = clock.now();
    await events.append([{ v: EVENT_VERSION, id, at, type: "object.refused", uri, reason }]);
  }

  function handlersOf(): Handlers {
    return {
      catalog: async () => catalog,
      get: async ({ kind, id }) => (await events.get(kind, id)) ?? null,
      history: (query) => events.history(query),
      runs: (query) => events.runs(query),
      partitions: (query) => events.partitions(query),
      sensors: () => events.sensors(),
      publish: async ({ topic, data, attributes }) => ({ messageId: await bus.publishRaw(topic, data, attributes) }),
      async switchSensor({ name, status }) {
        await switchSensor({ events, clock, random }, name, status);
        return {};
      },
      async operate(request) {
        const { operations } = runtime;
        switch (request.what) {
          case "cancel":
            return { answer: await operations.cancel(request.run, request.reason) };
          case "pause":
            return { answer: await operations.pause(request.asset, request.reason) };
          case "resume":
            return { answer: await operations.resume(request.asset) };
          case "replay-dead-letter":
            return { answer: await operations.replayDeadLetter(request.deadLetter) };
        }
      },
      changes: async (table) => ({ changes: (await warehouse.changes(table)) ?? null }),
      settle: async () => ({ settled: await isIdleWithin(platform, SETTLE_ANSWER_MS) }),
    };
  }

  async function banner(): Promise<void> {
    const { assets, sensors, buckets } = catalog;
    const { url } = server.address;
    const example = assets[0];
    const rows: (readonly [string, string])[] = [
      ["project", `${project}  ${countText(assets.length, "asset")}, ${countText(sensors.length, "sensor")}`],
      ...buckets.map((bucket) => ["drop files in", shortPath(join(objects.root, bucket))] as const),
      ["commands", "sluice list · show · materialize · runs · events · query, in another terminal"],
    ];
    if (example !== undefined) {
      rows.push(
        ["publish", `sluice publish ${example.topic} --message '{}'`],
        ["or by gcloud", `CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=${url}/ \\`],
        ["", "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=local \\"],
        ["", `gcloud pubsub topics publish ${example.topic} --message '{}'`],
      );
    }
    shell.print(`${paint("bold", "sluice dev")}  ${paint("dim", `${url}, times are UTC, Ctrl-C stops`)}`);
    for (const [name, text] of rows) shell.print(`  ${paint("dim", name.padEnd(14))} ${text}`);
    shell.print();
  }
}

async function isIdleWithin({ bus }: Platform, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const idle = bus.idle().then(() => true);
  const settled = await Promise.race([idle, late.promise]);
  clearTimeout(timer);
  return settled;
}

/** Relative where that is shorter, so that it can be copied. */
function shortPath(path: string): string {
  const near = relative(cwd(), path);
  return near.length < path.length && !near.startsWith("..") ? `${near}/` : `${path}/`;
}
