/** What a job does, on the embedded engine; and what BigQuery refuses, refused. */
import type { Column, Destination, TableRef } from "../../../lib/core/table.ts";
import { quoteTable } from "../../../lib/core/sql.ts";
import type { CsvOptions, FileFormat, JobSpec, JobStatus, QueryParameter } from "../../../lib/ports/warehouse.ts";
import { ApiError } from "../http-fake.ts";
import { executeExtract } from "./extract.ts";
import { partitionsOf } from "./partitions.ts";
import { parseText } from "./statements.ts";
import {
  clusteringOf,
  columnFor,
  invalid,
  list,
  maybeObject,
  maybeText,
  object,
  partitioningOf,
  referenceOf,
  samePartitioning,
  schemaOf,
  tableOf,
  tagsOf,
  text,
  type Json,
} from "./wire.ts";
import { blankAt, checkDataset, findTable, keyOf, nameOf, touched, type World } from "./world.ts";

export interface Result {
  readonly columns: readonly Column[];
  readonly rows: readonly Json[];
}

export interface Executed {
  /** Beside times: `load`, `copy`, `query` or `extract`, and what they say. */
  readonly statistics: Json;
  /** What BigQuery adds to `configuration.query`. */
  readonly query?: Json;
  readonly result?: Result;
  /** A script's last SELECT, which is a job of its own. */
  readonly child?: Result;
}

/** Runs one job of the engine and returns its end; an `ApiError` with its reason where it failed. */
export type RunEngine = (spec: JobSpec) => Promise<JobStatus>;

export async function execute(world: World, configuration: Json, run: RunEngine): Promise<Executed> {
  const { load, copy, query, extract } = configuration;
  if (load !== undefined) return await executeLoad(world, object(load, "load"), run);
  if (copy !== undefined) return await executeCopy(world, object(copy, "copy"), run);
  if (extract !== undefined) return await executeExtract(world, object(extract, "extract"), run);
  return await executeQuery(world, object(query, "query"), run);
}

