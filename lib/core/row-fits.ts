/** Whether a row that zod has passed can be stored: the bounds of BigQuery's types, which no schema repeats. */
import {
  DECIMALS,
  isDate,
  isDatetime,
  isDecimal,
  isInstant,
  isJson,
  isTime,
  isTimestamp,
  MAX_INT64,
  MIN_INT64,
} from "./row-values.ts";
import type { Field, Shape } from "./row-shape.ts";
import type { ColumnType } from "./table.ts";

export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

type Fits = (value: unknown) => Problem | undefined;

/** Checks a row, and says nothing when it fits. */
export function rowFits(fields: readonly Field[]): (row: Readonly<Record<string, unknown>>) => Problem | undefined {
  const checks = fields.map(({ name, shape }) => ({ name, fits: fitsShape(shape) }));
  return (row) => {
    for (const { name, fits } of checks) {
      const found = fits(row[name]);
      if (found !== undefined) return { path: [name, ...found.path], message: found.message };
    }
    return undefined;
  };
}

function fitsShape(shape: Shape): Fits {
  const one = fitsOne(shape);
  const present: Fits = shape.repeated ? fitsEach(one) : one;
  const takesNull = shape.optional || shape.nullable || shape.fill !== undefined || shape.repeated;
  return (value) => {
    if (value !== null && value !== undefined) return present(value);
    // A JSON null is a value of its own where the column takes no NULL.
    return takesNull || (value === null && shape.form === "json") ? undefined : problem(value, "is no value");
  };
}

function fitsEach(one: Fits): Fits {
  return (items) => {
    if (!Array.isArray(items)) return problem(items, "is not an array");
    for (let index = 0; index < items.length; index++) {
      const found = one(items[index]);
      if (found !== undefined) return { path: [index, ...found.path], message: found.message };
    }
    return undefined;
  };
}

function fitsOne(shape: Shape): Fits {
  if (shape.form === "struct") {
    const row = rowFits(shape.fields ?? []);
    // Its fields are read by name, whatever object it is.
    return (value) =>
      typeof value === "object" && value !== null
        ? row(value as Readonly<Record<string, unknown>>)
        : problem(value, "is not an object");
  }
  const holds = storable(shape);
  const message = MESSAGES[shape.type] ?? `is not a value of ${shape.type}`;
  return (value) => (holds(value) ? undefined : problem(value, message));
}

const MESSAGES: Readonly<Partial<Record<ColumnType, string>>> = {
  INT64: "is not an INT64",
  DATE: "is not a date from 0001-01-01 to 9999-12-31",
  TIME: "is not a time of day in whole microseconds",
  DATETIME: "is not a date and time without a zone, from year 1 to 9999, in whole microseconds",
  TIMESTAMP: "is not a point in time from year 1 to 9999, in whole microseconds",
  STRING: "has half a character (a lone surrogate)",
};

/** What a scalar column of this form can hold. */
export function storable({ form, type }: Shape): (value: unknown) => boolean {
  switch (form) {
    case "boolean":
      return (value) => typeof value === "boolean";
    case "integer":
      return Number.isSafeInteger;
    case "float":
      return (value) => typeof value === "number";
    case "bigint":
      return (value) => typeof value === "bigint" && value >= MIN_INT64 && value <= MAX_INT64;
    case "date":
      return (value) => value instanceof Date && isInstant(value.getTime());
    case "bytes":
      return (value) => value instanceof Uint8Array;
    case "json":
      return (value) => isJson(value);
    case "string":
    case "struct":
      break;
  }
  switch (type) {
    case "NUMERIC":
    case "BIGNUMERIC": {
      const { precision, scale } = DECIMALS[type];
      return (value) => typeof value === "string" && isDecimal(value, precision, scale);
    }
    case "DATE": {
      // Days repeat from row to row.
      let last: unknown;
      return (value) => {
        if (typeof value !== "string") return false;
        if (value === last) return true;
        if (!isDate(value)) return false;
        last = value;
        return true;
      };
    }
    case "TIME":
      return (value) => typeof value === "string" && isTime(value);
    case "DATETIME":
      return (value) => typeof value === "string" && isDatetime(value);
    case "TIMESTAMP":
      return (value) => typeof value === "string" && isTimestamp(value);
    case "STRING":
      return (value) => typeof value === "string" && value.isWellFormed();
    default:
      return () => false;
  }
}

export function problem(value: unknown, message: string): Problem {
  return { path: [], message: `${show(value)} ${message}` };
}

const MAX_SHOWN = 60;

/** The value, short and on one line. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "an invalid Date" : value.toISOString();
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, MAX_SHOWN)) : String(value);
  return typeof value === "string" && value.length > MAX_SHOWN ? `${text}…` : text;
}

/** `path.to[2].field: message`, on one line. */
export function textOfProblem({ path, message }: Problem): string {
  const place = path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`),
    "",
  );
  return `${place === "" ? "the row" : place}: ${message.replaceAll(/\s+/g, " ")}`;
}
