/** The authors' API, and nothing else. */
export { asset } from "./core/asset.ts";
export type {
  AssetDefinition,
  AssetOptions,
  MaterializeContext,
  MaterializeResult,
  Retention,
  Target,
} from "./core/asset.ts";
export { onInterval, onSchedule } from "./core/automation.ts";
export type { AutomationCondition } from "./core/automation.ts";
export { assetCheck } from "./core/check.ts";
export type { AssetCheckDefinition, AssetCheckOptions, InlineCheck } from "./core/check.ts";
export type { BaseContext, Log, RetryPolicy } from "./core/definition.ts";
export { DefinitionError, PermanentError, RetryableError } from "./core/errors.ts";
export { combineResponses, filterResponse } from "./core/factory-response.ts";
export type { AssetFactoryResponse } from "./core/factory-response.ts";
export { Interval } from "./core/interval.ts";
export { job } from "./core/job.ts";
export type { JobContext, JobDefinition, JobOptions } from "./core/job.ts";
export { daily, hourly, monthly, staticPartitions, timePartitions, weekly } from "./core/partitions.ts";
export type { Partition, PartitionsDefinition } from "./core/partitions.ts";
export { bigquery, gcs, secret } from "./core/resources.ts";
export type { BigQueryResource, LoadedObjects, ReadableObjects, ResourceDefinition } from "./core/resources.ts";
export { assetSensor, objectSensor, skip } from "./core/sensor.ts";
export type { FinalizedObject, MaterializationEvent, SensorDefinition, SensorRequest, Skip } from "./core/sensor.ts";
export { sql } from "./core/sql.ts";
export type { Column, TableRef, TimePartitioning } from "./core/table.ts";
export { intervalGcsConfig, intervalGcsImportAsset, pastRetention, SourceMode } from "./factories/interval-gcs.ts";
export type { IntervalGcsAsset, IntervalGcsResponse } from "./factories/interval-gcs.ts";
