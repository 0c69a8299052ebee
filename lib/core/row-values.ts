/**
 * What a text, a number or an object must look like to be a value of a BigQuery column, and what it stands for.
 * Nothing here allocates on the way of a good value: a row of ten million passes through it.
 */

/** What a JSON column holds: what `JSON.stringify` writes and `JSON.parse` reads back unchanged. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export const MICROS_PER_DAY = 86_400_000_000;
/** 0001-01-01 and 9999-12-31, in days since 1970-01-01. */
export const MIN_DAY = -719_162;
export const MAX_DAY = 2_932_896;

export const MIN_INT64 = -(2n ** 63n);
export const MAX_INT64 = 2n ** 63n - 1n;

/** The decimal types, as the warehouse on one machine has them too. BigQuery's own BIGNUMERIC is wider: 38 and 38. */
export const DECIMALS = Object.freeze({
  NUMERIC: Object.freeze({ precision: 38, scale: 9 }),
  BIGNUMERIC: Object.freeze({ precision: 38, scale: 18 }),
});

/** BigQuery nests JSON 500 levels deep at most. */
const MAX_JSON_DEPTH = 500;

const ZERO = 48;

/** The two digits at `at`, or a negative number. */
function two(text: string, at: number): number {
  // Beyond the end there is NaN, which no comparison holds for.
  const tens = text.charCodeAt(at) - ZERO;
  const ones = text.charCodeAt(at + 1) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

/** Days since 1970-01-01 of the `YYYY-MM-DD` that `text` starts with, or NaN when there is no such day. */
export function daysAt(text: string): number {
  const century = two(text, 0);
  const short = two(text, 2);
  const month = two(text, 5);
  const day = two(text, 8);
  const year = century * 100 + short;
  if (century < 0 || short < 0 || year === 0 || month < 1 || month > 12) return NaN;
  if (day < 1 || day > daysIn(year, month) || text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45) return NaN;
  // Years that begin in March end with the leap day.
  const y = month <= 2 ? year - 1 : year;
  const dayOfYear = (((153 * (month <= 2 ? month + 9 : month - 3) + 2) / 5) | 0) + day - 1;
  return y * 365 + (y >> 2) - ((y / 100) | 0) + ((y / 400) | 0) + dayOfYear - 719_468;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * Microseconds since midnight of the `HH:MM[:SS[.fraction]]` at `from`, or NaN. With `zoned`, the seconds must be there,
 * a `Z` or an offset follows, and the result is in UTC: it may then lie outside of the day. Digits below a microsecond
 * must be zeros.
 */
export function clockAt(text: string, from: number, zoned: boolean): number {
  const hour = two(text, from);
  const minute = two(text, from + 3);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || text.charCodeAt(from + 2) !== 58) return NaN;
  let seconds = hour * 3600 + minute * 60;
  let micros = 0;
  let at = from + 5;
  if (at < text.length && text.charCodeAt(at) === 58) {
    const second = two(text, at + 1);
    if (second < 0 || second > 59) return NaN;
    seconds += second;
    at += 3;
    if (at < text.length && text.charCodeAt(at) === 46) {
      const first = ++at;
      for (let unit = 100_000; at < text.length; at++, unit = (unit / 10) | 0) {
        const digit = text.charCodeAt(at) - ZERO;
        if (digit < 0 || digit > 9) break;
        if (unit === 0 && digit !== 0) return NaN;
        micros += digit * unit;
      }
      if (at === first) return NaN;
    }
  } else if (zoned) return NaN;
  if (zoned) {
    const sign = at < text.length ? text.charCodeAt(at) : 0;
    if (sign === 90) at++;
    else {
      const hours = two(text, at + 1);
      const minutes = two(text, at + 4);
      const isOffset = (sign === 43 || sign === 45) && text.charCodeAt(at + 3) === 58;
      if (!isOffset || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return NaN;
      const offset = hours * 3600 + minutes * 60;
      seconds += sign === 43 ? -offset : offset;
      at += 6;
    }
  }
  return at === text.length ? seconds * 1_000_000 + micros : NaN;
}

/** The day of a text that is nothing but a date, or NaN. */
export function dateDays(text: string): number {
  return text.length === 10 ? daysAt(text) : NaN;
}

export function isDate(text: string): boolean {
  return !Number.isNaN(dateDays(text));
}

export function isTime(text: string): boolean {
  return !Number.isNaN(clockAt(text, 0, false));
}

/** Whether day and time of day are the two parts of a `text` that is a DATETIME. */
export function areDatetime(text: string, days: number, clock: number): boolean {
  return text.charCodeAt(10) === 84 && !Number.isNaN(days) && !Number.isNaN(clock);
}

export function isDatetime(text: string): boolean {
  return areDatetime(text, daysAt(text), clockAt(text, 11, false));
}

/** The same for a TIMESTAMP. In UTC it lies in the years 1 to 9999, whatever its offset. */
export function areTimestamp(text: string, days: number, clock: number): boolean {
  if (!areDatetime(text, days, clock)) return false;
  return !(days === MIN_DAY && clock < 0) && !(days === MAX_DAY && clock >= MICROS_PER_DAY);
}

export function isTimestamp(text: string): boolean {
  return areTimestamp(text, daysAt(text), clockAt(text, 11, true));
}

/** Milliseconds since 1970 that are a BigQuery timestamp. */
export function isInstant(millis: number): boolean {
  return millis >= MIN_DAY * 86_400_000 && millis < (MAX_DAY + 1) * 86_400_000;
}

/** Whether `text` is a decimal number with at most `scale` digits after the point and `precision - scale` before it. */
export function isDecimal(text: string, precision: number, scale: number): boolean {
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  let point = -1;
  let significant = -1;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 46 && point < 0) point = at;
    else if (code < ZERO || code > 57) return false;
    else if (significant < 0 && point < 0 && code !== ZERO) significant = at;
  }
  const whole = (point < 0 ? text.length : point) - start;
  const fraction = point < 0 ? 0 : text.length - point - 1;
  if (whole === 0 || (point >= 0 && fraction === 0) || fraction > scale) return false;
  return significant < 0 || whole - (significant - start) <= precision - scale;
}

/** The integer that `text`, which `isDecimal`, is in units of 10^-scale: a number where it is safe, else a bigint. */
export function unscaled(text: string, scale: number): number | bigint {
  const point = text.indexOf(".");
  const digits = point < 0 ? text : text.slice(0, point) + text.slice(point + 1);
  const missing = scale - (point < 0 ? 0 : text.length - point - 1);
  if (digits.length + missing <= 15) return Number(digits) * 10 ** missing;
  return BigInt(digits) * 10n ** BigInt(missing);
}

/** Whether the value is JSON through and through: no NaN, no `undefined`, no Date, no class, no half of a character. */
export function isJson(value: unknown, depth = 0): value is JsonValue {
  switch (typeof value) {
    case "string":
      return value.isWellFormed();
    case "number":
      return Number.isFinite(value);
    case "boolean":
      return true;
    case "object":
      if (value === null) return true;
      if (depth >= MAX_JSON_DEPTH) return false;
      if (Array.isArray(value)) return everyItem(value, depth);
      return isPlainObject(value) && everyEntry(value, depth);
    default:
      return false;
  }
}

/** `Array.every` would skip the holes of a sparse array. */
function everyItem(items: readonly unknown[], depth: number): boolean {
  for (const item of items) if (!isJson(item, depth + 1)) return false;
  return true;
}

function everyEntry(value: object, depth: number): boolean {
  for (const [key, inner] of Object.entries(value)) if (!key.isWellFormed() || !isJson(inner, depth + 1)) return false;
  return true;
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
