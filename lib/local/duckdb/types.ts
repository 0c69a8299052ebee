/**
 * BigQuery's types and DuckDB's, one table both ways. What DuckDB has and BigQuery has not is stored as its nearest
 * equal: small and unsigned integers as INT64 (a value that does not fit fails the load), huge ones as NUMERIC, FLOAT as
 * FLOAT64, ENUM and UUID as STRING, a MAP as a repeated STRUCT of key and value, a fixed array as a repeated column,
 * GEOMETRY as GEOGRAPHY. Decimals with up to 9 decimal places are NUMERIC, with up to 18 BIGNUMERIC. The rest is refused.
 */
import { DuckDBTypeId, type DuckDBType } from "@duckdb/node-api";
import { PermanentError } from "../../core/errors.ts";
import type { Column, ColumnType } from "../../core/table.ts";
import { storedScalars } from "../googlesql/type.ts";
import { quoteName } from "./sql.ts";

/** The DuckDB type of a column, in SQL. */
export function storedType(column: Column): string {
  const one =
    column.type === "STRUCT"
      ? `STRUCT(${(column.fields ?? []).map((field) => `${quoteName(field.name)} ${storedType(field)}`).join(", ")})`
      : storedScalars[column.type];
  return column.mode === "REPEATED" ? `${one}[]` : one;
}

const scalars: ReadonlyMap<DuckDBTypeId, ColumnType> = new Map([
  [DuckDBTypeId.BOOLEAN, "BOOL"],
  [DuckDBTypeId.TINYINT, "INT64"],
  [DuckDBTypeId.SMALLINT, "INT64"],
  [DuckDBTypeId.INTEGER, "INT64"],
  [DuckDBTypeId.BIGINT, "INT64"],
  [DuckDBTypeId.UTINYINT, "INT64"],
  [DuckDBTypeId.USMALLINT, "INT64"],
  [DuckDBTypeId.UINTEGER, "INT64"],
  [DuckDBTypeId.UBIGINT, "INT64"],
  [DuckDBTypeId.HUGEINT, "NUMERIC"],
  [DuckDBTypeId.UHUGEINT, "NUMERIC"],
  [DuckDBTypeId.FLOAT, "FLOAT64"],
  [DuckDBTypeId.DOUBLE, "FLOAT64"],
  [DuckDBTypeId.ENUM, "STRING"],
  [DuckDBTypeId.UUID, "STRING"],
  [DuckDBTypeId.SQLNULL, "STRING"],
  [DuckDBTypeId.BLOB, "BYTES"],
  [DuckDBTypeId.DATE, "DATE"],
  [DuckDBTypeId.TIME, "TIME"],
  [DuckDBTypeId.TIMESTAMP, "DATETIME"],
  [DuckDBTypeId.TIMESTAMP_S, "DATETIME"],
  [DuckDBTypeId.TIMESTAMP_MS, "DATETIME"],
  [DuckDBTypeId.TIMESTAMP_NS, "DATETIME"],
  [DuckDBTypeId.TIMESTAMP_TZ, "TIMESTAMP"],
  [DuckDBTypeId.INTERVAL, "INTERVAL"],
  [DuckDBTypeId.GEOMETRY, "GEOGRAPHY"],
]);

/** The column that a value of this DuckDB type becomes. Throws `PermanentError` (`invalid`) where BigQuery has no equal. */
export function columnOf(name: string, type: DuckDBType): Column {
  const mode = "NULLABLE";
  switch (type.typeId) {
    case DuckDBTypeId.VARCHAR:
      return { name, type: type.alias === "JSON" ? "JSON" : "STRING", mode };
    case DuckDBTypeId.DECIMAL:
      if (type.scale > 18) throw noEqual(name, type);
      return { name, type: type.scale > 9 ? "BIGNUMERIC" : "NUMERIC", mode };
    case DuckDBTypeId.STRUCT:
      return {
        name,
        type: "STRUCT",
        mode,
        fields: type.entryNames.map((entry, index) => nested(entry, type.entryTypes[index], name)),
      };
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const element = columnOf(name, type.valueType);
      if (element.mode === "REPEATED") throw noEqual(name, type);
      return { ...element, mode: "REPEATED" };
    }
    case DuckDBTypeId.MAP: {
      const fields = [nested("key", type.keyType, name), nested("value", type.valueType, name)];
      return { name, type: "STRUCT", mode: "REPEATED", fields };
    }
    default: {
      const scalar = scalars.get(type.typeId);
      if (scalar === undefined) throw noEqual(name, type);
      return { name, type: scalar, mode };
    }
  }
}

