/** How DuckDB reads each format so that the rows are those that BigQuery would see. */
import { PermanentError } from "../core/errors.ts";
import type { Column } from "../core/table.ts";
import type { SourceFiles } from "./duckdb-files.ts";
import type { LoadSpec } from "./duckdb-load.ts";
import type { Link } from "./duckdb-session.ts";
import { quoteName, quoteText } from "./duckdb-sql.ts";
import { byName, checkColumns, storedType } from "./duckdb-types.ts";

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

/** In text, BYTES are base64. */
function decode(column: Column, expression: string): string | undefined {
  return column.type === "BYTES" && column.mode !== "REPEATED" ? `from_base64(${expression})` : undefined;
}

/** What `column` is read as from text, so that `decode` and DuckDB's own casts can make it what it is stored as. */
function textColumns(schema: readonly Column[]): string {
  const types = schema.map((column) => {
    if (column.type === "BYTES" && column.mode === "REPEATED")
      throw invalid(`the column ${JSON.stringify(column.name)}: repeated BYTES cannot be read from text here`);
    return `${quoteText(column.name)}: ${quoteText(column.type === "BYTES" ? "VARCHAR" : storedType(column))}`;
  });
  return `{${types.join(", ")}}`;
}

export function csvReader(link: Link, spec: LoadSpec, files: SourceFiles): Reader {
  const { csv = {}, maxBadRecords = 0, ignoreUnknownValues = false } = spec.options ?? {};
  const { schema } = spec;
  const nested = schema?.find((column) => column.type === "STRUCT" || column.mode === "REPEATED");
  if (nested !== undefined)
    throw invalid(`the column ${JSON.stringify(nested.name)}: CSV holds no nested or repeated values`);
  const skip = csv.skipLeadingRows ?? 0;
  const quote = quoteText(csv.quote ?? '"');
  const options = [
    files.list,
    "hive_partitioning = false",
    `delim = ${quoteText(csv.fieldDelimiter ?? ",")}`,
    `quote = ${quote}`,
    `escape = ${quote}`,
    `nullstr = ${quoteText(csv.nullMarker ?? "")}`,
    "allow_quoted_nulls = false",
    `null_padding = ${csv.allowJaggedRows === true}`,
    `strict_mode = ${!ignoreUnknownValues}`,
    `encoding = ${quoteText(csv.encoding === "ISO-8859-1" ? "latin-1" : "utf-8")}`,
    // DuckDB cannot do this in parallel.
    `parallel = ${!(csv.allowJaggedRows === true && csv.allowQuotedNewlines === true)}`,
    ...(maxBadRecords > 0 ? ["store_rejects = true"] : []),
  ];
  if (schema !== undefined) {
    checkColumns(schema);
    options.push("auto_detect = false", "header = false", `skip = ${skip}`, `columns = ${textColumns(schema)}`);
  } else if (files.uris.length > 1) options.push("union_by_name = true");
  // With detection, BigQuery takes the last of the skipped rows for the header.
  if (schema === undefined && skip > 0) options.push("header = true", `skip = ${skip - 1}`);
  if (schema === undefined && csv.skipLeadingRows === 0) options.push("header = false");
  const relation = `read_csv(${options.join(", ")})`;
  return {
    relation,
    detected,
    decode,
    async check(physical, columns) {
      if (maxBadRecords > 0) await checkRejects(link, files, maxBadRecords);
      if (csv.allowQuotedNewlines !== true) await checkNewlines(link, physical, columns);
    },
  };
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
  if (!ignoreUnknownValues) await checkUnknown(link, schema, files);
  options.push(`columns = ${textColumns(schema)}`);
  return { relation: `read_json(${options.join(", ")})`, decode };
}

/** DuckDB drops values that have no column; BigQuery refuses them. */
async function checkUnknown(link: Link, schema: readonly Column[], files: SourceFiles): Promise<void> {
  const [row] = await link.run(
    `SELECT json_group_structure(json) AS structure FROM read_ndjson_objects(${files.list}, hive_partitioning = false)`,
  );
  const structure = row?.["structure"];
  if (typeof structure !== "string") return;
  const unknown = firstUnknown(JSON.parse(structure), schema);
  if (unknown !== undefined)
    throw invalid(
      `the field ${JSON.stringify(unknown)} has no column; add it to the schema, or set ignoreUnknownValues`,
    );
}

function firstUnknown(structure: unknown, schema: readonly Column[]): string | undefined {
  if (Array.isArray(structure)) return firstUnknown(structure[0], schema);
  if (structure === null || typeof structure !== "object") return undefined;
  const known = byName(schema);
  for (const [name, inner] of Object.entries(structure)) {
    const column = known.get(name.toLowerCase());
    if (column === undefined) return name;
    const below = column.type === "STRUCT" ? firstUnknown(inner, column.fields ?? []) : undefined;
    if (below !== undefined) return `${name}.${below}`;
  }
  return undefined;
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
