/** What Google's clients throw, as errors that say whether another try could help. */
import { PermanentError, RetryableError, messageOf } from "../core/errors.ts";

/** The status codes of gRPC that decisions are made by. */
export const Code = Object.freeze({
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
});

/** The status of a call that failed, and its own words. */
interface Fault {
  readonly code: number | undefined;
  readonly message: string;
}

/** Over HTTP, some clients leave the status of the answer, and its whole body for a message. */
const HTTP_CODES: Readonly<Record<number, number>> = {
  400: Code.invalidArgument,
  401: Code.unauthenticated,
  403: Code.permissionDenied,
  404: Code.notFound,
  409: Code.aborted,
  429: Code.resourceExhausted,
  499: Code.cancelled,
  500: Code.internal,
  503: Code.unavailable,
  504: Code.deadlineExceeded,
};

function faultOf(error: unknown): Fault {
  const message = messageOf(error);
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "number"
      ? error.code
      : undefined;
  if (code === undefined || code < 100) return { code, message };
  const { status, message: said = message } = answerIn(message);
  return { code: codeNamed(status) ?? HTTP_CODES[code], message: said };
}

/** `{ "error": { "status": "NOT_FOUND", "message": "…" } }`. */
function answerIn(text: string): { readonly status?: string; readonly message?: string } {
  try {
    const answer: unknown = JSON.parse(text);
    const fault: unknown =
      typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined;
    if (typeof fault !== "object" || fault === null) return {};
    const status = "status" in fault && typeof fault.status === "string" ? { status: fault.status } : {};
    const message = "message" in fault && typeof fault.message === "string" ? { message: fault.message } : {};
    return { ...status, ...message };
  } catch {
    return {};
  }
}

/** By the word of the API: `NOT_FOUND`. */
function codeNamed(status: string | undefined): number | undefined {
  return Object.entries(Code).find(([name]) => wordOf(name, "_").toUpperCase() === status)?.[1];
}

/** The status code of an error of a Google client, if it carries one. */
export function codeOf(error: unknown): number | undefined {
  return faultOf(error).code;
}

/** Codes of what will be the same the next time; everything else, an unknown fault included, may pass. */
const LASTING: ReadonlySet<number> = new Set([
  Code.invalidArgument,
  Code.notFound,
  Code.alreadyExists,
  Code.failedPrecondition,
  Code.outOfRange,
]);

export interface Where {
  /** What was tried, in words for people: `Firestore, database (default) of project p`. */
  readonly what: string;
  /** What to do about a code. */
  readonly remedies?: Readonly<Record<number, string>>;
}

const QUOTA_PAUSE_MS = 10_000;

/**
 * One line of what went wrong, with its remedy where there is one. Our own errors pass through. A missing permission counts
 * as passing: new grants take minutes to be seen everywhere.
 */
export function googleError(error: unknown, { what, remedies = {} }: Where): Error {
  if (error instanceof PermanentError || error instanceof RetryableError) return error;
  const { code, message } = faultOf(error);
  const remedy = code === undefined ? undefined : remedies[code];
  const line = `${what}: ${message}${remedy === undefined ? "" : `; ${remedy}`}`;
  if (code !== undefined && LASTING.has(code)) return new PermanentError(line, { code: nameOf(code), cause: error });
  return new RetryableError(line, {
    cause: error,
    ...(code === Code.resourceExhausted ? { afterMs: QUOTA_PAUSE_MS } : {}),
  });
}

/** `not-found`, `invalid-argument`, … */
function nameOf(code: number): string {
  const [name = "failed"] = Object.entries(Code).find(([, value]) => value === code) ?? [];
  return wordOf(name, "-");
}

function wordOf(name: string, joint: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `${joint}${letter.toLowerCase()}`);
}
