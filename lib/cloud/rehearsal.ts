/**
 * One run of an asset of our own, from its message to its commit, against services that are played. It is for `compile.ts`: what
 * a run calls is compiled after it.
 */
import { collectDefinitions } from "../core/collect.ts";
import { Interval } from "../core/interval.ts";
import { unitsOf } from "../core/units.ts";
import { SourceMode, intervalGcsImportAsset } from "../factories/interval-gcs.ts";
import { systemClock } from "../local/system-clock.ts";
import { readConfig } from "./config.ts";
import { handle } from "./handler.ts";
import { structuredLog } from "./log.ts";
import { openStage } from "./rehearsal-stage.ts";
import { cloudRuntime } from "./runtime.ts";
import { z } from "zod";

const PARTITION = "2001-01-01";

/** The types of the events that the run recorded, in their order. */
export async function rehearse(): Promise<readonly string[]> {
  const drops = intervalGcsImportAsset({
    keyPrefix: "rehearsal",
    name: "drops",
    bucketName: "rehearsal",
    pathBase: "drops",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: "drops",
    rawDatasetName: "rehearsal_raw",
    cleanDatasetName: "rehearsal",
    interval: Interval.Daily,
    mode: SourceMode.Overwrite,
    retentionDays: 10,
    format: "PARQUET",
    schema: z.object({ name: z.string(), score: z.number() }),
  });
  const { definitions, problems } = collectDefinitions([{ file: "rehearsal", exports: { drops } }]);
  const [unit] = unitsOf(definitions).filter(({ kind }) => kind === "asset");
  if (problems[0] !== undefined) throw problems[0];
  if (unit === undefined) throw new Error("the rehearsal has no function");
  const clock = systemClock();
  const stage = await openStage({
    object: `drops/${PARTITION}.parquet`,
    columns: [
      { name: "name", type: "STRING" },
      { name: "score", type: "FLOAT" },
    ],
    now: () => clock.now(),
  });
  try {
    const { host } = stage;
    const url = `http://${host}`;
    const account = { project: "rehearsal", region: "europe-west1", location: "EU", stagingBucket: "rehearsal" };
    const endpoints = { storage: url, bigquery: url, pubsub: host, firestore: host, tasks: host, secrets: host };
    const told = { ...account, queue: "q", taskAccount: "rehearsal@rehearsal.iam.gserviceaccount.com", endpoints };
    const config = readConfig({ SLUICE_CONFIG: JSON.stringify(told) });
    const types: string[] = [];
    const traces = { run: <T>(_trace: unknown, work: () => Promise<T>) => work(), get: () => undefined };
    const silent = structuredLog({ project: config.project, print: () => undefined, traces });
    const log = {
      ...silent,
      event(event: Parameters<typeof silent.event>[0]) {
        types.push(event.type);
        silent.event(event);
      },
    };
    const runtime = cloudRuntime(config, { definitions: () => definitions, log, secret: () => undefined });
    const message = {
      data: Buffer.from(JSON.stringify({ partition: PARTITION })).toString("base64"),
      messageId: "1",
      publishTime: new Date(clock.now()).toISOString(),
    };
    const request = {
      method: "POST",
      path: "/asset.rehearsal.drops",
      headers: {},
      body: { message, subscription: "s" },
    };
    await handle(request, { unit: { ...unit, definitions }, runtime, log });
    return types;
  } finally {
    stage.close();
  }
}
