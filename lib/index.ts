/** The authors' API, and nothing else. */
export { asset, dependsOn } from "./core/asset.ts";
export type {
  AssetDefinition,
  AssetOptions,
  Dependency,
  InputMap,
  MaterializeContext,
  MaterializeResult,
  Retention,
  RowOf,
  RowsContext,
  RowsOptions,
  Target,
  TypedAsset,
} from "./core/asset.ts";
export { eager, onCron, onInterval, onMissing, onSchedule } from "./core/automation.ts";
export type { AutomationCondition } from "./core/automation.ts";
export { assetCheck, check } from "./core/check.ts";
export type { AssetCheckDefinition, AssetCheckOptions, CheckSettings, InlineCheck } from "./core/check.ts";
export type { BaseContext, Log, RetryPolicy } from "./core/definition.ts";
export { bytes, decimal, json } from "./core/column-schemas.ts";
export { DefinitionError, PermanentError, RetryableError } from "./core/errors.ts";
export { combineResponses, filterResponse } from "./core/factory-response.ts";
export type { AssetFactoryResponse } from "./core/factory-response.ts";
export { Interval } from "./core/interval.ts";
export { bigqueryTable } from "./core/io-manager.ts";
export type { BigqueryTableOptions, IoManager } from "./core/io-manager.ts";
export { job } from "./core/job.ts";
export type { JobContext, JobDefinition, JobOptions } from "./core/job.ts";
export type { PartitionMapping } from "./core/partition-mapping.ts";
export { daily, hourly, monthly, staticPartitions, timePartitions, weekly } from "./core/partitions.ts";
export type { Partition, PartitionsDefinition } from "./core/partitions.ts";
export { bigquery, gcs, resource, secret } from "./core/resources.ts";
export type {
  BigQueryResource,
  LoadedObjects,
  ReadableObjects,
  ResourceContext,
  ResourceDefinition,
  ResourceOptions,
} from "./core/resources.ts";
export { assetSensor, objectSensor, skip } from "./core/sensor.ts";
export type {
  FinalizedObject,
  MaterializationEvent,
  SensorDefinition,
  SensorRequest,
  SensorRequests,
  Skip,
} from "./core/sensor.ts";
export { sql } from "./core/sql.ts";
export type { Column, TableRef, TimePartitioning } from "./core/table.ts";
export { intervalGcsConfig, intervalGcsImportAsset, pastRetention, SourceMode } from "./factories/interval-gcs.ts";
export type { IntervalGcsAsset, IntervalGcsResponse } from "./factories/interval-gcs.ts";
export { materializeInMemory } from "./testing/materialize-in-memory.ts";
export type { InMemory, InMemoryResult } from "./testing/materialize-in-memory.ts";
