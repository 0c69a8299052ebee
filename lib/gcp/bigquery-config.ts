/** What a job is asked to do, in the form that `jobs.insert` takes. */
import { DefinitionError } from "../core/errors.ts";
import type { JobSpec, LoadOptions, QueryParameter } from "../ports/warehouse.ts";
import { fieldOf, invalid, referenceOf, timePartitioning, type Naming } from "./bigquery-tables.ts";

export type LoadSpec = Extract<JobSpec, { kind: "load" }>;
export type CopySpec = Extract<JobSpec, { kind: "copy" }>;
export type QuerySpec = Extract<JobSpec, { kind: "query" }>;

/** `WRITE_TRUNCATE` takes the new rows' schema; `WRITE_TRUNCATE_DATA` keeps the table's, with its policies. */
export type Disposition = "WRITE_TRUNCATE" | "WRITE_TRUNCATE_DATA" | "WRITE_APPEND";

export type JobConfiguration = { readonly dryRun?: true; readonly labels?: Readonly<Record<string, string>> } & (
  { readonly load: object } | { readonly copy: object } | { readonly query: object }
);

const mostFiles = 10_000;

/** A load straight from the bucket. Throws `PermanentError` for files that BigQuery would read otherwise than they are named. */
export function loadConfiguration(
  spec: LoadSpec,
  naming: Naming,
  dispositions: {
    readonly writeDisposition: Disposition;
    /** `CREATE_NEVER`: without its table the load fails with the reason `notFound`. */
    readonly createDisposition: "CREATE_IF_NEEDED" | "CREATE_NEVER";
  },
): JobConfiguration {
  const { uris, format, options = {}, schema, destination, partition, partitioning, clustering } = spec;
  checkFiles(uris);
  const target = partition === undefined ? destination : { ...destination, partition };
  return {
    load: {
      sourceUris: uris,
      sourceFormat: format,
      destinationTable: referenceOf(naming, target),
      ...dispositions,
      ...(schema === undefined ? {} : { schema: { fields: schema.map(fieldOf) } }),
      ...(partitioning === undefined ? {} : { timePartitioning: timePartitioning(partitioning) }),
      ...(clustering === undefined ? {} : { clustering: { fields: clustering } }),
      ...formatOptions(spec, options),
    },
  };
}

function formatOptions({ format, schema }: LoadSpec, options: LoadOptions): object {
  const { csv = {}, maxBadRecords, ignoreUnknownValues } = options;
  const common = {
    ...(maxBadRecords === undefined ? {} : { maxBadRecords }),
    ...(ignoreUnknownValues === undefined ? {} : { ignoreUnknownValues }),
  };
  switch (format) {
    // Without the first, a list is a record with a record in it; without the second, a wide decimal is refused.
    case "PARQUET":
      return {
        ...common,
        parquetOptions: { enableListInference: true },
        decimalTargetTypes: ["NUMERIC", "BIGNUMERIC"],
      };
    case "AVRO":
      return { ...common, useAvroLogicalTypes: true, decimalTargetTypes: ["NUMERIC", "BIGNUMERIC"] };
    case "ORC":
      return { ...common, decimalTargetTypes: ["NUMERIC", "BIGNUMERIC"] };
    case "NEWLINE_DELIMITED_JSON":
      return { ...common, autodetect: schema === undefined };
    case "CSV":
      return { ...common, ...csv, autodetect: schema === undefined };
  }
}

function checkFiles(uris: readonly string[]): void {
  if (uris.length === 0) throw invalid("a load needs at least one file");
  if (uris.length > mostFiles)
    throw invalid(`a load takes ${mostFiles} files at most, and these are ${uris.length}; load them in parts`);
  for (const uri of uris) {
    if (/^gs:\/\/[^/]+\/.*\*|\/\/.*\/\//.test(uri))
      throw invalid(
        `${uri}: BigQuery reads * as a pattern and // as /, so it would load other files; rename the object`,
      );
  }
}

export interface QueryOptions {
  /** Where the rows go, instead of a result that is kept for a day. */
  readonly into?: { readonly destinationTable: object; readonly writeDisposition: Disposition };
}

export function queryConfiguration(
  { sql, parameters = {}, maximumBytesBilled }: QuerySpec,
  { into }: QueryOptions = {},
): JobConfiguration {
  const named = Object.entries(parameters);
  return {
    query: {
      query: sql,
      useLegacySql: false,
      ...(maximumBytesBilled === undefined ? {} : { maximumBytesBilled: String(maximumBytesBilled) }),
      ...(named.length === 0
        ? {}
        : { parameterMode: "NAMED", queryParameters: named.map(([name, value]) => parameter(name, value)) }),
      ...into,
    },
  };
}

/** Every value travels as text, so that none loses digits. */
function parameter(name: string, { type, array = false, value }: QueryParameter): object {
  if (!array) return { name, parameterType: { type }, parameterValue: { value: textOf(value, type) } };
  if (value !== null && value !== undefined && !Array.isArray(value))
    throw new DefinitionError(`the query parameter @${name} needs an array`, { remedy: "pass a list of values" });
  const items = (value as readonly unknown[] | null | undefined) ?? []; // checked right above
  return {
    name,
    parameterType: { type: "ARRAY", arrayType: { type } },
    parameterValue: { arrayValues: items.map((item) => ({ value: textOf(item, type) })) },
  };
}

function textOf(value: unknown, type: QueryParameter["type"]): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return type === "DATE" ? value.toISOString().slice(0, 10) : value.toISOString();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  return JSON.stringify(value);
}
