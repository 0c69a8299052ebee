/** Small daily files whose rows say which version of which file they come from, and what of them is visible. */
import assert from "node:assert/strict";
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
import type { IntervalGcsAsset } from "sluice";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import type { LocalPlatform } from "./local-platform.ts";
import type { Ports } from "./mortal.ts";
import type { Duck, Rows } from "./parquet.ts";

export const ASSET = { kind: "asset", key: "test/days" } as const;

export function days(more: Partial<IntervalGcsAsset> = {}): Readonly<Record<string, unknown>> {
  const imported = intervalGcsImportAsset({
    keyPrefix: "test",
    name: "days",
    bucketName: "drops",
    pathBase: "days",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: "days",
    rawDatasetName: "raw",
    cleanDatasetName: "clean",
    interval: Interval.Daily,
    mode: SourceMode.Incremental,
    retentionDays: 10,
    format: "PARQUET",
    asset: { retry: { delaySeconds: 0.2, maxDelaySeconds: 0.5 } },
    ...more,
  });
  return { imported };
}
export const overwrite = { mode: SourceMode.Overwrite } as const;
export const parts = { fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/part-\d+\.parquet` } as const;

export const dayOf = (index: number): string => new Date(Date.UTC(2024, 4, index)).toISOString().slice(0, 10);
export const uriOf = (day: string): string => `gs://drops/days/${day}.parquet`;
/** Rows that say which version of which file they come from. */
export const fileOf = (duck: Duck, day: string, version: number, rows = 20, part = 0): Promise<Buffer> =>
  duck.file(
    `SELECT DATE '${day}' AS day, ${version} AS version, ${part} AS part, i::INT AS i FROM range(${rows}) AS t(i)`,
  );

/** One line for each day, version and part that the table shows. */
export async function contentOf(platform: LocalPlatform): Promise<readonly string[]> {
  const found = await platform
    .rows(
      "SELECT CAST(day AS STRING) AS day, version, part, COUNT(*) AS n, SUM(i) AS s FROM clean.days GROUP BY 1, 2, 3 ORDER BY 1, 2, 3, 4, 5",
    )
    .catch((error: unknown): Rows => {
      if (error instanceof Error && /does not exist/.test(error.message)) return [];
      throw error;
    });
  return found.map(
    ({ day, version, part, n, s }) => `${String(day)} v${String(version)} p${String(part)} ${String(n)}/${String(s)}`,
  );
}
export const line = (day: string, version: number, rows = 20, part = 0): string =>
  `${day} v${version} p${part} ${rows}/${(rows * (rows - 1)) / 2}`;

/** Polls the table until it is stopped; every observation is a sorted list of lines. */
export function reader(platform: LocalPlatform) {
  const seen = new Map<string, readonly string[]>();
  let stopped = false;
  const polling = (async (): Promise<void> => {
    while (!stopped) {
      const content = await contentOf(platform);
      seen.set(content.join("; "), content);
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  })();
  return {
    /** Everything that was ever visible, in the order of its first sight. */
    async stop(): Promise<readonly (readonly string[])[]> {
      stopped = true;
      await polling;
      return [...seen.values()];
    },
  };
}

/** Every line that was ever seen is one of these. */
export function onlyWhole(observations: readonly (readonly string[])[], allowed: readonly string[]): void {
  for (const content of observations) {
    for (const seen of content) assert.ok(allowed.includes(seen), `half visible: ${seen}`);
    const dates = content.map((text) => text.slice(0, 10));
    assert.equal(new Set(dates).size, dates.length, `a day twice: ${content.join("; ")}`);
  }
}

/** Holds back the warehouse jobs whose ids match. */
export function gates() {
  let pattern: RegExp | undefined;
  let release: () => void = () => undefined;
  let held: Promise<void> = Promise.resolve();
  let arrived: (jobId: string) => void = () => undefined;
  return {
    gate: async (jobId: string): Promise<void> => {
      if (pattern?.test(jobId) !== true) return;
      arrived(jobId);
      await held;
    },
    /** Resolves with the id of the first job that is held. */
    hold(jobs: RegExp): Promise<string> {
      pattern = jobs;
      const gate = Promise.withResolvers<void>();
      held = gate.promise;
      release = gate.resolve;
      const first = Promise.withResolvers<string>();
      arrived = first.resolve;
      return first.promise;
    },
    release(): void {
      pattern = undefined;
      release();
    },
  };
}

export function portsOf(platform: LocalPlatform): Ports {
  const { objects, warehouse, events, bus } = platform;
  const secrets = { access: () => Promise.reject(new Error("there are no secrets here")) };
  return { objects, warehouse, events, bus, secrets, clock: systemClock(), random: systemRandom() };
}

/** Another process over the same stores. */
export function otherRuntime(platform: LocalPlatform, ports: Ports, settings: Partial<Settings> = {}): Runtime {
  return createRuntime({ ...ports, definitions: () => platform.definitions, settings });
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function settled(platform: LocalPlatform, expected: readonly string[]): Promise<void> {
  await platform.quiet(15_000);
  assert.deepEqual(await contentOf(platform), expected);
  assert.deepEqual(await platform.leftovers(), []);
}
