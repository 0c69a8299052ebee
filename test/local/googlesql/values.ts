/** What DuckDB gives, in the form of the table of cases: numbers, dates and bytes as texts, structs as lists of their fields. */
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimeValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTypeId,
  type DuckDBConnection,
  type DuckDBType,
  type DuckDBValue,
} from "@duckdb/node-api";

export async function openEngine(): Promise<DuckDBConnection> {
  const connection = await (await DuckDBInstance.create(":memory:", { threads: "2" })).connect();
  await connection.run("SET GLOBAL TimeZone = 'UTC'");
  return connection;
}

const scalars: ReadonlyMap<DuckDBTypeId, string> = new Map([
  [DuckDBTypeId.BOOLEAN, "BOOL"],
  [DuckDBTypeId.BIGINT, "INT64"],
  [DuckDBTypeId.DOUBLE, "FLOAT64"],
  [DuckDBTypeId.VARCHAR, "STRING"],
  [DuckDBTypeId.BLOB, "BYTES"],
  [DuckDBTypeId.DATE, "DATE"],
  [DuckDBTypeId.TIME, "TIME"],
  [DuckDBTypeId.TIMESTAMP, "DATETIME"],
  [DuckDBTypeId.TIMESTAMP_TZ, "TIMESTAMP"],
]);

/** The GoogleSQL type that exactly this type stores; any other is shown as the engine's own. */
export function googleType(type: DuckDBType): string {
  if (type.alias === "JSON") return "JSON";
  if (type.typeId === DuckDBTypeId.LIST) return `ARRAY<${googleType(type.valueType)}>`;
  if (type.typeId === DuckDBTypeId.DECIMAL && type.width === 38 && type.scale === 9) return "NUMERIC";
  if (type.typeId === DuckDBTypeId.STRUCT) {
    const fields = type.entryNames.map((name, index) => {
      const entry = type.entryTypes[index];
      return (name.startsWith("_field_") ? "" : `${name} `) + (entry === undefined ? "?" : googleType(entry));
    });
    return `STRUCT<${fields.join(", ")}>`;
  }
  return scalars.get(type.typeId) ?? String(type);
}

export function plain(value: DuckDBValue, type: DuckDBType): unknown {
  if (value === null) return null;
  if (value instanceof DuckDBListValue && type.typeId === DuckDBTypeId.LIST)
    return value.items.map((item) => plain(item, type.valueType));
  if (value instanceof DuckDBStructValue && type.typeId === DuckDBTypeId.STRUCT)
    return type.entryNames.map((name, index) => plain(value.entries[name] ?? null, type.entryTypes[index] ?? type));
  if (type.alias === "JSON" && typeof value === "string") return sorted(JSON.parse(value));
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return numberText(value);
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString("base64");
  if (value instanceof DuckDBDateValue) return new Date(value.days * 86_400_000).toISOString().slice(0, 10);
  if (value instanceof DuckDBTimestampTZValue) return `${instant(value.micros)}Z`;
  if (value instanceof DuckDBTimestampValue) return instant(value.micros);
  if (value instanceof DuckDBTimeValue) return instant(value.micros).slice(11);
  if (value instanceof DuckDBDecimalValue) return value.toString().replace(/\.?0+$/, "");
  return value;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

/** JSON does not keep the order of names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

function instant(micros: bigint): string {
  const fraction = Number(((micros % 1_000_000n) + 1_000_000n) % 1_000_000n);
  const whole = new Date(Number((micros - BigInt(fraction)) / 1_000n)).toISOString().slice(0, 19);
  if (fraction === 0) return whole;
  const isMillis = fraction % 1000 === 0;
  return `${whole}.${String(isMillis ? fraction / 1000 : fraction).padStart(isMillis ? 3 : 6, "0")}`;
}

/** The rows and types of a statement of the engine. */
export async function rowsOf(
  connection: DuckDBConnection,
  sql: string,
  values?: Record<string, DuckDBValue>,
): Promise<{
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly rows: readonly unknown[][];
}> {
  const reader = await connection.runAndReadAll(sql, values);
  const types = reader.columnTypes();
  const rows = reader
    .getRows()
    .map((row) => row.map((value, index) => plain(value, types[index] ?? types[0] ?? failed())));
  return { names: reader.columnNames(), types: types.map(googleType), rows };
}

function failed(): never {
  throw new Error("a row has as many values as there are types");
}
