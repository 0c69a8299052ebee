/** Rows of a result as plain JSON values. BigQuery sends every value as text, nested as `{f: [{v}]}`. */
import type { Cell, Field } from "./bigquery-resources.ts";

export type Row = Readonly<Record<string, unknown>>;

/**
 * INT64 is a number while it is exact and text beyond; NUMERIC text without needless zeros; BYTES base64; DATE, TIME and
 * DATETIME ISO 8601 without a zone, TIMESTAMP (sent as microseconds) with `Z`; JSON what it says; NaN and infinities text.
 */
export function rowOf(fields: readonly Field[], cells: readonly Cell[]): Row {
  const row: Record<string, unknown> = {};
  fields.forEach((field, index) => {
    row[field.name] = valueOf(field, cells[index]?.v);
  });
  return row;
}

function valueOf(field: Field, value: unknown): unknown {
  if (field.mode !== "REPEATED") return oneOf(field, value);
  return Array.isArray(value) ? value.map((item: Cell) => oneOf(field, item.v)) : [];
}

function oneOf(field: Field, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (field.type === "RECORD" || field.type === "STRUCT") return rowOf(field.fields ?? [], cellsOf(value));
  if (typeof value !== "string") return value;
  switch (field.type) {
    case "INTEGER":
    case "INT64":
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case "FLOAT":
    case "FLOAT64":
      return Number.isFinite(Number(value)) ? Number(value) : value;
    case "BOOLEAN":
    case "BOOL":
      return value === "true";
    case "NUMERIC":
    case "BIGNUMERIC":
      return value.includes(".") ? value.replace(/\.?0+$/, "") : value;
    case "TIMESTAMP":
      return instant(value);
    case "DATETIME":
      return thousands(value);
    case "TIME":
      return value.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    case "JSON":
      return JSON.parse(value) as unknown;
    default:
      return value;
  }
}

function cellsOf(value: unknown): readonly Cell[] {
  const cells = typeof value === "object" && value !== null && "f" in value ? value.f : undefined;
  return Array.isArray(cells) ? (cells as readonly Cell[]) : []; // the form of a record
}

/** Whole microseconds since the epoch, as BigQuery sends them when asked for int64 timestamps. */
function instant(text: string): string {
  if (!/^-?\d+$/.test(text)) return text;
  const micros = BigInt(text);
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = new Date(Number((micros - fraction) / 1_000n)).toISOString().slice(0, -5);
  return `${thousands(`${seconds}.${String(fraction).padStart(6, "0")}`)}Z`;
}

/** A fraction of three or six digits, or none. */
function thousands(text: string): string {
  const [whole = text, fraction = ""] = text.split(".");
  const digits = fraction.padEnd(6, "0").slice(0, 6);
  if (digits === "000000") return whole;
  return `${whole}.${digits.endsWith("000") ? digits.slice(0, 3) : digits}`;
}
