/** The work done by this very process. Each part is opened when it is first needed: lists never open the warehouse. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Collected } from "../core/collect.ts";
import { PermanentError, messageOf } from "../core/errors.ts";
import type { DuckdbWarehouse } from "../local/duckdb/warehouse.ts";
import type { FolderObjectStore } from "../local/folder-object-store.ts";
import { openSqliteEventStore } from "../local/sqlite-event-store.ts";
import type { SqliteEventStore } from "../local/sqlite-event-store.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import { cancelRun, pauseAsset, resumeAsset } from "../runtime/operations.ts";
import type { Desk } from "../runtime/operations.ts";
import { catalogOf } from "./catalog.ts";
import { functionsLoader } from "./load-functions.ts";
import type { Platform } from "./platform.ts";
import { keepSweeping } from "./sweeper.ts";
import type { Sweeper } from "./sweeper.ts";
import { switchSensor } from "./switch-sensor.ts";
import type { QueryResult, ReadableStore, Workbench, WorkbenchOptions } from "./workbench.ts";

/** What runs when the command ends is given this long; then it is released, and goes on with the next command. */
const GRACE_MS = 2_000;

export function directWorkbench({ home, project, warn }: WorkbenchOptions): Workbench {
  let loading: Promise<Collected> | undefined;
  let opening: Promise<{ readonly platform: Platform; readonly sweeper: Sweeper }> | undefined;
  let reading: SqliteEventStore | undefined;
  let looking: Promise<DuckdbWarehouse> | undefined;
  const onError = (error: unknown): void => warn(messageOf(error));

  const load = (): Promise<Collected> => (loading ??= functionsLoader(project).load());

  const open = async (): Promise<{ readonly platform: Platform; readonly sweeper: Sweeper }> => {
    const { definitions, problems } = await load();
    for (const problem of problems) warn(messageOf(problem));
    const { openPlatform } = await import("./platform.ts");
    const platform = await openPlatform({ home, definitions: () => definitions, onError }).catch((error: unknown) =>
      explainLock(error, home),
    );
    platform.bus.start();
    return { platform, sweeper: keepSweeping({ ...platform, clock: systemClock(), onError }) };
  };
  const working = async (): Promise<Platform> => (await (opening ??= open())).platform;

  /** A home that nothing was done in yet has no history; looking at it does not make one. */
  const readStore = async (): Promise<SqliteEventStore> => {
    // Where another process has the rest open, whoever asked for that was told; the history can be read all the same.
    const opened = await opening?.catch(() => undefined);
    if (opened !== undefined) return opened.platform.events;
    const file = join(home, "events.sqlite");
    return (reading ??= openSqliteEventStore({ file: existsSync(file) ? file : ":memory:" }));
  };
  const store: ReadableStore = {
    get: async (kind, id) => await (await readStore()).get(kind, id),
    history: async (query) => await (await readStore()).history(query),
    runs: async (query) => await (await readStore()).runs(query),
    partitions: async (query) => await (await readStore()).partitions(query),
    sensors: async () => await (await readStore()).sensors(),
  };

  /** Several processes may share the history, so that this works beside one that has all the rest open. */
  const withDesk = async <T>(work: (desk: Desk) => Promise<T>): Promise<T> => {
    const { definitions } = await load();
    await mkdir(home, { recursive: true });
    const events = openSqliteEventStore({ file: join(home, "events.sqlite") });
    try {
      return await work({ events, clock: systemClock(), random: systemRandom(), definitions: () => definitions });
    } finally {
      events.close();
    }
  };

  return {
    remote: false,
    store,
    catalog: async () => catalogOf(await load()),

    async publish(topic, { data, attributes }) {
      return await (await working()).bus.publishRaw(topic, data, attributes);
    },

    async put(uri, body, signal) {
      const platform = await working();
      const object = await writeObject(platform.objects, uri, body, signal);
      await platform.announceObject(object);
      return object;
    },

    async query(sql, signal) {
      const warehouse = await openWarehouse(home);
      const close = (): Promise<void> => warehouse.close();
      try {
        const { columns, rows } = await warehouse.query(sql, { signal });
        return { columns, rows: thenClose(rows, close) };
      } catch (error) {
        await close();
        throw error;
      }
    },

    tables: {
      // One clock for all.
      slackMs: 0,
      async changes(table) {
        const opened = await opening?.catch(() => undefined);
        if (opened !== undefined) return await opened.platform.warehouse.changes(table);
        if (!existsSync(join(home, "warehouse.duckdb"))) return undefined;
        return await (await (looking ??= openWarehouse(home))).changes(table);
      },
    },

    async switchSensor(name, status) {
      const events = openSqliteEventStore({ file: join(home, "events.sqlite") });
      try {
        await switchSensor({ events, clock: systemClock(), random: systemRandom() }, name, status);
      } finally {
        events.close();
      }
    },

    operations: {
      cancel: (run, reason) => withDesk((desk) => cancelRun(desk, run, reason)),
      pause: (asset, reason) => withDesk((desk) => pauseAsset(desk, asset, reason)),
      resume: (asset) => withDesk((desk) => resumeAsset(desk, asset)),
      replayDeadLetter: async (id) => await (await working()).runtime.operations.replayDeadLetter(id),
    },

    async settle() {
      await (await working()).settle();
    },

    async close() {
      reading?.close();
      await (await looking?.catch(() => undefined))?.close();
      const opened = await opening?.catch(() => undefined);
      if (opened === undefined) return;
      await opened.sweeper.stop();
      await opened.platform.close(GRACE_MS);
    },
  };
}

async function openWarehouse(home: string): Promise<DuckdbWarehouse> {
  const { folderObjectStore } = await import("../local/folder-object-store.ts");
  const { openDuckdbWarehouse } = await import("../local/duckdb/warehouse.ts");
  await mkdir(home, { recursive: true });
  const clock = systemClock();
  const { resolveUri } = folderObjectStore({ root: join(home, "buckets"), clock });
  const file = join(home, "warehouse.duckdb");
  return await openDuckdbWarehouse({ file, resolveUri, clock }).catch((error: unknown) => explainLock(error, home));
}

/** Stores what is streamed in under `gs://bucket/name`. */
export async function writeObject(
  objects: FolderObjectStore,
  uri: string,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): ReturnType<FolderObjectStore["write"]> {
  const { parseObjectUri } = await import("../local/object-path.ts");
  const { bucket, name } = parseObjectUri(uri);
  return await objects.write(bucket, name, body, { signal });
}

/** One process at a time has the warehouse's file open. */
export function explainLock(error: unknown, home: string): never {
  if (!(error instanceof PermanentError) || error.code !== "locked") throw error;
  throw new PermanentError(
    `another sluice process uses ${home}; wait for it, or run \`sluice dev\` and work through that`,
    { code: "locked", cause: error },
  );
}

async function* thenClose(rows: QueryResult["rows"], close: () => Promise<void>): QueryResult["rows"] {
  try {
    yield* rows;
  } finally {
    await close();
  }
}
