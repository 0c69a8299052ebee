/** JavaScript's values in Parquet's plain encoding, one writer for each column type, with the least and the greatest value. */
import { PermanentError } from "../../core/errors.ts";
import {
  areDatetime,
  areTimestamp,
  clockAt,
  dateDays,
  daysAt,
  DECIMALS,
  isDecimal,
  isInstant,
  MAX_INT64,
  MICROS_PER_DAY,
  MIN_INT64,
  unscaled,
} from "../../core/row-values.ts";
import type { ColumnType } from "../../core/table.ts";
import {
  putByte,
  putByteArray,
  putDouble,
  putInt128,
  putInt32,
  putInt64,
  putText,
  sink,
  written,
  type Encoder,
  type Sink,
} from "./bytes.ts";

export interface ValueWriter {
  readonly sink: Sink;
  /** Appends a value that is there. Throws `PermanentError` (`invalid`) for one that the column cannot hold. */
  put(value: unknown): void;
  /** The page's values as they are stored. */
  finish(): Uint8Array;
  /** What readers skip row groups by; `undefined` where it was not kept. */
  range(): { readonly min: number; readonly max: number } | undefined;
  /** Begins a new column chunk. */
  reset(): void;
}

/** The writer of a scalar column's values; `name` is what its errors call it. */
export function valueWriter(type: ColumnType, name: string, encoder: Encoder): ValueWriter {
  const invalid = (value: unknown): PermanentError => {
    const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : `a ${typeof value}`;
    return new PermanentError(`column ${name}: ${shown} cannot be stored as ${type}`, { code: "invalid" });
  };
  const to = sink();
  const range = rangeOf();
  const plain = (put: (value: unknown) => void): ValueWriter => ({
    sink: to,
    put,
    finish: () => written(to),
    range: range.take,
    reset: range.reset,
  });
  /** Microseconds, from a day and a time of day. Those that are beyond 2^53 have no range. */
  const putMicros = (days: number, clock: number): void => {
    const micros = days * MICROS_PER_DAY + clock;
    if (Number.isSafeInteger(micros)) {
      range.see(micros);
      putInt64(to, micros);
    } else {
      range.drop();
      putInt64(to, BigInt(days) * BigInt(MICROS_PER_DAY) + BigInt(clock));
    }
  };
  switch (type) {
    case "BOOL":
      return {
        ...plain((value) => {
          if (typeof value !== "boolean") throw invalid(value);
          putByte(to, value ? 1 : 0);
        }),
        finish: () => packBits(to),
      };
    case "INT64":
      return plain((value) => {
        if (typeof value === "number" && Number.isSafeInteger(value)) {
          range.see(value);
          putInt64(to, value);
        } else if (typeof value === "bigint" && value >= MIN_INT64 && value <= MAX_INT64) {
          range.seeWide(value);
          putInt64(to, value);
        } else throw invalid(value);
      });
    case "FLOAT64":
      return plain((value) => {
        if (typeof value !== "number") throw invalid(value);
        range.see(value);
        putDouble(to, value);
      });
    case "STRING":
      return plain((value) => {
        if (typeof value !== "string") throw invalid(value);
        putText(to, value, encoder);
      });
    case "JSON":
      return plain((value) => {
        const text: unknown = JSON.stringify(value);
        if (typeof text !== "string") throw invalid(value);
        putText(to, text, encoder);
      });
    case "BYTES":
      return plain((value) => {
        if (!(value instanceof Uint8Array)) throw invalid(value);
        putByteArray(to, value);
      });
    case "NUMERIC":
    case "BIGNUMERIC": {
      const { precision, scale } = DECIMALS[type];
      return plain((value) => {
        if (typeof value !== "string" || !isDecimal(value, precision, scale)) throw invalid(value);
        putInt128(to, unscaled(value, scale));
      });
    }
    case "DATE": {
      // Days repeat from row to row.
      let last: unknown;
      let days = Number.NaN;
      return plain((value) => {
        if (value !== last) {
          days = typeof value === "string" ? dateDays(value) : Number.NaN;
          last = value;
        }
        if (Number.isNaN(days)) throw invalid(value);
        range.see(days);
        putInt32(to, days);
      });
    }
    case "TIME":
      return plain((value) => {
        const clock = typeof value === "string" ? clockAt(value, 0, false) : NaN;
        if (Number.isNaN(clock)) throw invalid(value);
        putMicros(0, clock);
      });
    case "DATETIME":
      return plain((value) => {
        if (typeof value !== "string") throw invalid(value);
        const days = daysAt(value);
        const clock = clockAt(value, 11, false);
        if (!areDatetime(value, days, clock)) throw invalid(value);
        putMicros(days, clock);
      });
    case "TIMESTAMP":
      return plain((value) => {
        if (typeof value === "string") {
          const days = daysAt(value);
          const clock = clockAt(value, 11, true);
          if (!areTimestamp(value, days, clock)) throw invalid(value);
          putMicros(days, clock);
        } else if (value instanceof Date && isInstant(value.getTime())) {
          const days = Math.floor(value.getTime() / 86_400_000);
          putMicros(days, (value.getTime() - days * 86_400_000) * 1000);
        } else throw invalid(value);
      });
    default:
      throw new PermanentError(`column ${name}: rows cannot be written as ${type}`, { code: "invalid" });
  }
}

interface Range {
  see(value: number): void;
  seeWide(value: bigint): void;
  drop(): void;
  reset(): void;
  take(): { readonly min: number; readonly max: number } | undefined;
}

/** A range that leaves out a NaN, or an integer that no number is exactly, would mislead a reader: it is dropped. */
function rangeOf(): Range {
  // In variables, every new bound would be an object of its own.
  const bounds = Float64Array.of(Infinity, -Infinity);
  let known = true;
  const see = (value: number): void => {
    if (value < (bounds[0] ?? 0)) bounds[0] = value;
    if (value > (bounds[1] ?? 0)) bounds[1] = value;
    if (Number.isNaN(value)) known = false;
  };
  return {
    see,
    seeWide(value) {
      const number = Number(value);
      if (Number.isSafeInteger(number)) see(number);
      else known = false;
    },
    drop() {
      known = false;
    },
    reset() {
      bounds.set([Infinity, -Infinity]);
      known = true;
    },
    take() {
      const [min = 0, max = 0] = bounds;
      // Parquet wants the zeros of floats to be the outer ones.
      return known && min <= max ? { min: min === 0 ? -0 : min, max: max === 0 ? 0 : max } : undefined;
    },
  };
}

/** One bit for each byte that was put, the first in the lowest bit. */
function packBits(from: Sink): Uint8Array {
  const packed = new Uint8Array(Math.ceil(from.length / 8));
  for (let at = 0; at < from.length; at++)
    packed[at >> 3] = (packed[at >> 3] ?? 0) | ((from.bytes[at] ?? 0) << (at & 7));
  return packed;
}
