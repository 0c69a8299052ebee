/** What a tool's failure means: whether another try could help, after which pause, and the one line that says why. Pure. */

export type FaultKind =
  /** Too many requests. */
  | "rate"
  /** Somebody else changed it at the same time. */
  | "conflict"
  /** Google's side is not there for the moment. */
  | "unavailable"
  /** What was just made is not known everywhere yet. */
  | "not-visible"
  /** The service is not enabled in the project, or not everywhere yet. */
  | "disabled"
  /** It was there already. */
  | "exists"
  /** It is not there. */
  | "missing"
  /** It is no longer of the generation that the call asked for. */
  | "precondition"
  /** Nobody is signed in. */
  | "unauthenticated"
  /** Who is signed in may not. */
  | "denied"
  /** The tool was ended from outside. */
  | "ended"
  | "failed";

export interface Fault {
  readonly kind: FaultKind;
  /** gcloud's own reason, in one line, without what could be a token. */
  readonly reason: string;
}

/** The pauses between tries: see lib/core/backoff.ts. */
export interface RetryRule {
  readonly attempts: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** For faults that pass. A quota of a minute is waited for longer than a colleague's change. */
export const RETRY_RULES: Readonly<Partial<Record<FaultKind, RetryRule>>> = {
  rate: { attempts: 12, minMs: 5_000, maxMs: 60_000 },
  conflict: { attempts: 10, minMs: 1_000, maxMs: 20_000 },
  unavailable: { attempts: 8, minMs: 2_000, maxMs: 60_000 },
  "not-visible": { attempts: 12, minMs: 5_000, maxMs: 30_000 },
  disabled: { attempts: 12, minMs: 5_000, maxMs: 30_000 },
};

/** A status where tools write one, and not a number that is part of a name. */
const status = (code: string): string => `(?:Error|HTTP|status(?: code)?|code|:)[ :=["]{1,4}${code}(?![\\w-]|\\.\\w)`;
const either = (...patterns: readonly string[]): RegExp => new RegExp(patterns.join("|"), "i");

/**
 * The first that matches counts. Words stand before the statuses that say less: gcloud writes 409 for what exists and for what is
 * being changed alike, and 429 for a full minute and for a full project.
 */
const TABLE: readonly (readonly [RegExp, FaultKind])[] = [
  [either("\\b(?:gcloud|bq) was ended by SIG", "killed by keyboard interrupt"), "ended"],
  [
    either(
      "reauth",
      "gcloud auth login",
      "invalid_grant",
      "not currently have an active account",
      "UNAUTHENTICATED",
      status("401"),
    ),
    "unauthenticated",
  ],
  [
    either(
      "pre-?conditions? you specified did not hold",
      "precondition check failed",
      "conditionNotMet",
      status("412"),
    ),
    "precondition",
  ],
  [
    either(
      "concurrent (?:policy )?(?:change|modification)",
      "\\betag\\b.*(?:mismatch|match|stale)",
      "\\bABORTED:",
      "unable to queue the operation",
      "another operation",
      "operation (?:is )?(?:already )?in progress",
      "already being (?:updated|modified)",
      "contention on",
    ),
    "conflict",
  ],
  [either("ALREADY_EXISTS", "already exists?\\b", "you already own it"), "exists"],
  [
    either(
      "maximum number of",
      "number of .* (?:exceeds|reached)",
      "per project limit",
      "bucket name is not available",
    ),
    "failed",
  ],
  [
    either(
      "RESOURCE_EXHAUSTED",
      "RATE_LIMIT_EXCEEDED",
      "rate ?limits? ?exceeded",
      "exceeded rate limit",
      "too many requests",
      "quota exceeded",
      status("429"),
    ),
    "rate",
  ],
  [either("has not been used in project", "SERVICE_DISABLED", "accessNotConfigured"), "disabled"],
  [
    either(
      "service account\\b.*(?:does not exist|not found)",
      "unknown service account",
      "(?:take|wait) a few minutes",
      "permissions are propagated",
    ),
    "not-visible",
  ],
  [
    either(
      "\\b(?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL)\\b",
      "backendError",
      "service unavailable",
      "internal (?:server )?error",
      "connection (?:reset|aborted|refused|broken)",
      "remote end closed",
      "timed out",
      "max retries exceeded",
      "temporary failure in name resolution",
      status("50[0234]"),
    ),
    "unavailable",
  ],
  [either("subject of a conflict", status("409")), "conflict"],
  [
    either(
      "PERMISSION_DENIED",
      "does not have (?:\\S+ )?(?:permission|access)",
      "permission .* denied",
      "access denied",
      status("403"),
    ),
    "denied",
  ],
  [either("NOT_FOUND", "matched no objects", "not ?found\\b", "(?:does|do) not exist", status("404")), "missing"],
];

/** What a tool wrote when it failed. bq writes its errors to stdout. */
export function faultOf({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): Fault {
  const reason = reasonOf(stderr, stdout);
  const kind = TABLE.find(([pattern]) => pattern.test(reason))?.[1] ?? "failed";
  return { kind, reason };
}

function linesOf(output: string): string[] {
  return output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const LONGEST = 400;
/** As gcloud prints the parts of an error that have fields. */
const DETAILS = /^(?:- |details:|'@type'|(?:domain|metadata|reason|violations|links): ?)/;

function reasonOf(stderr: string, stdout: string): string {
  const warnings = linesOf(stderr);
  const lines = [...warnings, ...linesOf(stdout)];
  const at = lines.findIndex((line) => /^(?:ERROR|FATAL)\b|error in .* operation:/i.test(line));
  // An error may go on in the lines below it, up to what is meant for programs; warnings and progress stand above.
  const below = at < 0 ? [] : lines.slice(at, at + 4);
  const details = below.findIndex((line) => DETAILS.test(line));
  const own =
    at < 0 ? (warnings.length > 0 ? warnings : lines).slice(-3) : below.slice(0, details < 0 ? undefined : details);
  const text = own
    .join(" ")
    .replace(/^ERROR: \(gcloud[\w.-]*\) /, "")
    .replace(/^(?:ERROR|FATAL): /, "")
    // By a token, gcloud does not know whose it is.
    .replace(/^\[None\] /, "this account ")
    .replace(/\s*This command is authenticated [^]*? property\.?/, "")
    .replaceAll(/\bya29\.[\w.-]+|\beyJ[\w-]{10,}[\w.-]*|(?<=Bearer )\S+/g, "[withheld]")
    .replaceAll(/\s+/g, " ");
  if (text === "") return "it said nothing";
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}
