/** Webhooks by Node's own HTTP client. */
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Webhooks } from "../ports/webhooks.ts";

export function httpWebhooks(): Webhooks {
  return {
    async post(address, { body, headers, timeoutMs, signal }) {
      const url = parse(address);
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const response = await fetch(url, {
          method: "POST",
          body,
          headers: { ...headers, "content-type": "application/json; charset=utf-8" },
          // An address that moved is told of, and not followed with what may be in it.
          redirect: "manual",
          signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        });
        await response.body?.cancel();
        const retryAfterMs = retryAfter(response.headers.get("retry-after"));
        return { status: response.status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      } catch {
        signal?.throwIfAborted();
        // Neither the cause nor its text: both may name the address.
        throw new RetryableError(
          timeout.aborted ? `no answer came within ${timeoutMs} ms` : "the receiver is out of reach",
        );
      }
    },
  };
}

function parse(address: string): URL {
  const url = URL.canParse(address.trim()) ? new URL(address.trim()) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new PermanentError("the secret holds no http(s) address", { code: "bad-address" });
}

const LONGEST_MS = 3_600_000;

/** In seconds; a date is as good as none. */
function retryAfter(text: string | null): number | undefined {
  const seconds = text === null || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(Math.ceil(seconds * 1_000), LONGEST_MS) : undefined;
}
