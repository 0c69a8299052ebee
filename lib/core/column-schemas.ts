/** zod schemas for the columns that zod has no word for: decimals and JSON. Each is marked with its column's type. */
import { z } from "zod";
import { DefinitionError } from "./errors.ts";
import { DECIMALS, isDecimal, isJson, type JsonValue } from "./row-values.ts";

/** The type that `decimal` or `json` has marked a schema with. */
export type Mark =
  | { readonly type: "JSON" }
  | { readonly type: "NUMERIC" | "BIGNUMERIC"; readonly precision: number; readonly scale: number };

const MARK = "sluice:column";

/**
 * A decimal number as text (`"-12.50"`; no exponent, no leading `+`), with at most `scale` digits after the point and
 * `precision - scale` before it. It is stored as NUMERIC where that holds it (29 digits before the point, 9 after it),
 * and otherwise as BIGNUMERIC (20 and 18). Throws `DefinitionError` when neither holds it.
 */
export function decimal({ precision, scale }: { readonly precision: number; readonly scale: number }): z.ZodString {
  const type = decimalType(precision, scale);
  const check = z.check<string>((payload) => {
    if (isDecimal(payload.value, precision, scale)) return;
    const message = `expected a decimal number as text with at most ${precision - scale} digits before the point and ${scale} after it`;
    payload.issues.push({ code: "custom", input: payload.value, message });
  });
  return z.string().check(marked(check, { type, precision, scale }));
}

/** Any JSON value: objects, arrays, texts, finite numbers, booleans and null, nested at most 500 deep. */
export function json(): z.ZodType<JsonValue, JsonValue> {
  const mark = z.check<JsonValue>(() => undefined);
  return z.custom<JsonValue>((value) => isJson(value), "expected a JSON value").check(marked(mark, { type: "JSON" }));
}

/** Bytes. `z.instanceof(Uint8Array)` means the same. */
export function bytes(): z.ZodType<Uint8Array, Uint8Array> {
  return z.instanceof(Uint8Array);
}

/** What `decimal` or `json` said about this very schema. */
export function markOf(schema: z.core.$ZodType): Mark | undefined {
  // Only `marked` writes under this name.
  return schema._zod.bag[MARK] as Mark | undefined;
}

/** A check marks whatever schema it is attached to, so that the mark survives `.meta()`, `.min()` and the like. */
function marked<T>(check: z.core.$ZodCheck<T>, mark: Mark): z.core.$ZodCheck<T> {
  check._zod.onattach.push((schema) => {
    schema._zod.bag[MARK] = mark;
  });
  return check;
}

function decimalType(precision: number, scale: number): "NUMERIC" | "BIGNUMERIC" {
  const whole = precision - scale;
  if (Number.isSafeInteger(precision) && Number.isSafeInteger(scale) && scale >= 0 && whole >= 0 && precision > 0) {
    for (const type of ["NUMERIC", "BIGNUMERIC"] as const) {
      const limit = DECIMALS[type];
      if (scale <= limit.scale && whole <= limit.precision - limit.scale) return type;
    }
  }
  throw new DefinitionError(`decimal({ precision: ${precision}, scale: ${scale} }) has no column type`, {
    remedy: "at most 29 digits before the point and 9 after it (NUMERIC), or 20 and 18 (BIGNUMERIC); else z.string()",
  });
}
