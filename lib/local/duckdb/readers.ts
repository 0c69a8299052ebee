/** How DuckDB reads each format so that the rows are those that BigQuery would see. */
import { PermanentError } from "../../core/errors.ts";
import type { Column } from "../../core/table.ts";
import type { SourceFiles } from "./files.ts";
import type { LoadSpec } from "./load.ts";
import type { Link } from "./session.ts";
import { quoteName, quoteText } from "./sql.ts";
import { byName, checkColumns, storedType } from "./types.ts";

export interface Reader {
  /** What stands after FROM. */
  readonly relation: string;
  /** The type of a detected column, where it is another than DuckDB's. */
  readonly detected?: (column: Column) => Column;
  /** SQL of a column's value, where it was read as text. */
  readonly decode?: (column: Column, expression: string) => string | undefined;
  /** After the relation was read: throws if it was not good enough. */
  readonly check?: (physical: string, schema: readonly Column[]) => Promise<void>;
}

export function parquetReader(files: SourceFiles): Reader {
  return {
    relation: `read_parquet(${files.list}, hive_partitioning = false${files.uris.length > 1 ? ", union_by_name = true" : ""})`,
  };
}

/** Detection gives TIMESTAMP, as in BigQuery, where DuckDB would give a time without a zone. */
function detected(column: Column): Column {
  return {
    ...column,
    type: column.type === "DATETIME" ? "TIMESTAMP" : column.type,
    ...(column.fields === undefined ? {} : { fields: column.fields.map(detected) }),
  };
}

/**
 * What a column is read as from text, and what then becomes of it: BYTES are base64, and DuckDB would round 2.5 for an
 * INT64, where BigQuery refuses it.
 */
function asText(
  column: Column,
  format: "CSV" | "JSON",
): { readonly type: string; readonly decode?: (value: string) => string } {
  if (column.type === "BYTES") {
    if (column.mode === "REPEATED") {
      throw invalid(`the column ${JSON.stringify(column.name)}: the embedded engine reads no repeated BYTES from text`);
    }
    return { type: "VARCHAR", decode: (value) => `from_base64(${value})` };
  }
  if (column.type === "INT64" && format === "CSV") {
    const message = quoteText(` is not an INT64, in the column ${JSON.stringify(column.name)}`);
    const decode = (value: string): string =>
      `CASE WHEN ${value} <> trunc(${value}) THEN error(${value} || ${message}) ELSE CAST(${value} AS BIGINT) END`;
    return { type: "DECIMAL(38,9)", decode };
  }
  return { type: storedType(column) };
}

function textColumns(
  schema: readonly Column[],
  format: "CSV" | "JSON",
): Pick<Reader, "decode"> & { readonly columns: string } {
  return {
    columns: `{${schema.map((column) => `${quoteText(column.name)}: ${quoteText(asText(column, format).type)}`).join(", ")}}`,
    decode: (column, expression) => asText(column, format).decode?.(expression),
  };
}

export function csvReader(link: Link, spec: LoadSpec, files: SourceFiles): Reader {
  const { csv = {}, maxBadRecords = 0, ignoreUnknownValues = false } = spec.options ?? {};
  const { schema } = spec;
  const nested = schema?.find((column) => column.type === "STRUCT" || column.mode === "REPEATED");
  if (nested !== undefined)
    throw invalid(`the column ${JSON.stringify(nested.name)}: CSV holds no nested or repeated values`);
  const skip = csv.skipLeadingRows ?? 0;
  // With detection, DuckDB answers to a row that does not fit by looking for another dialect, in which it may even leave out
  // all rows before it. When it collects what does not fit, it keeps to the dialect, and the row's line is known.
  const collectsRejects = maxBadRecords > 0 || schema === undefined;
  const quote = quoteText(csv.quote ?? '"');
  const dialect = [
    `delim = ${quoteText(csv.fieldDelimiter ?? ",")}`,
    `quote = ${quote}`,
    `escape = ${quote}`,
    `nullstr = ${quoteText(csv.nullMarker ?? "")}`,
    `null_padding = ${csv.allowJaggedRows === true}`,
    `strict_mode = ${!ignoreUnknownValues}`,
    `encoding = ${quoteText(csv.encoding === "ISO-8859-1" ? "latin-1" : "utf-8")}`,
  ];
  const text = schema === undefined ? undefined : textColumns(schema, "CSV");
  if (schema !== undefined && text !== undefined) {
    checkColumns(schema);
    dialect.push("auto_detect = false", "header = false", `skip = ${skip}`, `columns = ${text.columns}`);
  }
  // With detection, BigQuery takes the last of the skipped rows for the header.
  if (schema === undefined && skip > 0) dialect.push("header = true", `skip = ${skip - 1}`);
  if (schema === undefined && skip === 0) dialect.push("skip = 0");
  if (schema === undefined && csv.skipLeadingRows === 0) dialect.push("header = false");
  const options = [
    files.list,
    "hive_partitioning = false",
    "allow_quoted_nulls = false",
    // DuckDB cannot do this in parallel.
    `parallel = ${!(csv.allowJaggedRows === true && csv.allowQuotedNewlines === true)}`,
    ...(collectsRejects ? ["store_rejects = true"] : []),
    ...dialect,
  ];
  const relation = `read_csv(${options.join(", ")})`;
  return {
    relation,
    detected,
    ...(text?.decode === undefined ? {} : { decode: text.decode }),
    async check(physical, columns) {
      if (collectsRejects) await checkRejects(link, files, maxBadRecords);
      if (schema === undefined && !ignoreUnknownValues) await checkHeads(link, files, dialect);
      if (csv.allowQuotedNewlines !== true) await checkNewlines(link, physical, columns);
    },
  };
}

