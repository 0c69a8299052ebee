/**
 * Files that a bucket receives every hour, day, week or month become a table by themselves: the asset that loads them, the
 * sensor and the job that clean up behind it, and the check that nothing empty is published.
 */
import { z } from "zod";
import { asset } from "../core/asset.ts";
import type { AssetDefinition } from "../core/asset.ts";
import { onInterval } from "../core/automation.ts";
import { assetCheck, inline } from "../core/check.ts";
import type { AssetCheckDefinition, InlineCheck } from "../core/check.ts";
import { DefinitionError, throwAll, within } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { canonicalJson, shortHash } from "../core/hash.ts";
import { timePartitioningType } from "../core/interval.ts";
import { about, assetName, work } from "../core/option-rules.ts";
import { checkOptions, isRecord, problemsOf } from "../core/options.ts";
import type { Shape } from "../core/options.ts";
import { readConfig } from "../core/read-config.ts";
import { job } from "../core/job.ts";
import type { JobDefinition } from "../core/job.ts";
import type { Partition } from "../core/partitions.ts";
import { timePartitions } from "../core/partitions.ts";
import { bigquery, gcs } from "../core/resources.ts";
import type { CleanUpReport } from "../core/resources.ts";
import { assetSensor, skip } from "../core/sensor.ts";
import type { SensorDefinition } from "../core/sensor.ts";
import type { Target } from "../core/target.ts";

/** Overwrite: the newest interval is the table. Incremental: every interval is one partition of it. */
export const SourceMode = Object.freeze({ Overwrite: "overwrite", Incremental: "incremental" } as const);
export type SourceMode = (typeof SourceMode)[keyof typeof SourceMode];

const name = z.string().min(1);
const DAYS = "expected number ≥ 1";
const csvOptions = z.strictObject({
  fieldDelimiter: z.string().length(1).optional(),
  skipLeadingRows: z.int().min(0).optional(),
  quote: z.string().max(1).optional(),
  nullMarker: z.string().optional(),
  allowQuotedNewlines: z.boolean().optional(),
  allowJaggedRows: z.boolean().optional(),
  encoding: z.enum(["UTF-8", "ISO-8859-1"]).optional(),
});

/** The factory's configuration. Exported so that a factory author can `.extend` it. Unknown names are refused. */
export const intervalGcsConfig = z.strictObject({
  /** The first segments of the asset's key. */
  keyPrefix: z.union([name, z.array(name).min(1)]),
  name,
  projectId: name.optional(),
  bucketName: name,
  /** Literal text, without the bucket: the folder that the files are below. */
  pathBase: z.string(),
  /** RE2, anchored at both ends, below `pathBase`, with a group `interval_timestamp`. */
  fileMatch: name,
  destinationTable: name,
  /** Staging tables, and in overwrite mode the raw tables `<table>__YYYYMMDD`, live here. */
  rawDatasetName: name,
  cleanDatasetName: name,
  interval: z.enum(["hourly", "daily", "weekly", "monthly"]),
  mode: z.enum(["overwrite", "incremental"]),
  /** Objects and raw tables of intervals older than this, counted back from the newest, may be cleaned up. */
  retentionDays: z.int(DAYS).min(1, DAYS),
  format: z.enum(["PARQUET", "CSV", "NEWLINE_DELIMITED_JSON", "AVRO", "ORC"]),
  csv: csvOptions.optional(),
  /** Bad rows that a load may drop before it fails. Default 0. */
  maxBadRecords: z.int().min(0).optional(),
  ignoreUnknownValues: z.boolean().optional(),
  /** When an interval of several files is whole; required where the pattern can match several names. */
  complete: z
    .union([
      z.strictObject({ marker: name }),
      z.strictObject({ count: z.int().min(1) }),
      z.strictObject({ settle: z.templateLiteral([z.number(), z.enum(["s", "m", "h", "d"])]) }),
    ])
    .optional(),
  /** Incremental mode: the DATE, DATETIME or TIMESTAMP column that partitions the table, instead of the time of ingestion. */
  partitionColumn: name.optional(),
  /** Default `fail`: a file whose columns differ from the table's is refused. */
  schemaChange: z.enum(["extend", "fail"]).optional(),
  /** Publish although objects that were loaded before are gone. Default false. */
  allowMissing: z.boolean().optional(),
  /** Objects of intervals that came too late to be published may be cleaned up as well. Default false. */
  cleanSuperseded: z.boolean().optional(),
  /** The columns, for whoever reads the table. */
  schema: z.instanceof(z.ZodObject).optional(),
  /** More of the asset's options: `description`, `owners`, `tags`, `group`, `kinds`, `retry`, `pool`, `freshness`, `maxEventAge`, `codeVersion`, `checks`, `previousKeys`. */
  asset: z.record(z.string(), z.unknown()).optional(),
});

