/** What DuckDB holds as plain JSON values, in the form that BigQuery's clients give. */
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBIntervalValue,
  DuckDBListValue,
  DuckDBArrayValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTypeId,
  type DuckDBType,
  type DuckDBValue,
} from "@duckdb/node-api";

/**
 * INT64 is a number while it is exact and text beyond; NUMERIC text without needless zeros; BYTES base64; DATE, TIME and
 * DATETIME ISO 8601 without a zone, TIMESTAMP with `Z`; JSON what it says; NaN and infinities text.
 */
export function jsonValue(value: DuckDBValue, type: DuckDBType): unknown {
  if (value === null) return null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "string") return type.alias === "JSON" ? (JSON.parse(value) as unknown) : value;
  if (typeof value === "boolean") return value;
  if (value instanceof DuckDBDecimalValue) return trimZeros(value.toString());
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString("base64");
  if (value instanceof DuckDBTimestampTZValue) return instant(value.micros, "Z");
  if (value instanceof DuckDBTimestampValue) return instant(value.micros, "");
  if (value instanceof DuckDBTimestampMillisecondsValue) return instant(value.millis * 1_000n, "");
  if (value instanceof DuckDBTimestampSecondsValue) return instant(value.seconds * 1_000_000n, "");
  if (value instanceof DuckDBTimestampNanosecondsValue) return instant(value.nanos / 1_000n, "");
  if (value instanceof DuckDBDateValue) return value.toString();
  if (value instanceof DuckDBIntervalValue) return interval(value);
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) {
    const element = type.typeId === DuckDBTypeId.LIST || type.typeId === DuckDBTypeId.ARRAY ? type.valueType : type;
    return value.items.map((item) => jsonValue(item, element));
  }
  if (value instanceof DuckDBStructValue && type.typeId === DuckDBTypeId.STRUCT) {
    return Object.fromEntries(
      type.entryNames.map((name, index) => [
        name,
        jsonValue(value.entries[name] ?? null, type.entryTypes[index] ?? type),
      ]),
    );
  }
  if (value instanceof DuckDBMapValue && type.typeId === DuckDBTypeId.MAP) {
    return value.entries.map((entry) => ({
      key: jsonValue(entry.key, type.keyType),
      value: jsonValue(entry.value, type.valueType),
    }));
  }
  return String(value);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Years 1 to 9999, as BigQuery has them; microseconds only where there are any. */
function instant(micros: bigint, zone: string): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const date = new Date(Number((micros - fraction) / 1_000n));
  if (Number.isNaN(date.getTime())) return micros > 0n ? "infinity" : "-infinity";
  const digits =
    fraction === 0n
      ? ""
      : fraction % 1_000n === 0n
        ? `.${String(fraction / 1_000n).padStart(3, "0")}`
        : `.${String(fraction).padStart(6, "0")}`;
  return `${date.toISOString().slice(0, -5)}${digits}${zone}`;
}

/** BigQuery's canonical form, `Y-M D H:M:S`, each part with its own sign. */
function interval({ months, days, micros }: DuckDBIntervalValue): string {
  const sign = (negative: boolean): string => (negative ? "-" : "");
  const time = micros < 0n ? -micros : micros;
  const seconds = time / 1_000_000n;
  const fraction = time % 1_000_000n === 0n ? "" : `.${String(time % 1_000_000n).padStart(6, "0")}`;
  const year = Math.trunc(Math.abs(months) / 12);
  return `${sign(months < 0)}${year}-${Math.abs(months) % 12} ${days} ${sign(micros < 0n)}${seconds / 3600n}:${(seconds / 60n) % 60n}:${seconds % 60n}${fraction}`;
}
