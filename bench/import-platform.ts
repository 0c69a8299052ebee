/** A child of `import.ts`: the file through the platform, from the announced object to the committed materialization. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { openPlatform } from "../lib/cli/platform.ts";
import { collectDefinitions } from "../lib/core/collect.ts";
import { intervalGcsImportAsset } from "../lib/factories/interval-gcs.ts";
import { flightsFile, peakMb } from "./measure.ts";

const [home = ""] = process.argv.slice(2);
const { definitions } = collectDefinitions([
  {
    file: "bench.ts",
    exports: {
      flights: intervalGcsImportAsset({
        keyPrefix: "bench",
        name: "flights",
        bucketName: "bench-drops",
        pathBase: "flights",
        fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d)\.parquet`,
        destinationTable: "flights",
        rawDatasetName: "bench_raw",
        cleanDatasetName: "bench",
        interval: "monthly",
        mode: "overwrite",
        retentionDays: 90,
        format: "PARQUET",
      }),
    },
  },
]);
const name = "flights/2001-06.parquet";
const jobs: { load?: number; publish?: number } = {};
const platform = await openPlatform({
  home,
  definitions: () => definitions,
  settleMs: 0,
  gate(jobId) {
    if (jobId.startsWith("load-")) jobs.load ??= performance.now();
    if (jobId.startsWith("pub-")) jobs.publish ??= performance.now();
    return Promise.resolve();
  },
});
const target = platform.objects.pathOf("bench-drops", name);
await mkdir(join(target, ".."), { recursive: true });
await copyFile(flightsFile, target);
const object = await platform.objects.stat("bench-drops", name);
if (object === undefined) throw new Error(`${name} is not there`);
platform.bus.start();
const ready = performance.now();

const committed = Promise.withResolvers<number>();
platform.events.onEvents((events) => {
  for (const event of events) {
    if (event.type === "run.succeeded") committed.resolve(performance.now());
    if (event.type === "run.failed" || event.type === "run.parked") committed.reject(new Error(event.reason));
  }
});
const began = performance.now();
await platform.announceObject(object);
const commit = await committed.promise;
const { load: loading = NaN, publish: publishing = NaN } = jobs;
const steps = { beforeMs: loading - began, stagingMs: publishing - loading, publishMs: commit - publishing };
await platform.settle();
const finishedMs = performance.now() - began;
const peak = peakMb();

const table = await platform.warehouse.describe({ dataset: "bench", table: "flights" });
await platform.close();
process.stdout.write(
  JSON.stringify({ startMs: ready, loadMs: commit - began, finishedMs, ...steps, peakMb: peak, rows: table?.rows }),
);