type Checked = z.output<typeof intervalGcsConfig>;

/** Those of the asset's options that the factory leaves to its caller, and their names. */
export type PassedOptions = Pick<
  Parameters<typeof asset>[0],
  | "description"
  | "owners"
  | "tags"
  | "group"
  | "kinds"
  | "retry"
  | "pool"
  | "freshness"
  | "maxEventAge"
  | "codeVersion"
  | "checks"
  | "deps"
  | "previousKeys"
>;

export type IntervalGcsAsset<S extends z.ZodObject = z.ZodObject> = Omit<Checked, "asset" | "schema"> & {
  readonly asset?: PassedOptions;
  readonly schema?: S | undefined;
};

const { key: _, ...own } = about;
const PASSED: Shape<keyof PassedOptions> = {
  ...own,
  retry: work.retry,
  pool: work.pool,
  maxEventAge: work.maxEventAge,
  codeVersion: work.codeVersion,
  deps: work.deps,
};

/** `S`: the schema of the table's rows, for those who take them as an input. */
export interface IntervalGcsResponse<S extends z.ZodObject = z.ZodObject> {
  readonly asset: AssetDefinition<S>;
  readonly assets: readonly [AssetDefinition<S>];
  readonly sensors: readonly [SensorDefinition];
  readonly jobs: readonly [JobDefinition];
  readonly checks: readonly [AssetCheckDefinition];
}

/**
 * The interval import. Throws `DefinitionError` that names the asset and the field: all unknown, missing and wrong ones, or an
 * illegal table name or bucket, a pattern that is no RE2, lacks its group, or can match several names of an interval without a
 * completeness rule.
 */
export function intervalGcsImportAsset<S extends z.ZodObject = z.ZodObject>(
  options: IntervalGcsAsset<S>,
): IntervalGcsResponse<S> {
  const who = nameOf(options);
  const config = parseConfig(who, options);
  return within(who, () => responseOf(config, options));
}

function responseOf<S extends z.ZodObject>(config: Checked, options: IntervalGcsAsset<S>): IntervalGcsResponse<S> {
  const { interval } = config;
  const source = {
    bucket: config.bucketName,
    pathBase: config.pathBase,
    fileMatch: config.fileMatch,
    interval,
    ...(config.complete === undefined ? {} : { complete: config.complete }),
    ...(config.allowMissing === undefined ? {} : { allowMissing: config.allowMissing }),
  };
  const location = `gs://${config.bucketName}/${config.pathBase}` as const;
  const passed = options.asset ?? {};
  const keyPrefix = typeof config.keyPrefix === "string" ? [config.keyPrefix] : config.keyPrefix;

  const gcsAsset = asset({
    ...passed,
    kinds: passed.kinds ?? ["gcs", "bigquery"],
    key: [...keyPrefix, config.name],
    partitions: timePartitions(interval),
    source,
    target: targetOf(config),
    retention: { days: config.retentionDays, cleanSuperseded: config.cleanSuperseded ?? false },
    automation: onInterval(interval),
    resources: { bigquery: bigquery(), files: gcs.read(location) },
    checks: [...columnChecks(config), ...(passed.checks ?? [])],
    // Whatever of the configuration decides how files become rows is part of the data's version.
    codeVersion: shortHash([
      canonicalJson([config.format, config.csv, config.maxBadRecords, config.ignoreUnknownValues]),
      passed.codeVersion ?? "",
    ]),
    ...(options.schema === undefined ? {} : { schema: options.schema }),
    async materialize(_context, resources) {
      const loaded = await resources.bigquery.load({ format: config.format, options: loadOptions(config) });
      return { metadata: { rows: loaded.rows } };
    },
  });

  const cleanUpJob = job({
    name: `${config.name}_clean_up_job`,
    description: `Deletes the files of ${gcsAsset.key} that are past retention`,
    resources: { files: gcs.delete(location, gcsAsset) },
    config: z.strictObject({ before: z.iso.date(), dryRun: z.boolean().default(false) }),
    async run(context, { files }) {
      return summary(await files.deleteLoaded(context.config));
    },
  });

  const cleanUpSensor = assetSensor({
    name: `${config.name}_clean_up_sensor`,
    description: `Requests ${cleanUpJob.name} after a materialization`,
    asset: gcsAsset,
    job: cleanUpJob,
    defaultStatus: "stopped",
    evaluate(_context, { partition, materializationId }) {
      const before = pastRetention(partition, config.retentionDays);
      return before === undefined
        ? skip("nothing can be past retention yet")
        : { runKey: materializationId, config: { before } };
    },
  });

  const notEmpty = assetCheck({ asset: gcsAsset, name: "not_empty", blocking: true, rowCount: { min: 1 } });
  return { asset: gcsAsset, assets: [gcsAsset], sensors: [cleanUpSensor], jobs: [cleanUpJob], checks: [notEmpty] };
}

