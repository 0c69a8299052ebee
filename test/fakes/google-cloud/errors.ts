/** Errors as Google's APIs answer them: the status word of gRPC, the reasons of the older APIs, and details. */
import { jsonReply, type Reply } from "../http-fake.ts";
import type { Json } from "./json.ts";

const STATUSES = {
  INVALID_ARGUMENT: [400, "badRequest"],
  FAILED_PRECONDITION: [400, "failedPrecondition"],
  UNAUTHENTICATED: [401, "authError"],
  PERMISSION_DENIED: [403, "forbidden"],
  NOT_FOUND: [404, "notFound"],
  ALREADY_EXISTS: [409, "duplicate"],
  ABORTED: [409, "aborted"],
  PRECONDITION_NOT_MET: [412, "conditionNotMet"],
  RESOURCE_EXHAUSTED: [429, "rateLimitExceeded"],
  INTERNAL: [500, "backendError"],
  UNAVAILABLE: [503, "backendError"],
} as const;

export type Status = keyof typeof STATUSES;

export class CloudError extends Error {
  readonly status: Status;
  readonly details: readonly Json[];
  /** The older APIs' word. */
  readonly reason: string;
  constructor(
    status: Status,
    message: string,
    more: { readonly details?: readonly Json[]; readonly reason?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.details = more.details ?? [];
    this.reason = more.reason ?? STATUSES[status][1];
  }
}

export function errorReply({ status, message, details, reason }: CloudError): Reply {
  const [code] = STATUSES[status];
  const errors = [{ message, domain: "global", reason }];
  return jsonReply(code, { error: { code, message, status, errors, ...(details.length > 0 && { details }) } });
}

/** The status whose HTTP code this is; for faults on demand. */
export function statusOf(code: number): Status {
  const words = Object.keys(STATUSES) as Status[]; // its keys are these
  return words.find((word) => STATUSES[word][0] === code) ?? "INTERNAL";
}

export function invalid(message: string): CloudError {
  return new CloudError("INVALID_ARGUMENT", message);
}

export function missing(message: string): CloudError {
  return new CloudError("NOT_FOUND", message);
}

export function errorInfo(reason: string, domain: string, metadata: Json): Json {
  return { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain, metadata };
}
