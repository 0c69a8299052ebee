/**
 * What every definition has in common. A definition is a plain frozen object; the brand tells it from any other value that
 * a module happens to export, also across two copies of the package.
 */
import type { ResourceClients, ResourceMap } from "./resources.ts";
import type { Metadata } from "./events.ts";

export const brand: unique symbol = Symbol.for("sluice.definition") as never;

export interface Branded<K extends string> {
  readonly [brand]: true;
  readonly kind: K;
}

export function isDefinition(value: unknown): value is Branded<string> {
  return typeof value === "object" && value !== null && brand in value;
}

/** What all code of an author's gets to hand. */
export interface BaseContext {
  /** The run's id: 16 hexadecimal digits, the same for every attempt. */
  readonly runId: string;
  /** Aborted when the run loses its claim or the process stops. Hand it to whatever takes long. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** When the trigger was published: what relative windows are taken from. Milliseconds, UTC. */
  readonly requestedAt: number;
}

/** Lines for the run's history. Secrets that the run has read are redacted. */
export interface Log {
  debug(message: string, fields?: Metadata): void;
  info(message: string, fields?: Metadata): void;
  warn(message: string, fields?: Metadata): void;
  error(message: string, fields?: Metadata): void;
}

export type { ResourceClients, ResourceMap };

/** How often and when, of one class of errors. */
export interface RetryRule {
  /** How many times a run is tried again after its first failure: 0 to 100. Default 3. */
  readonly maxRetries?: number;
  /** Seconds before the first retry, at least. Default 10. */
  readonly delaySeconds?: number;
  /** No delay is longer, whatever the retry: at most 7 days. Default 600. */
  readonly maxDelaySeconds?: number;
  /** What the longest delay grows by with each retry: 1 to 10. Default 2. */
  readonly factor?: number;
}

/** Exponential, with full jitter; a `PermanentError` is never retried. */
export interface RetryPolicy extends RetryRule {
  /**
   * Other rules for some classes of errors, each with retries of its own: by the error's code (`quota` is the warehouse's, others
   * are what `new RetryableError(…, { code })` says), by the name of its class (`TimeoutError`), or `transient` for all that have
   * no other entry. What an entry leaves out is as the policy itself has it.
   */
  readonly on?: Readonly<Record<string, RetryRule>>;
}
