/** What an event says in a log, in one line, and how much it matters. Whatever type it has: new ones need no rule of their own. */
import type { SluiceEvent } from "../core/events.ts";

export type Severity = "DEBUG" | "INFO" | "WARNING" | "ERROR";

const LEVELS: Readonly<Record<Extract<SluiceEvent, { readonly type: "log" }>["level"], Severity>> = {
  debug: "DEBUG",
  info: "INFO",
  warn: "WARNING",
  error: "ERROR",
};

export function severityOf(event: SluiceEvent): Severity {
  if (event.type === "log") return LEVELS[event.level];
  if (event.type === "check.evaluated")
    return event.result.passed ? "INFO" : event.result.severity === "warn" ? "WARNING" : "ERROR";
  if (/\.(?:failed|dead-lettered)$/.test(event.type)) return "ERROR";
  return /\.(?:refused|restarted|canceled|delayed)$/.test(event.type) ? "WARNING" : "INFO";
}

/** `gitcoin/scores 2024-05-01 check not_empty failed and blocks: no rows (error)`. */
export function messageOf(event: SluiceEvent): string {
  const { asset, partition } = event;
  const about = [asset, partition].filter((part) => part !== undefined && part !== "");
  return cut([...about, bodyOf(event)].join(" "));
}

function bodyOf(event: SluiceEvent): string {
  if (event.type === "log") return event.message;
  if (event.type === "check.evaluated") {
    const { check, passed, blocking, severity, message } = event.result;
    if (passed) return `check ${check} passed${message === undefined ? "" : `: ${message}`}`;
    return `check ${check} failed${blocking ? " and blocks" : ""}${message === undefined ? "" : `: ${message}`} (${severity})`;
  }
  const { type, ...rest } = event;
  const fields: Readonly<Record<string, unknown>> = rest;
  const reason = typeof fields["reason"] === "string" && fields["reason"] !== "" ? `: ${fields["reason"]}` : "";
  const facts = factsOf(fields);
  return `${type}${reason}${facts === "" ? "" : ` (${facts})`}`;
}

/** In the labels, in the message already, or too much for a line: all of it is in the entry's `event`. */
const UNSAID: readonly string[] = [
  "v",
  "id",
  "at",
  "asset",
  "partition",
  "run",
  "reason",
  "stack",
  "metadata",
  "schema",
  "fingerprint",
];

function factsOf(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([name, value]) => !UNSAID.includes(name) && value !== undefined && value !== "")
    .map(([name, value]) => `${name} ${valueText(name, value)}`)
    .join(", ");
}

const LISTED = 5;

function valueText(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("At") && Number.isSafeInteger(value)) return timeText(value);
  if (Array.isArray(value)) {
    const texts = value.filter((each) => typeof each === "string");
    if (texts.length < value.length || texts.length > LISTED || texts.length === 0) return `${value.length}`;
    return texts.join(" ");
  }
  if (typeof value === "object" && value !== null) return `(${factsOf({ ...value })})`;
  return String(value);
}

/** A time beyond the calendar is shown as the number that it is. */
function timeText(ms: number): string {
  return Math.abs(ms) > 8.64e15 ? `${ms}` : new Date(ms).toISOString();
}

/** A line that people read; an entry of Cloud Logging takes 256 KB in all. */
const MAX_CHARS = 2_000;

function cut(text: string): string {
  return text.length <= MAX_CHARS ? text : `${text.slice(0, MAX_CHARS).toWellFormed()}…`;
}