async function executeLoad(world: World, load: Json, run: RunEngine): Promise<Executed> {
  const destination = tableOf(world, load["destinationTable"], "destinationTable");
  checkDataset(world, destination.dataset, world.location);
  const uris = list(load["sourceUris"]).map(String);
  const format = text(load["sourceFormat"], "sourceFormat") as FileFormat; // the engine refuses what it is not
  const schema = schemaOf(load["schema"]);
  const partitioning = partitioningOf(load["timePartitioning"]);
  const disposition = maybeText(load["writeDisposition"]) ?? "WRITE_APPEND";
  if (format === "PARQUET" && maybeObject(load["parquetOptions"])?.["enableListInference"] !== true)
    throw invalid("The fake reads Parquet with enableListInference only");
  return await world.lock([keyOf(destination)], async () => {
    const found = await findTable(world, destination);
    if (found?.info.view === true) throw invalid(`Cannot load into ${nameOf(world, destination)}: it is a VIEW`);
    if (found === undefined) checkCreates(world, load, destination);
    const blank = blankAt(world, destination) !== undefined;
    const text = format === "CSV" || format === "NEWLINE_DELIMITED_JSON";
    if (schema === undefined && text && load["autodetect"] !== true && (found === undefined || blank))
      throw invalid("No schema specified on job or table.");
    if (found !== undefined && partitioning !== undefined && !samePartitioning(found.info.partitioning, partitioning))
      throw invalid(`Incompatible table partitioning specification for ${nameOf(world, destination)}`);
    if (blank && (disposition !== "WRITE_TRUNCATE" || !samePartitioning(found?.info.partitioning, partitioning)))
      throw new ApiError(
        501,
        "notImplemented",
        "The fake fills a table without columns by WRITE_TRUNCATE, as it is partitioned",
      );
    const options = {
      csv: csvOf(load),
      ...(load["maxBadRecords"] === undefined ? {} : { maxBadRecords: Number(load["maxBadRecords"]) }),
      ignoreUnknownValues: load["ignoreUnknownValues"] === true,
    };
    const spec = { kind: "load", uris, format, options, ...(schema === undefined ? {} : { schema }) } as const;
    const { partition, ...whole } = destination;
    const clustering = clusteringOf(load["clustering"]);
    const replaced = { tags: tagsOf(load["schema"]), ...(clustering === undefined ? {} : { clustering }) };
    if (disposition === "WRITE_TRUNCATE" && (partition === undefined || found === undefined || blank)) {
      const expiresAt = found?.info.expiresAt;
      const { rows } = await run({
        ...spec,
        destination: whole,
        ...(partitioning === undefined ? {} : { partitioning }),
        ...(partition === undefined ? {} : { partition }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
      });
      await checkDecimals(world, whole, load);
      touched(world, whole, replaced);
      return loaded(rows, uris);
    }
    const staged = world.scratch("load");
    const { rows } = await run({ ...spec, destination: staged });
    await write(world, staged, destination, disposition, run);
    return loaded(rows, uris);
  });
}

function loaded(rows = 0, uris: readonly string[]): Executed {
  return { statistics: { load: { inputFiles: String(uris.length), outputRows: String(rows), badRecords: "0" } } };
}

/** Only a job that may create tables makes one. */
function checkCreates(world: World, job: Json, table: TableRef): void {
  const creates = maybeText(job["createDisposition"]) ?? "CREATE_IF_NEEDED";
  if (creates === "CREATE_NEVER") throw notFound(world, table);
  if (creates !== "CREATE_IF_NEEDED") throw invalid(`Invalid value for createDisposition: ${creates}`);
}

/** When a copy's destination expires: as the job says, or as it does already. */
function copiedUntil(
  world: World,
  copy: Json,
  destination: Destination,
  before: number | undefined,
): { expiresAt?: number } {
  const given = maybeText(copy["destinationExpirationTime"]);
  if (given === undefined) return before === undefined ? {} : { expiresAt: before };
  if (destination.partition !== undefined)
    throw new ApiError(501, "notImplemented", "The fake gives no partition a destinationExpirationTime");
  const expiresAt = /^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(given) ? Date.parse(given) : Number.NaN;
  if (!(expiresAt > world.clock.now())) throw invalid(`Invalid value for destinationExpirationTime: ${given}`);
  return { expiresAt };
}

/** Without the wider types, a wide decimal is refused. */
async function checkDecimals(world: World, table: TableRef, load: Json): Promise<void> {
  if (load["schema"] !== undefined || list(load["decimalTargetTypes"]).includes("BIGNUMERIC")) return;
  const info = await world.engine.describe(table);
  if (info?.schema.some(({ type }) => type === "BIGNUMERIC") !== true) return;
  await world.engine.drop(table);
  throw invalid("A decimal does not fit into NUMERIC; BIGNUMERIC is not among decimalTargetTypes");
}

function csvOf(load: Json): CsvOptions {
  const given: Record<string, unknown> = {};
  for (const name of "fieldDelimiter skipLeadingRows quote nullMarker allowQuotedNewlines allowJaggedRows encoding".split(
    " ",
  ))
    if (load[name] !== undefined) given[name] = load[name];
  return given;
}

async function executeCopy(world: World, copy: Json, run: RunEngine): Promise<Executed> {
  const source = tableOf(world, copy["sourceTable"], "sourceTable");
  const destination = tableOf(world, copy["destinationTable"], "destinationTable");
  checkDataset(world, source.dataset, world.location);
  checkDataset(world, destination.dataset, world.location);
  const disposition = maybeText(copy["writeDisposition"]) ?? "WRITE_EMPTY";
  if (disposition !== "WRITE_TRUNCATE" && disposition !== "WRITE_APPEND")
    throw invalid(`Invalid value for writeDisposition of a copy: ${disposition}`);
  return await world.lock([keyOf(source), keyOf(destination)], async () => {
    const [from, to] = [await findTable(world, source), await findTable(world, destination)];
    if (from === undefined) throw notFound(world, source);
    if (to === undefined) checkCreates(world, copy, destination);
    if (blankAt(world, source) !== undefined) throw withoutSchema(world, source);
    if (from.info.view === true) throw invalid(`Cannot copy the VIEW ${nameOf(world, source)}`);
    const expiry = copiedUntil(world, copy, destination, to?.info.expiresAt);
    if (to?.info.view === true) throw invalid(`Cannot copy into the VIEW ${nameOf(world, destination)}`);
    const append = disposition === "WRITE_APPEND" ? ({ append: true } as const) : {};
    const { partition: _, ...whole } = source;
    if (destination.partition === undefined) {
      if (source.partition !== undefined)
        throw new ApiError(501, "notImplemented", "The fake copies no partition to a table");
      if (to !== undefined && !samePartitioning(from.info.partitioning, to.info.partitioning))
        throw invalid(
          `Incompatible table partitioning specification. ${nameOf(world, destination)} is partitioned otherwise`,
        );
      if (to !== undefined && append.append === true) checkSame(world, from.info.schema, to.info.schema, destination);
      const { rows } = await run({ kind: "copy", source: whole, destination, ...append, ...expiry });
      const { clustering } = from.meta;
      const replaced = { tags: from.meta.tags, ...(clustering === undefined ? {} : { clustering }) };
      touched(world, destination, append.append === true ? undefined : replaced);
      return copied(rows);
    }
    if (to === undefined) throw notFound(world, destination);
    if (blankAt(world, destination) !== undefined) throw withoutSchema(world, destination);
    if (to.info.partitioning === undefined) throw invalid(`${nameOf(world, destination)} is not partitioned`);
    checkSame(world, from.info.schema, to.info.schema, destination);
    const matches = samePartitioning(from.info.partitioning, to.info.partitioning);
    if (
      source.partition === undefined &&
      (from.info.partitioning !== undefined || to.info.partitioning.column !== undefined)
    )
      throw invalid(`Cannot copy ${nameOf(world, source)} to a partition: the partition specifications must match`);
    if (source.partition !== undefined && !matches)
      throw invalid(`Cannot copy between partitions of different specifications`);
    const part = source.partition === undefined ? whole : await onlyPartition(world, source, run);
    const { rows } = await run({ kind: "copy", source: part, destination, ...append });
    touched(world, destination, undefined);
    return copied(rows);
  });
}

function copied(rows = 0): Executed {
  return { statistics: { copy: { copiedRows: String(rows), copiedLogicalBytes: String(rows * 8) } } };
}

/** A table that holds one partition of another: itself, where it holds no other. */
async function onlyPartition(world: World, source: Destination, run: RunEngine): Promise<TableRef> {
  const { partition, ...whole } = source;
  const partitioning = (await world.engine.describe(whole))?.partitioning;
  if (partitioning === undefined) throw invalid(`${nameOf(world, source)} is not partitioned`);
  const others = (await partitionsOf(world, whole, partitioning)).filter((one) => one !== partition);
  if (others.length === 0) return whole;
  const part = world.scratch("part");
  await run({ kind: "copy", source: whole, destination: part });
  for (const other of others) {
    if (other !== "__NULL__") await world.engine.drop({ ...part, partition: other });
    else
      await run({
        kind: "query",
        sql: `DELETE FROM ${quoteTable(part)} WHERE \`${partitioning.column}\` IS NULL`,
        writes: [part],
      });
  }
  return part;
}

/** Rows of a scratch table, into a table or a partition of it. */
async function write(
  world: World,
  staged: TableRef,
  destination: Destination,
  disposition: string,
  run: RunEngine,
): Promise<void> {
  if (!["WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND"].includes(disposition))
    throw invalid(`Invalid value for writeDisposition: ${disposition}`);
  const found = await findTable(world, destination);
  const given = (await world.engine.describe(staged))?.schema ?? [];
  const { partition, ...whole } = destination;
  if (blankAt(world, destination) !== undefined)
    throw new ApiError(501, "notImplemented", "The fake writes no query's rows into a table without columns");
  if (found?.info.view === true) throw invalid(`Cannot write into the VIEW ${nameOf(world, destination)}`);
  if (partition !== undefined) {
    if (found === undefined) throw notFound(world, destination);
    checkModes(given, found.info.schema);
    const append = disposition === "WRITE_APPEND" ? ({ append: true } as const) : {};
    await run({ kind: "copy", source: staged, destination, ...append });
    touched(world, whole, undefined);
    return;
  }
  if (found === undefined || disposition === "WRITE_TRUNCATE") {
    await run({ kind: "copy", source: staged, destination: whole });
    touched(world, whole, {});
    return;
  }
  checkModes(given, found.info.schema);
  if (found.info.partitioning !== undefined && found.info.partitioning.column === undefined)
    throw new ApiError(501, "notImplemented", "The fake writes no whole table that is partitioned by ingestion time");
  const names = given.map(({ name }) => `\`${name}\``).join(", ");
  const insert = (table: TableRef): JobSpec => ({
    kind: "query",
    sql: `INSERT INTO ${quoteTable(table)} (${names}) SELECT ${names} FROM ${quoteTable(staged)}`,
    writes: [table],
  });
  if (disposition === "WRITE_APPEND") await run(insert(whole));
  else {
    const next = world.scratch("next");
    await run({ kind: "copy", source: whole, destination: next });
    await run({ kind: "query", sql: `TRUNCATE TABLE ${quoteTable(next)}`, writes: [next] });
    await run(insert(next));
    const { expiresAt } = found.info;
    await run({ kind: "copy", source: next, destination: whole, ...(expiresAt === undefined ? {} : { expiresAt }) });
  }
  touched(world, whole, undefined);
}

/** BigQuery does not take nullable rows for required columns. */
function checkModes(given: readonly Column[], target: readonly Column[]): void {
  const required = new Set(target.filter(({ mode }) => mode === "REQUIRED").map(({ name }) => name.toLowerCase()));
  const loose = given.find(({ name, mode }) => mode === "NULLABLE" && required.has(name.toLowerCase()));
  if (loose !== undefined)
    throw invalid(
      `Provided Schema does not match Table. Field ${loose.name} has changed mode from REQUIRED to NULLABLE`,
    );
}

/** Stricter than BigQuery may be: a copy that relies on more than this has not been seen to work. */
function checkSame(world: World, source: readonly Column[], target: readonly Column[], table: TableRef): void {
  if (JSON.stringify(source) !== JSON.stringify(target))
    throw invalid(`Provided Schema does not match Table ${nameOf(world, table)}`);
}

/** The engine has no ERROR; this is the one form of it that the fake knows. */
export const failing = "SELECT ERROR(@message)";

async function executeQuery(world: World, query: Json, run: RunEngine): Promise<Executed> {
  const spec = querySpecOf(query);
  const { type, targets } = parseText(spec.sql);
  for (const { dataset } of targets) checkDataset(world, dataset, world.location);
  if (query["destinationTable"] !== undefined) return await executeInto(world, query, spec, run);
  const before = await Promise.all(targets.map((table) => world.engine.describe(table)));
  if (spec.sql === failing) throw new ApiError(400, "invalidQuery", String(spec.parameters?.["message"]?.value));
  if (type === "SELECT") {
    const { schema: columns } = await world.engine.dryRun(spec);
    const { jobId, rows = 0, bytesBilled = 0 } = await run(spec);
    const result = { columns, rows: await Array.fromAsync(world.engine.rows(jobId)) };
    const destinationTable = { projectId: world.project, datasetId: "_anonymous", tableId: `anon_${jobId}` };
    return {
      statistics: statistics("SELECT", bytesBilled, { queryPlan: plan(rows) }),
      query: { destinationTable },
      result,
    };
  }
  const {
    jobId,
    rows = 0,
    bytesBilled = 0,
  } = await run({ ...spec, writes: targets }).finally(() => {
    // Also where a script failed after some of its statements had taken effect.
    for (const table of targets) touched(world, table, undefined);
  });
  const [target] = targets;
  if (type === "SCRIPT") {
    const found = await Array.fromAsync(world.engine.rows(jobId));
    const names = Object.keys(found[0] ?? {});
    const columns = names.map((name) =>
      columnFor(
        name,
        found.map((row) => row[name]),
      ),
    );
    const more = { statistics: statistics("SCRIPT", bytesBilled) };
    return rows > 0 || found.length > 0 ? { ...more, child: { columns, rows: found } } : more;
  }
  if (type === undefined || target === undefined)
    throw new ApiError(400, "invalidQuery", "The statement has no target");
  const reference = referenceOf(world, target);
  if (/^(?:CREATE|DROP)/.test(type)) {
    const after = await world.engine.describe(target);
    const same = before[0]?.etag === after?.etag;
    const done = same ? "SKIP" : type.startsWith("DROP") ? "DROP" : before[0] === undefined ? "CREATE" : "REPLACE";
    if (!same) world.metas.delete(keyOf(target));
    const ddl = { ddlTargetTable: reference, ddlOperationPerformed: done };
    return { statistics: statistics(type, bytesBilled, ddl) };
  }
  const affected =
    type === "INSERT" ? { numDmlAffectedRows: String(rows), dmlStats: { insertedRowCount: String(rows) } } : {};
  return { statistics: statistics(type, bytesBilled, affected), query: { destinationTable: reference } };
}

/** A query whose rows become a table's. */
async function executeInto(
  world: World,
  query: Json,
  spec: Extract<JobSpec, { kind: "query" }>,
  run: RunEngine,
): Promise<Executed> {
  const destination = tableOf(world, query["destinationTable"], "destinationTable");
  checkDataset(world, destination.dataset, world.location);
  return await world.lock([keyOf(destination)], async () => {
    const staged = world.scratch("query");
    const sql = `CREATE TABLE ${quoteTable(staged)} AS ${spec.sql}`;
    const { rows = 0, bytesBilled = 0 } = await run({ ...spec, sql, writes: [staged] });
    await write(world, staged, destination, maybeText(query["writeDisposition"]) ?? "WRITE_EMPTY", run);
    return { statistics: statistics("SELECT", bytesBilled, { queryPlan: plan(rows) }) };
  });
}

function statistics(statementType: string, bytesBilled: number, more: Json = {}): Json {
  return { query: { statementType, totalBytesBilled: String(bytesBilled), ...more } };
}

function plan(rows: number): readonly Json[] {
  return [{ name: "S00: Output", recordsWritten: String(rows) }];
}

const expiration = /OPTIONS\(expiration_timestamp=TIMESTAMP '([^']+)\+00'\) ?/;