/** DuckDB takes the columns of the first file, and leaves out what others have besides; BigQuery refuses it. */
async function checkHeads(link: Link, files: SourceFiles, dialect: readonly string[]): Promise<void> {
  if (files.uris.length === 1) return;
  let first: string | undefined;
  for (const [index, file] of files.each.entries()) {
    const [row] = await link.run(
      `SELECT array_to_string(list_transform("Columns", lambda c: c.name), ', ') AS names FROM sniff_csv(${[file, ...dialect].join(", ")})`,
    );
    const names = String(row?.["names"]);
    first ??= names;
    if (names !== first)
      throw invalid(
        `${files.uris[index] ?? ""}: its columns are ${names}, and those of ${files.uris[0] ?? ""} are ${first}; write them alike`,
      );
  }
}

/** DuckDB reads quoted newlines in any case; BigQuery only when asked. */
async function checkNewlines(link: Link, physical: string, schema: readonly Column[]): Promise<void> {
  for (const { name, type } of schema) {
    if (type !== "STRING" && type !== "JSON") continue;
    const value = `CAST(${quoteName(name)} AS VARCHAR)`;
    const [row] = await link.run(`SELECT 1 FROM ${physical} WHERE contains(${value}, chr(10)) LIMIT 1`);
    if (row !== undefined)
      throw invalid(
        `a quoted newline in the column ${JSON.stringify(name)}; set csv.allowQuotedNewlines if it is meant`,
      );
  }
}

async function checkRejects(link: Link, files: SourceFiles, allowed: number): Promise<void> {
  const rows = await link.run(
    `SELECT s.file_path, e.line, any_value(e.error_message) AS message, count(*) OVER () AS total
     FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL LIMIT 1`,
  );
  const [first] = rows;
  const total = Number(first?.["total"] ?? 0);
  await link.run("DROP TABLE IF EXISTS reject_errors");
  await link.run("DROP TABLE IF EXISTS reject_scans");
  if (first === undefined || total <= allowed) return;
  throw invalid(
    `${files.uriOf(String(first["file_path"]))} line ${String(first["line"])}: ${String(first["message"])} (${total} bad rows, ${allowed} allowed)`,
  );
}

export async function jsonReader(link: Link, spec: LoadSpec, files: SourceFiles): Promise<Reader> {
  const { maxBadRecords = 0, ignoreUnknownValues = false } = spec.options ?? {};
  if (maxBadRecords > 0) throw invalid("maxBadRecords is not supported for JSON by the embedded engine; set it to 0");
  const { schema } = spec;
  const options = [files.list, "hive_partitioning = false", "format = 'newline_delimited'"];
  if (schema === undefined) {
    options.push("map_inference_threshold = -1", "field_appearance_threshold = 0", "union_by_name = true");
    return { relation: `read_json(${options.join(", ")})`, detected };
  }
  checkColumns(schema);
  await checkStructure(link, schema, files, ignoreUnknownValues);
  const { columns, decode } = textColumns(schema, "JSON");
  return {
    relation: `read_json(${[...options, `columns = ${columns}`].join(", ")})`,
    ...(decode === undefined ? {} : { decode }),
  };
}

/** DuckDB drops values that have no column, or one that is spelled otherwise, and cuts fractions off; BigQuery refuses them. */
async function checkStructure(
  link: Link,
  schema: readonly Column[],
  files: SourceFiles,
  ignoreUnknown: boolean,
): Promise<void> {
  const [row] = await link.run(
    `SELECT json_group_structure(json) AS structure FROM read_ndjson_objects(${files.list}, hive_partitioning = false)`,
  );
  const structure = row?.["structure"];
  const complaint =
    typeof structure === "string" ? misfit(JSON.parse(structure), schema, ignoreUnknown, "") : undefined;
  if (complaint !== undefined) throw invalid(complaint);
}

function misfit(
  structure: unknown,
  schema: readonly Column[],
  ignoreUnknown: boolean,
  prefix: string,
): string | undefined {
  if (Array.isArray(structure)) return misfit(structure[0], schema, ignoreUnknown, prefix);
  if (structure === null || typeof structure !== "object") return undefined;
  const known = byName(schema);
  for (const [name, inner] of Object.entries(structure)) {
    const column = known.get(name.toLowerCase());
    const shown = JSON.stringify(prefix + name);
    if (column === undefined) {
      if (ignoreUnknown) continue;
      return `the field ${shown} has no column; add it to the schema, or set ignoreUnknownValues`;
    }
    if (column.name !== name)
      return `the field ${shown} is spelled ${JSON.stringify(column.name)} in the schema; spell both alike`;
    const element: unknown = Array.isArray(inner) ? inner[0] : inner;
    if (column.type === "INT64" && element === "DOUBLE")
      return `the field ${shown} holds fractions, and its column is INT64`;
    const below =
      column.type === "STRUCT" ? misfit(inner, column.fields ?? [], ignoreUnknown, `${prefix}${name}.`) : undefined;
    if (below !== undefined) return below;
  }
  return undefined;
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
