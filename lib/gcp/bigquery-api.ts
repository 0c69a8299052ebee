/** One call of BigQuery's REST API: tried again while that can help, and its outcome told apart from not knowing it. */
import { messageOf, PermanentError, RetryableError } from "../core/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { BigqueryClient } from "./bigquery-client.ts";
import { delayAfter, explained, isPassing } from "./bigquery-reasons.ts";

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below the project, e.g. `/datasets/shop/tables/orders`; every segment is encoded by the client. */
  readonly path: string;
  /** Default: the client's. */
  readonly project?: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  /** Sent as `If-Match`. */
  readonly etag?: string;
  readonly signal?: AbortSignal;
}

export interface ApiAnswer {
  readonly body: unknown;
  /** An earlier try of this call may have taken effect, although its answer never came. */
  readonly repeated: boolean;
}

/** BigQuery understood the call and refused it: the same call would be refused again. */
export class BigqueryRefusal extends Error {
  override readonly name = "BigqueryRefusal";
  readonly status: number;
  readonly reason: string;
  /** An earlier try of this call may have taken effect, although its answer never came. */
  readonly repeated: boolean;
  constructor(message: string, options: { status: number; reason: string; repeated: boolean; cause: unknown }) {
    super(message, { cause: options.cause });
    this.status = options.status;
    this.reason = options.reason;
    this.repeated = options.repeated;
  }
}

/**
 * Throws `BigqueryRefusal` for what another try cannot change, `RetryableError` for what stayed out of reach, and the signal's
 * reason once it is aborted.
 */
export type Api = (request: ApiRequest) => Promise<ApiAnswer>;

export interface ApiOptions {
  readonly client: () => Promise<BigqueryClient>;
  readonly clock: Clock;
  readonly random: Random;
  /** Tries of one call before it is given back. Default 5. */
  readonly tries?: number;
  /** The pause after the first try, in milliseconds; each further one is twice as long. Default 300. */
  readonly pauseMs?: number;
  /** An answer that takes longer counts as lost. Milliseconds, default 60,000. */
  readonly timeoutMs?: number;
}

interface Failure {
  readonly status: number | undefined;
  readonly reason: string;
  readonly message: string;
}

/** How one try ended: the answer, or why there is none. */
type Try = { readonly body: unknown } | { readonly failure: Failure; readonly cause: unknown };

const passingStatus: ReadonlySet<number> = new Set([401, 408, 429, 500, 502, 503, 504]);

export function bigqueryApi(options: ApiOptions): Api {
  const { client, clock, random, tries = 5, pauseMs = 300, timeoutMs = 60_000 } = options;

  async function attempt(request: ApiRequest): Promise<Try> {
    const patience = new AbortController();
    const ended = request.signal === undefined ? patience.signal : AbortSignal.any([patience.signal, request.signal]);
    try {
      const answered = send(await client(), request);
      // Nobody reads what comes after the race was lost.
      answered.catch(() => undefined);
      const late = clock.sleep(timeoutMs, ended).then((): Try => {
        const message = `no answer within ${timeoutMs} ms`;
        return { failure: { status: undefined, reason: "timeout", message }, cause: undefined };
      });
      return await Promise.race([answered, late]);
    } catch (cause) {
      request.signal?.throwIfAborted();
      return { failure: failureOf(cause), cause };
    } finally {
      patience.abort("answered");
    }
  }

  return async (request) => {
    let repeated = false;
    for (let round = 1; ; round++) {
      request.signal?.throwIfAborted();
      const outcome = await attempt(request);
      if (!("failure" in outcome)) return { body: outcome.body, repeated };
      const { failure, cause } = outcome;
      const { status, reason, message } = failure;
      const line = explained(message);
      const again = status === undefined || passingStatus.has(status) || isPassing(reason);
      const afterMs = delayAfter(reason);
      const delay = afterMs === undefined ? {} : { afterMs };
      if (reason === "quotaExceeded") throw new RetryableError(`BigQuery: ${line}`, { ...delay, cause });
      if (!again) throw new BigqueryRefusal(line, { status, reason, repeated, cause });
      // Of a 429 it is known that nothing happened.
      if (request.method !== "GET" && status !== 429) repeated = true;
      if (round >= tries) {
        const where = `${request.method} ${request.path}`;
        throw new RetryableError(`BigQuery did not answer ${where} in ${tries} tries: ${line}`, { ...delay, cause });
      }
      await clock.sleep(pauseMs * 2 ** (round - 1) * (0.5 + random.next()), request.signal);
    }
  };
}

/** The answer's body; rejects with the client's error. */
function send(client: BigqueryClient, request: ApiRequest): Promise<Try> {
  const { method, path, project, query = {}, body, etag } = request;
  return new Promise((resolve, reject) => {
    const options = {
      method,
      uri: path,
      qs: Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)),
      // As text: in an object, the client would put its project id for `{{projectId}}`, also within a statement.
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(etag === undefined ? {} : { "if-match": etag }),
      },
      ...(project === undefined ? {} : { projectId: project }),
    };
    client.request(options, (error: unknown, answer: unknown) => {
      if (error instanceof Error) reject(error);
      else if (typeof answer === "string" && answer !== "") reject(new Error("the answer is no JSON"));
      else resolve({ body: answer });
    });
  });
}

/** What the client's error says; without a status, the answer was lost or never came. */
function failureOf(error: unknown): Failure {
  const { code, errors, message } = {
    code: undefined,
    errors: undefined,
    ...shallow(error),
    message: messageOf(error),
  };
  const status = typeof code === "number" ? code : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const { reason, message: own } = { reason: undefined, message: undefined, ...shallow(first) };
  return {
    status,
    reason:
      typeof reason === "string" ? reason : status === undefined ? "connection" : (usual[status] ?? "backendError"),
    message: typeof own === "string" && own !== "" ? own : message === "" ? `status ${String(code)}` : message,
  };
}

/** For answers that give no reason, such as those of a proxy. */
const usual: Readonly<Record<number, string>> = {
  400: "invalid",
  403: "accessDenied",
  404: "notFound",
  409: "duplicate",
  412: "conditionNotMet",
};

function shallow(value: unknown): { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** A refusal as the error that a caller of the port sees. */
export function refused(error: unknown, what: string): unknown {
  if (!(error instanceof BigqueryRefusal)) return error;
  const code = error.reason === "notFound" ? "not-found" : error.reason;
  return new PermanentError(`${what}: ${error.message}`, { code, cause: error });
}