export function querySpecOf(query: Json): Extract<JobSpec, { kind: "query" }> {
  const parameters: Record<string, QueryParameter> = {};
  for (const entry of list(query["queryParameters"])) {
    const given = object(entry, "queryParameters");
    const type = object(given["parameterType"], "parameterType");
    const value = object(given["parameterValue"], "parameterValue");
    const array = type["type"] === "ARRAY";
    const word = text(array ? object(type["arrayType"], "arrayType")["type"] : type["type"], "type");
    parameters[text(given["name"], "name")] = {
      type: word as QueryParameter["type"], // the engine refuses what it is not
      ...(array ? { array: true } : {}),
      value: array ? list(value["arrayValues"]).map((item) => object(item, "item")["value"]) : value["value"],
    };
  }
  const limit = query["maximumBytesBilled"];
  // The engine knows no options: those of what a statement creates become the job's.
  const sql = typeof query["query"] === "string" ? query["query"] : "";
  const [, ends] = expiration.exec(sql) ?? [];
  return {
    kind: "query",
    sql: sql.replaceAll(new RegExp(expiration, "g"), ""),
    ...(ends === undefined ? {} : { expiresAt: Date.parse(`${ends.replace(" ", "T")}Z`) }),
    parameters,
    ...(limit === undefined ? {} : { maximumBytesBilled: Number(limit) }),
  };
}

function withoutSchema(world: World, table: TableRef): ApiError {
  return new ApiError(400, "invalid", `Table ${nameOf(world, table)} does not have a schema.`);
}

function notFound(world: World, table: TableRef): ApiError {
  return new ApiError(404, "notFound", `Not found: Table ${nameOf(world, table)}`);
}
