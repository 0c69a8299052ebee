/**
 * A child of `rows.ts`: an asset's rows the whole way, from the request to the committed materialization. The async generator that
 * every example has makes them; they are checked, staged in the folder bucket, loaded by DuckDB and published.
 */
import process from "node:process";
import { openPlatform } from "../lib/cli/platform.ts";
import { topicOf } from "../lib/core/asset-key.ts";
import { asset } from "../lib/core/asset.ts";
import { collectDefinitions } from "../lib/core/collect.ts";
import { bigqueryTable } from "../lib/core/io-manager.ts";
import { peakMb } from "./measure.ts";
import { scoreOf, scoreSchema } from "./scores.ts";

const [home = "", rowsText = "0"] = process.argv.slice(2);
const total = Number(rowsText);
const scores = asset({
  key: "bench/scores",
  schema: scoreSchema,
  ioManager: bigqueryTable(),
  async *materialize({ row }) {
    const score = scoreOf();
    for (let id = 0; id < total; id++) yield row(score(id));
  },
});
const { definitions, problems } = collectDefinitions([{ file: "bench.ts", exports: { scores } }]);
if (problems[0] !== undefined) throw problems[0];

const loading: { ms?: number; peakMb?: number } = {};
const platform = await openPlatform({
  home,
  definitions: () => definitions,
  gate(jobId) {
    if (jobId.startsWith("load-")) {
      loading.ms ??= performance.now();
      loading.peakMb ??= peakMb();
    }
    return Promise.resolve();
  },
});
platform.bus.start();

const committed = Promise.withResolvers<number>();
platform.events.onEvents((events) => {
  for (const event of events) {
    if (event.type === "run.succeeded") committed.resolve(performance.now());
    if (event.type === "run.failed" || event.type === "run.parked") committed.reject(new Error(event.reason));
  }
});
const cpu = process.cpuUsage();
const began = performance.now();
await platform.bus.publish(topicOf(scores.key), { data: {}, attributes: {} });
const ms = (await committed.promise) - began;
const { user, system } = process.cpuUsage(cpu);
await platform.settle();
const peak = peakMb();

const table = await platform.warehouse.describe({ dataset: "bench", table: "scores" });
await platform.close();
process.stdout.write(
  JSON.stringify({
    ms,
    cpuMs: (user + system) / 1000,
    peakMb: peak,
    rows: table?.rows,
    untilLoadMs: (loading.ms ?? NaN) - began,
    untilLoadMb: loading.peakMb,
  }),
);
