/**
 * A child of `latency.ts`: a platform with its watcher, which notes when what happens. All times are milliseconds of the
 * machine's monotonic clock, which parent and child share.
 */
import process from "node:process";
import { openPlatform } from "../lib/cli/platform.ts";
import { collectDefinitions } from "../lib/core/collect.ts";
import { intervalGcsImportAsset } from "../lib/factories/interval-gcs.ts";
import { watchBuckets } from "../lib/local/bucket-watcher.ts";
import { systemClock } from "../lib/local/system-clock.ts";
import { machineMs } from "./measure.ts";

/** When each step of an object's way was reached, those that were not seen or could not be told apart left out. */
export interface Trip {
  announced?: number;
  started?: number;
  loading?: number;
  publishing?: number;
  committed?: number;
}

const [home = "", settle = ""] = process.argv.slice(2);
const { definitions } = collectDefinitions([
  {
    file: "bench.ts",
    exports: {
      drops: intervalGcsImportAsset({
        keyPrefix: "bench",
        name: "drops",
        bucketName: "bench-drops",
        pathBase: "",
        fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
        destinationTable: "drops",
        rawDatasetName: "bench_raw",
        cleanDatasetName: "bench",
        interval: "daily",
        mode: "incremental",
        retentionDays: 90,
        format: "PARQUET",
      }),
    },
  },
]);

const trips = new Map<string, Trip>();
const running = new Map<string, Trip>();
const tripOf = (name: string): Trip => {
  const trip = trips.get(name) ?? {};
  trips.set(name, trip);
  return trip;
};

const platform = await openPlatform({
  home,
  definitions: () => definitions,
  settleMs: Number(settle),
  gate(jobId) {
    // A job does not say whose it is; while one run is at work alone, it is that run's.
    const [trip] = running.size === 1 ? running.values() : [];
    if (trip !== undefined && jobId.startsWith("load-")) trip.loading ??= machineMs();
    if (trip !== undefined && jobId.startsWith("pub-")) trip.publishing ??= machineMs();
    return Promise.resolve();
  },
});
let ended = 0;
platform.events.onEvents((events) => {
  const now = machineMs();
  for (const event of events) {
    const { run } = event;
    if (run === undefined) continue;
    if (event.type === "run.started" && event.cause.kind === "object") {
      const trip = tripOf(event.cause.uri.slice("gs://bench-drops/".length));
      trip.started ??= now;
      running.set(run, trip);
    }
    const trip = running.get(run);
    if (trip === undefined) continue;
    if (event.type === "run.failed" || event.type === "run.parked") throw new Error(event.reason);
    if (event.type !== "run.succeeded") continue;
    trip.committed = now;
    running.delete(run);
    ended += 1;
    process.send?.({ ended });
  }
});
const watcher = watchBuckets({
  store: platform.objects,
  clock: systemClock(),
  buckets: () => ["bench-drops"],
  onFinalized(object) {
    tripOf(object.name).announced ??= machineMs();
    return platform.announceObject(object);
  },
  onError(error) {
    throw error;
  },
});
await watcher.ready;
platform.bus.start();
process.send?.({ ended });

// A parent that died needs no figures.
process.once("disconnect", () => process.exit());
process.once("message", () => {
  void (async () => {
    await watcher.close();
    await platform.settle();
    await platform.close();
    process.send?.({ trips: Object.fromEntries(trips) });
    process.disconnect();
  })();
});
