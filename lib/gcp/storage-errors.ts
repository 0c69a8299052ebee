/** What went wrong with a request to Cloud Storage, whichever of the client's layers says so, and what it means for the caller. */
import { z } from "zod";
import { messageOf, PermanentError, RetryableError } from "../core/errors.ts";

export interface Failure {
  /** Absent when no answer came. */
  readonly status: number | undefined;
  readonly text: string;
  /** Whether the same request may succeed later. */
  readonly passing: boolean;
  /** Whether the request may have taken effect all the same. */
  readonly unclear: boolean;
}

/** An answer of a request that the adapter sends by itself, past the client. */
export class StorageResponseError extends Error {
  readonly status: number;
  constructor(status: number, body: string) {
    super(body);
    this.status = status;
  }
}

/** No sign of life within the time that a request is given. */
export class StorageTimeoutError extends Error {}

/** What a request is about, for people. */
export interface Purpose {
  readonly bucket: string;
  /** `gs://bucket/name`, or `gs://bucket`. */
  readonly uri: string;
  /** In the infinitive: `read`, `list`, `write`, `delete`. */
  readonly verb: Verb;
}

export type Verb = "list" | "read" | "write" | "delete";

/** What each operation needs, and the narrowest role that has it. */
const NEEDS: Readonly<Record<Verb, readonly [permission: string, role: string]>> = {
  list: ["storage.objects.list", "roles/storage.objectViewer"],
  read: ["storage.objects.get", "roles/storage.objectViewer"],
  write: ["storage.objects.create, or storage.objects.delete to replace an object", "roles/storage.objectUser"],
  delete: ["storage.objects.delete", "roles/storage.objectUser"],
};

const RETRIABLE: readonly number[] = [408, 429, 500, 502, 503, 504];
const RATE_REASONS: readonly string[] = ["rateLimitExceeded", "userRateLimitExceeded"];

/** The client's errors carry the status as `code`, those of its transport as `status` or in the response. */
const errorSchema = z.object({
  code: z.unknown().optional(),
  status: z.unknown().optional(),
  errors: z
    .array(z.object({ reason: z.unknown().optional() }))
    .optional()
    .catch(undefined),
  response: z.object({ status: z.unknown().optional() }).optional().catch(undefined),
});

export function failureOf(error: unknown): Failure {
  const parsed = errorSchema.safeParse(error);
  const found = parsed.success ? parsed.data : {};
  const status = [found.code, found.status, found.response?.status]
    .map(Number)
    .find((code) => Number.isInteger(code) && code >= 300 && code <= 599);
  const { text, reasons } = detailsOf(error);
  const allReasons = [...reasons, ...(found.errors ?? []).map(({ reason }) => String(reason))];
  const isRate = status === 403 && allReasons.some((reason) => RATE_REASONS.includes(reason));
  const isDamaged = status === 400 && /doesn't match calculated/.test(text);
  const isPassing = status === undefined ? !isWithoutLogin(text) : RETRIABLE.includes(status);
  const passing = isPassing || isRate || isDamaged;
  return { status, text, passing, unclear: isPassing && status !== 429 };
}

/** Some of the client's errors have the whole JSON of the answer as their message. */
function detailsOf(error: unknown): { readonly text: string; readonly reasons: readonly string[] } {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${messageOf(error.cause)}` : "";
  const message = messageOf(error) + cause;
  const start = message.indexOf("{");
  try {
    const { error: inner } = bodySchema.parse(JSON.parse(message.slice(Math.max(start, 0))));
    return { text: inner.message, reasons: inner.errors.map(({ reason }) => reason) };
  } catch {
    return { text: message.slice(0, 500), reasons: [] };
  }
}

const bodySchema = z.object({
  error: z.object({ message: z.string(), errors: z.array(z.object({ reason: z.string() })).default([]) }),
});

function isWithoutLogin(text: string): boolean {
  return /Could not load the default credentials|invalid_grant|invalid_rapt/.test(text);
}

/** The error to throw for a failure that was not mended. 404 and 412 mean something else to every caller and are not for here. */
export function errorFor(failure: Failure, { uri, bucket, verb }: Purpose, error: unknown): Error {
  const { status, text, passing } = failure;
  const cause = withoutRequest(error);
  if (passing) {
    return new RetryableError(`could not ${verb} ${uri}: ${text}; try again later`, { cause });
  }
  if (status === undefined || status === 401) {
    const remedy = "run `gcloud auth application-default login`, or attach a service account to what runs here";
    return new PermanentError(`could not ${verb} ${uri} without credentials: ${text}; ${remedy}`, {
      code: "unauthenticated",
      cause,
    });
  }
  if (status === 403) {
    const [permission, role] = NEEDS[verb];
    const remedy = `grant ${role} on the bucket to the account that runs this`;
    return new PermanentError(`may not ${verb} ${uri}: bucket ${bucket} needs ${permission}; ${remedy} (${text})`, {
      code: "access-denied",
      cause,
    });
  }
  if (status === 404) return noBucket(bucket, verb);
  return new PermanentError(`Cloud Storage refused to ${verb} ${uri} (${status}): ${text}`, { code: "refused", cause });
}

/** The client's errors hold the request, and with it the token that it was sent with; a log must not get to see it. */
function withoutRequest(error: unknown): Error {
  const copy = new Error(messageOf(error));
  if (error instanceof Error && error.stack !== undefined) copy.stack = error.stack;
  return copy;
}

export function noBucket(bucket: string, verb: Verb): PermanentError {
  const message = `could not ${verb} gs://${bucket}: there is no such bucket; create it, or correct its name`;
  return new PermanentError(message, { code: "not-found" });
}
