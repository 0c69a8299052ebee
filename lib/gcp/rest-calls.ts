/**
 * Single calls of Google's JSON APIs with application default credentials. Pub/Sub, Cloud Tasks and Secret Manager are used for one
 * method each: their own clients take longer to load than a short run takes.
 */
import { messageOf } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import { lazily } from "./lazily.ts";

export interface RestRequest {
  readonly method: "GET" | "POST";
  /** Below the API's address: `/v1/projects/p/topics/t:publish`. */
  readonly path: string;
  readonly body?: unknown;
}

export interface RestCalls {
  /**
   * The answer's JSON. A call that may be lost or refused for a moment is made again, three times at most, so it must mean
   * the same when it is made twice. Throws an error with the HTTP status as its `code` and the answer's body as its message.
   */
  call(request: RestRequest): Promise<unknown>;
  close(): Promise<void>;
}

export interface RestCallsOptions {
  /** `https://pubsub.googleapis.com`. */
  readonly api: string;
  /** `host:port` of a stand-in for the service, spoken to without encryption and without credentials. */
  readonly emulatorHost?: string;
  /** Sleeps between the tries of a call. Default: real time. */
  readonly clock?: Pick<Clock, "sleep">;
}

const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const TIMEOUT_MS = 30_000;

/** The library is loaded with the first call. */
export function restCalls({ api, emulatorHost, clock }: RestCallsOptions): RestCalls {
  const client = lazily(
    async () => {
      const { GoogleAuth, PassThroughClient } = await import("./sdk/auth.ts");
      return emulatorHost === undefined ? new GoogleAuth({ scopes: SCOPE }) : new PassThroughClient();
    },
    () => Promise.resolve(),
  );
  const base = emulatorHost === undefined ? api : `http://${emulatorHost}`;
  return {
    async call({ method, path, body }) {
      const opened = await client.open();
      try {
        const { data } = await opened.request<unknown>({
          method,
          url: `${base}${path}`,
          ...(body === undefined ? {} : { data: body }),
          responseType: "json",
          timeout: TIMEOUT_MS,
          retry: true,
          retryConfig: {
            retry: 3,
            noResponseRetries: 3,
            retryDelay: 100,
            ...(clock === undefined ? {} : { retryBackoff: (_error: unknown, ms: number) => clock.sleep(ms) }),
            httpMethodsToRetry: ["GET", "POST"],
            statusCodesToRetry: [
              [429, 429],
              [500, 599],
            ],
          },
        });
        return data;
      } catch (error) {
        throw failureOf(error);
      }
    },
    close: client.close,
  };
}

function failureOf(error: unknown): unknown {
  const response = typeof error === "object" && error !== null && "response" in error ? error.response : undefined;
  if (typeof response !== "object" || response === null || !("status" in response)) return error;
  const data = "data" in response ? response.data : undefined;
  const message = data === undefined ? messageOf(error) : typeof data === "string" ? data : JSON.stringify(data);
  return Object.assign(new Error(message), { code: response.status });
}