/** How many objects a clean-up's own event lists; each deletion is an event as well. */
const LISTED = 1_000;

function summary({ dryRun, deleted, kept, droppedTables }: CleanUpReport): Metadata {
  return {
    dryRun,
    deletedCount: deleted.length,
    deleted: deleted.slice(0, LISTED),
    keptCount: kept.length,
    kept: kept.slice(0, LISTED).map(({ uri, reason }) => ({ uri, reason })),
    droppedTables: droppedTables.slice(0, LISTED),
  };
}

/** The date that intervals must end at or before to be past retention, seen from `partition`; `undefined` before year 1. */
export function pastRetention(partition: Partition, retentionDays: number): string | undefined {
  const before = (partition.start ?? 0) - retentionDays * 86_400_000;
  return before < Date.UTC(1000, 0, 1) ? undefined : new Date(before).toISOString().slice(0, 10);
}

/** The key, as far as it can be told before the rest is known to be right. */
function nameOf(options: unknown): string {
  const { keyPrefix, name } = isRecord(options) ? options : {};
  const known = (typeof keyPrefix === "string" || Array.isArray(keyPrefix)) && typeof name === "string";
  return known ? assetName({ key: [keyPrefix, name] }) : "intervalGcsImportAsset";
}

function parseConfig(who: string, options: IntervalGcsAsset): Checked {
  const { faults, data } = readConfig(intervalGcsConfig, options, "option");
  if (faults !== undefined) {
    const remedy = 'give { marker: "_SUCCESS" }, { count: 4 } or { settle: "10m" }';
    const told = faults.map((fault) => (fault.path.startsWith("complete") ? { ...fault, remedy } : fault));
    throwAll(problemsOf(who, told));
    throw new DefinitionError("the configuration is not valid", { where: who });
  }
  checkOptions(`${who}.asset`, options.asset ?? {}, PASSED);
  return data;
}

function targetOf(config: Checked): Target {
  const project = config.projectId === undefined ? {} : { project: config.projectId };
  const common = {
    table: { ...project, dataset: config.cleanDatasetName, table: config.destinationTable },
    stagingDataset: config.rawDatasetName,
    schemaChange: config.schemaChange ?? ("fail" as const),
  };
  if (config.mode === SourceMode.Overwrite) {
    if (config.partitionColumn !== undefined) {
      throw new DefinitionError("a partition column is for incremental mode", {
        where: "partitionColumn",
        remedy: "use SourceMode.Incremental, or leave it out",
      });
    }
    return { ...common, slot: "table", keepRaw: true };
  }
  const column = config.partitionColumn === undefined ? {} : { column: config.partitionColumn };
  return { ...common, slot: "partition", partitioning: { type: timePartitioningType(config.interval), ...column } };
}

/** Rows outside of the interval would be refused by the partition that they are put in, or hidden in another one. */
function columnChecks(config: Checked): InlineCheck[] {
  const { partitionColumn } = config;
  if (partitionColumn === undefined) return [];
  return [
    inline({ name: "rows_in_interval", blocking: true, rule: { kind: "in-partition", column: partitionColumn } }),
  ];
}

function loadOptions(config: Checked): { csv?: object; maxBadRecords?: number; ignoreUnknownValues?: boolean } {
  const { csv, maxBadRecords, ignoreUnknownValues } = config;
  return {
    ...(csv === undefined
      ? {}
      : { csv: Object.fromEntries(Object.entries(csv).filter(([, value]) => value !== undefined)) }),
    ...(maxBadRecords === undefined ? {} : { maxBadRecords }),
    ...(ignoreUnknownValues === undefined ? {} : { ignoreUnknownValues }),
  };
}