/** A map inside of another type cannot be cast as a whole, so only a column may be one. */
function nested(name: string, type: DuckDBType | undefined, parent: string): Column {
  const path = `${parent}.${name}`;
  if (type === undefined || type.typeId === DuckDBTypeId.MAP) throw noEqual(path, type);
  return { ...columnOf(path, type), name };
}

function noEqual(name: string, type: DuckDBType | undefined): PermanentError {
  return new PermanentError(
    `column ${JSON.stringify(name)}: the type ${String(type)} has no equal in BigQuery; write the file with another type`,
    {
      code: "invalid",
    },
  );
}

/**
 * SQL that turns a value of type `from` into what `column` stores. A missing list is empty, as in BigQuery.
 * Throws `PermanentError` (`invalid`) when BigQuery would not take the one for the other.
 */
export function convert(expression: string, from: DuckDBType, column: Column): string {
  const natural = columnOf(column.name, from);
  if (!fits(natural, column)) {
    const type = (one: Column): string => (one.mode === "REPEATED" ? `repeated ${one.type}` : one.type);
    throw new PermanentError(
      `column ${JSON.stringify(column.name)} is ${type(natural)} in the file, and ${type(column)} in the schema`,
      {
        code: "invalid",
      },
    );
  }
  let value = expression;
  if (from.typeId === DuckDBTypeId.MAP) value = `map_entries(${value})`;
  if (natural.type === "BYTES" && column.type === "STRING" && column.mode !== "REPEATED") value = `decode(${value})`;
  const cast = `CAST(${value} AS ${storedType(column)})`;
  return column.mode === "REPEATED" ? `coalesce(${cast}, [])` : cast;
}

const widenings: Partial<Record<ColumnType, readonly ColumnType[]>> = {
  INT64: ["FLOAT64", "NUMERIC", "BIGNUMERIC"],
  NUMERIC: ["BIGNUMERIC"],
  STRING: ["JSON", "GEOGRAPHY"],
  DATETIME: ["TIMESTAMP"],
  TIMESTAMP: ["DATETIME"],
  DATE: ["DATETIME", "TIMESTAMP"],
};

function fits(from: Column, to: Column): boolean {
  if ((from.mode === "REPEATED") !== (to.mode === "REPEATED")) return false;
  if (from.type === "STRUCT" && to.type === "STRUCT") {
    const fields = byName(to.fields ?? []);
    return (from.fields ?? []).every((field) => {
      const target = fields.get(field.name.toLowerCase());
      return target !== undefined && fits(field, target);
    });
  }
  if (from.type === "BYTES" && to.type === "STRING") return from.mode !== "REPEATED";
  return from.type === to.type || (widenings[from.type] ?? []).includes(to.type);
}

/** Columns by their name in lower case: BigQuery's column names are case-insensitive. */
export function byName(columns: readonly Column[]): ReadonlyMap<string, Column> {
  return new Map(columns.map((column) => [column.name.toLowerCase(), column]));
}

/** Refuses what BigQuery refuses in a schema: no columns, names twice, names it keeps for itself, forbidden characters. */
export function checkColumns(columns: readonly Column[]): void {
  const refuse = (message: string): never => {
    throw new PermanentError(message, { code: "invalid" });
  };
  if (columns.length === 0) refuse("a table needs at least one column");
  const seen = new Set<string>();
  for (const column of columns) {
    const shown = JSON.stringify(column.name);
    const key = column.name.toLowerCase();
    if (seen.has(key)) refuse(`the column name ${shown} is there twice; names are case-insensitive`);
    if (key === "" || key.length > 300 || /[!"$()*,./;?@[\\\]^`{}~\p{Cc}]/u.test(key)) {
      refuse(`the column name ${shown} is not legal; use letters, digits and underscores`);
    }
    if (/^_(partition|table_|file_|row_timestamp|sluice|colidentifier)/i.test(key))
      refuse(`the column name ${shown} is reserved`);
    seen.add(key);
    if (column.type === "STRUCT") checkColumns(column.fields ?? []);
  }
}
