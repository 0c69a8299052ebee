/** How values that JSON has no type for are written as text, in the one form in which the warehouse gives them too. */
import { MICROS_PER_DAY } from "./row-values.ts";

const MICROS = BigInt(MICROS_PER_DAY);

/** `2024-05-01`, of days since 1970. */
export function dateText(days: number): string {
  return new Date(days * 86_400_000).toISOString().slice(0, 10);
}

/** `10:00:00.5`, of microseconds since midnight. */
export function timeText(micros: number): string {
  const fraction = micros % 1_000_000;
  const digits = fraction === 0 ? "" : `.${String(fraction).padStart(6, "0").replace(/0+$/, "")}`;
  return `${clockText(micros)}${digits}`;
}

/** `2024-05-01T10:00:00.500`, of a day and of microseconds that may lie outside of it. */
export function datetimeText(days: number, micros: number): string {
  const shift = Math.floor(micros / MICROS_PER_DAY);
  const clock = micros - shift * MICROS_PER_DAY;
  const fraction = clock % 1_000_000;
  const digits =
    fraction === 0
      ? ""
      : fraction % 1000 === 0
        ? `.${String(fraction / 1000).padStart(3, "0")}`
        : `.${String(fraction).padStart(6, "0")}`;
  return `${dateText(days + shift)}T${clockText(clock)}${digits}`;
}

/** The same of microseconds since 1970. */
export function instantText(micros: bigint): string {
  const rest = micros % MICROS;
  const clock = rest < 0n ? rest + MICROS : rest;
  return datetimeText(Number((micros - clock) / MICROS), Number(clock));
}

function clockText(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** `-12.5`, of a number of units of 10^-scale; no zeros at its end. */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${unscaled < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** A number while it is exact, text beyond. */
export function integerValue(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** JSON has neither NaN nor infinities: they are text. */
export function floatValue(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

const CHUNK = 8192;

export function base64Text(bytes: Uint8Array): string {
  let letters = "";
  for (let at = 0; at < bytes.length; at += CHUNK)
    letters += String.fromCharCode(...bytes.subarray(at, Math.min(at + CHUNK, bytes.length)));
  return btoa(letters);
}
