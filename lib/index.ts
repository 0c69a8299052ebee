/** The authors' API, and nothing else. */
export { alert, pubsubTopic, webhook } from "./core/alert.ts";
export type { AlertDefinition, AlertOn, AlertOptions, AlertTarget, WebhookFormat } from "./core/alert.ts";
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
  TypedAsset,
} from "./core/asset.ts";
export { eager, onCron, onInterval, onMissing, onSchedule } from "./core/automation.ts";
export type { AutomationCondition } from "./core/automation.ts";
export type { Checkpoint, JsonValue } from "./core/checkpoint.ts";
export { assetCheck, check } from "./core/check.ts";
export type {
  AssetCheckDefinition,
  AssetCheckOptions,
  CheckSettings,
  CustomCheckSettings,
  FunctionCheckOptions,
  InlineCheck,
} from "./core/check.ts";
export { ioManager } from "./core/custom-io-manager.ts";
export type {
  CustomIoManager,
  IoManagerOptions,
  StoreContext,
  VersionContext,
  WriteContext,
} from "./core/custom-io-manager.ts";
export type { BaseContext, Log, RetryPolicy, RetryRule } from "./core/definition.ts";
export type { Duration } from "./core/duration.ts";
export { bytes, decimal, json } from "./core/column-schemas.ts";
export { DefinitionError, PermanentError, RetryableError } from "./core/errors.ts";
export { combineResponses, filterResponse } from "./core/factory-response.ts";
export type { AssetFactoryResponse } from "./core/factory-response.ts";
export type { CheckAnswer, CheckContext } from "./core/function-check.ts";
export type { FreshnessPolicy } from "./core/freshness.ts";
export { Interval } from "./core/interval.ts";
export { bigqueryTable } from "./core/io-manager.ts";
export type { BigqueryTable, BigqueryTableOptions, IoManager, StoreManager } from "./core/io-manager.ts";
export { job } from "./core/job.ts";
export { parquetFiles } from "./core/parquet-files.ts";
export type { ParquetFiles, ParquetFilesOptions } from "./core/parquet-files.ts";
export type { PlainRow } from "./core/row-encode.ts";
export type { JobContext, JobDefinition, JobOptions, TypedJob } from "./core/job.ts";
export { meta } from "./core/metadata.ts";
export type { LinkValue, MarkdownValue, TableValue } from "./core/metadata.ts";
export { multiAsset } from "./core/multi-asset.ts";
export type { MultiAsset, MultiAssetOptions, MultiContext, OutputOptions, OutputRow } from "./core/multi-asset.ts";
export type { PartitionMapping } from "./core/partition-mapping.ts";
export { partition } from "./core/placeholders.ts";
export { daily, hourly, monthly, staticPartitions, timePartitions, weekly } from "./core/partitions.ts";
export type { Partition, PartitionRange, PartitionsDefinition } from "./core/partitions.ts";
export { pool } from "./core/pool.ts";
export type { PoolDefinition, PoolOptions } from "./core/pool.ts";
export { bigquery, gcs, resource, secret } from "./core/resources.ts";
export type {
  BigQueryResource,
  DryRunResult,
  LoadedObjects,
  ReadableObjects,
  ResourceContext,
  ResourceDefinition,
  ResourceOptions,
  StatementLimits,
  WritableObjects,
  WrittenObject,
} from "./core/resources.ts";
export { externalAsset, observableSource } from "./core/source.ts";
export type { ExternalAssetOptions, ObservableSourceOptions, Observation, ObserveContext } from "./core/source.ts";
export { assetSensor, objectSensor, skip } from "./core/sensor.ts";
export type {
  FinalizedObject,
  MaterializationEvent,
  SensorDefinition,
  SensorRequest,
  SensorRequests,
  Skip,
  TypedSensor,
} from "./core/sensor.ts";
export { sql } from "./core/sql.ts";
export { sqlAsset } from "./core/sql-asset.ts";
export type { Materialization, SqlAssetOptions } from "./core/sql-asset.ts";
export type { Column, TableRef, TimePartitioning } from "./core/table.ts";
export type { PublishMode, Target } from "./core/target.ts";
export { intervalGcsConfig, intervalGcsImportAsset, pastRetention, SourceMode } from "./factories/interval-gcs.ts";
export type { IntervalGcsAsset, IntervalGcsResponse } from "./factories/interval-gcs.ts";
export { buildMaterialization, buildObject } from "./testing/builders.ts";
export type { BuildMaterializationOptions } from "./testing/builders.ts";
export { materializeInMemory } from "./testing/materialize-in-memory.ts";
export type { InMemory, InMemoryResult } from "./testing/materialize-in-memory.ts";
export { evaluateCheck, evaluateSensor, runJobInMemory } from "./testing/run-in-memory.ts";
export type {
  CheckInMemory,
  CheckInMemoryResult,
  JobInMemory,
  JobResult,
  SensorInMemory,
  SensorResult,
} from "./testing/run-in-memory.ts";
export type { LogLine } from "./testing/surroundings.ts";
