/** Files into one new physical table: streamed by DuckDB, checked as BigQuery checks them, nothing visible yet. */
import { availableParallelism } from "node:os";
import { PermanentError } from "../../core/errors.ts";
import type { Column } from "../../core/table.ts";
import type { JobSpec } from "../../ports/warehouse.ts";
import { isIngestionTime, partitionTime, physicalName } from "./catalog.ts";
import { sourceFiles, type SourceFiles } from "./files.ts";
import { csvReader, jsonReader, parquetReader, type Reader } from "./readers.ts";
import { decoratorAt, partitionColumnType, partitionOf } from "./partition.ts";
import type { Link, Session } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName, checkColumns, columnOf, convert, storedType } from "./types.ts";

export type LoadSpec = Extract<JobSpec, { kind: "load" }>;

export interface Loaded {
  readonly schema: readonly Column[];
  readonly rows: number;
}

/** Fills the physical table `name`, which nothing refers to yet, with the rows in any order, as BigQuery does. Throws `PermanentError` with BigQuery's reason as its code. */
export async function load(
  link: Link,
  spec: LoadSpec,
  options: {
    readonly name: string;
    readonly resolveUri: (uri: string) => string;
    readonly now: number;
    readonly sparing: Session["sparing"];
  },
): Promise<Loaded> {
  const files = await sourceFiles(spec, options.resolveUri);
  const physical = physicalName(options.name);
  const ingestion = ingestionTime(spec, options.now);
  try {
    const reader = await readerOf(link, spec, files);
    const { columns, schema } = await plan(link, spec, reader);
    if (spec.partitioning !== undefined) partitionColumnType(spec.partitioning, schema);
    const fill = async (): Promise<Loaded> => {
      const [created] = await link.run(
        `CREATE OR REPLACE TABLE ${physical} AS SELECT ${[...columns, ...ingestion].join(", ")} FROM ${reader.relation}`,
      );
      await reader.check?.(physical, schema);
      await checkRequired(link, physical, schema);
      return { schema, rows: Number(created?.["Count"]) };
    };
    // Text is read in buffers that are larger than what is spared; a small load takes little anyway, and keeps the order of rows.
    const isLarge = spec.format === "PARQUET" && files.bytes >= LARGE_BYTES;
    return isLarge ? await options.sparing(bytesFor(schema), fill) : await fill();
  } catch (error) {
    throw files.explain(error);
  }
}

const MIB = 1024 ** 2;
const LARGE_BYTES = 16 * MIB;

/** What a load into such a table takes, in bytes, as it was measured: of every column, each thread has open pages to read and to write. */
function bytesFor(schema: readonly Column[]): number {
  return 16 * MIB + 2 * MIB * leaves(schema) * availableParallelism();
}

function leaves(columns: readonly Column[]): number {
  return columns.reduce((sum, { fields }) => sum + (fields === undefined ? 1 : leaves(fields)), 0);
}

async function readerOf(link: Link, spec: LoadSpec, files: SourceFiles): Promise<Reader> {
  switch (spec.format) {
    case "PARQUET":
      return parquetReader(files);
    case "CSV":
      return csvReader(link, spec, files);
    case "NEWLINE_DELIMITED_JSON":
      return await jsonReader(link, spec, files);
    default:
      throw invalid(
        `the embedded engine cannot read ${spec.format}; write Parquet, CSV or newline-delimited JSON, or run this in the cloud`,
      );
  }
}

/** What to select from the files, and the columns that this makes. */
async function plan(
  link: Link,
  spec: LoadSpec,
  reader: Reader,
): Promise<{ readonly columns: readonly string[]; readonly schema: readonly Column[] }> {
  const found = await describe(link, reader.relation);
  if (spec.schema === undefined) {
    const schema = found.map(({ name, type }) => reader.detected?.(columnOf(name, type)) ?? columnOf(name, type));
    checkColumns(schema);
    return {
      schema,
      columns: found.map(({ name, type }, index) => select(name, type, schema[index] ?? columnOf(name, type))),
    };
  }
  const known = byName(spec.schema);
  const extra = found.find(({ name }) => !known.has(name.toLowerCase()));
  if (extra !== undefined && spec.options?.ignoreUnknownValues !== true) {
    throw invalid(
      `the column ${JSON.stringify(extra.name)} is in the file, and not in the schema; add it, or set ignoreUnknownValues`,
    );
  }
  const columns = spec.schema.map((column) => {
    const source = found.find(({ name }) => name.toLowerCase() === column.name.toLowerCase());
    if (source !== undefined) {
      const text = reader.decode?.(column, quoteName(source.name));
      return text === undefined ? select(source.name, source.type, column) : `${text} AS ${quoteName(column.name)}`;
    }
    if (column.mode === "REQUIRED")
      throw invalid(`the column ${JSON.stringify(column.name)} is required, and not in the file`);
    const nothing = column.mode === "REPEATED" ? "[]" : "NULL";
    return `CAST(${nothing} AS ${storedType(column)}) AS ${quoteName(column.name)}`;
  });
  return { schema: spec.schema, columns };
}

function select(name: string, type: Parameters<typeof convert>[1], column: Column): string {
  return `${convert(quoteName(name), type, column)} AS ${quoteName(column.name)}`;
}

async function describe(
  link: Link,
  relation: string,
): Promise<readonly { readonly name: string; readonly type: Parameters<typeof columnOf>[1] }[]> {
  const statement = await link.connection.prepare(`SELECT * FROM ${relation}`);
  try {
    return Array.from({ length: statement.columnCount }, (_, index) => ({
      name: statement.columnName(index),
      type: statement.columnType(index),
    }));
  } finally {
    statement.destroySync();
  }
}

function ingestionTime(spec: LoadSpec, now: number): readonly string[] {
  const { partitioning, partition } = spec;
  if (partitioning === undefined || !isIngestionTime(partitioning)) {
    if (partition === undefined) return [];
    throw invalid(
      "a load puts its rows into one partition only where the table is partitioned by ingestion time; leave the partition out",
    );
  }
  const { start } = partitionOf(partition ?? decoratorAt(now, partitioning.type), partitioning, []);
  return [`${start} AS ${quoteName(partitionTime)}`];
}

/** A required column holds no null. */
export async function checkRequired(link: Link, relation: string, schema: readonly Column[]): Promise<void> {
  const required = schema.filter((column) => column.mode === "REQUIRED");
  if (required.length === 0) return;
  const counts = required.map((column) => `count(*) - count(${quoteName(column.name)})`);
  const [row] = await link.run(
    `SELECT ${counts.map((count, index) => `${count} AS c${index}`).join(", ")} FROM ${relation}`,
  );
  const index = required.findIndex((_, at) => Number(row?.[`c${at}`]) > 0);
  const column = required[index];
  if (column !== undefined)
    throw invalid(
      `the column ${JSON.stringify(column.name)} is required, and null in ${Number(row?.[`c${index}`])} rows`,
    );
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
