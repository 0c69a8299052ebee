/** Whether a run that failed for a passing reason is tried again, and when. */
import { backoff } from "./backoff.ts";
import type { RetryPolicy, RetryRule } from "./definition.ts";
import { DefinitionError, RetryableError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

/** What a policy calls all errors that have no entry of their own. */
const TRANSIENT = "transient";
/** The class of what the warehouse refuses for its quotas. */
export const QUOTA = "quota";

const DEFAULTS = Object.freeze({ maxRetries: 3, delaySeconds: 10, maxDelaySeconds: 600, factor: 2 });
const WEEK_S = 7 * 86_400;
const BOUNDS: Readonly<Record<keyof RetryRule, readonly [min: number, max: number]>> = Object.freeze({
  maxRetries: [0, 100],
  delaySeconds: [0, WEEK_S],
  maxDelaySeconds: [0, WEEK_S],
  factor: [1, 10],
});
const MAX_CLASSES = 50;

/** The policy as it is, or throws `DefinitionError` that names what cannot be. `who` is what messages call its owner. */
export function checkRetry(policy: RetryPolicy, who: string): RetryPolicy {
  const { on = {}, ...own } = policy;
  const entries = Object.entries(on);
  checkRule(own, own, `${who}: retry`);
  for (const [name, rule] of entries) {
    const where = `${who}: retry.on.${name}`;
    if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name))
      throw new DefinitionError(`${who}: retry.on ${JSON.stringify(name.slice(0, 100))} is no error's code or class`, {
        remedy: "use 1 to 100 letters, digits, _, - and .",
      });
    checkRule(rule, { ...own, ...rule }, where);
  }
  if (entries.length > MAX_CLASSES)
    throw new DefinitionError(`${who}: retry.on has ${entries.length} classes`, {
      remedy: `name at most ${MAX_CLASSES}`,
    });
  return policy;
}

/** `whole` has what the rule itself leaves out. */
function checkRule(rule: RetryRule, whole: RetryRule, where: string): void {
  for (const [name, value] of Object.entries(rule) as [string, unknown][]) {
    const bounds = name in BOUNDS ? BOUNDS[name as keyof RetryRule] : undefined; // a key of it, as was just seen
    if (bounds === undefined) {
      const remedy = didYouMean(name, Object.keys(BOUNDS)) ?? `it has ${Object.keys(BOUNDS).join(", ")}`;
      throw new DefinitionError(`${where}.${name} is not a known field`, { remedy });
    }
    const [min, max] = bounds;
    const whole = name !== "maxRetries" || Number.isInteger(value);
    if (typeof value === "number" && value >= min && value <= max && whole) continue;
    throw new DefinitionError(`${where}.${name} is ${JSON.stringify(value) ?? "undefined"}`, {
      remedy: `give a ${name === "maxRetries" ? "whole number" : "number"} from ${min} to ${max}`,
    });
  }
  const { delaySeconds, maxDelaySeconds } = { ...DEFAULTS, ...whole };
  if (rule.maxDelaySeconds !== undefined && rule.maxDelaySeconds < delaySeconds)
    throw new DefinitionError(`${where}.maxDelaySeconds is ${maxDelaySeconds}, less than delaySeconds`, {
      remedy: `give at least ${delaySeconds}`,
    });
}

/** How often a run has failed: in all, and of the classes that its policy has entries for. */
export interface Failures {
  readonly failures: number;
  readonly failuresOf?: Readonly<Record<string, number>>;
}

export interface Retry {
  /** The entry of the policy's `on` whose retries it takes; `undefined` for those that all others share. */
  readonly errorClass: string | undefined;
  /** Milliseconds from now; `undefined` when the retries are used up. */
  readonly delayMs: number | undefined;
  /** Whether it counts as a failure. Waiting for a quota is no fault of the run, unless its policy says otherwise. */
  readonly counts: boolean;
  /** How many failures of this class there are with this one. */
  readonly failures: number;
}

/**
 * What becomes of a run after an error that another try may help. `random01` is at least 0 and less than 1. A delay that the
 * error itself asks for is kept.
 */
export function retryAfter(policy: RetryPolicy, run: Failures, error: unknown, random01: number): Retry {
  const asked = error instanceof RetryableError ? (error.afterMs ?? 0) : 0;
  const errorClass = classOf(policy, error);
  if (asked > 0 && error instanceof RetryableError && error.code === QUOTA && errorClass !== QUOTA)
    return { errorClass, delayMs: asked, counts: false, failures: run.failures };
  const own = run.failuresOf ?? {};
  const others = Object.values(own).reduce((sum, count) => sum + count, 0);
  const failures = 1 + (errorClass === undefined ? run.failures - others : (own[errorClass] ?? 0));
  const { on = {}, ...rule } = policy;
  const delay = retryDelay({ ...rule, ...(errorClass === undefined ? {} : on[errorClass]) }, failures, random01);
  return { errorClass, delayMs: delay === undefined ? undefined : Math.max(delay, asked), counts: true, failures };
}

/** The counts of a run after one more failure; `errorClass`: the entry of its policy that it counts against by itself. */
export function withFailure({ failures, failuresOf }: Failures, errorClass: string | undefined): Failures {
  const own =
    errorClass === undefined ? failuresOf : { ...failuresOf, [errorClass]: (failuresOf?.[errorClass] ?? 0) + 1 };
  return { failures: failures + 1, ...(own === undefined ? {} : { failuresOf: own }) };
}

function isNamed({ on = {} }: RetryPolicy, errorClass: string): boolean {
  return Object.hasOwn(on, errorClass);
}

function classOf(policy: RetryPolicy, error: unknown): string | undefined {
  // Errors of other libraries have codes as well, and not only texts.
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  const names = error instanceof Error ? [code, error.name, error.constructor.name, TRANSIENT] : [TRANSIENT];
  return names.find((name) => typeof name === "string" && isNamed(policy, name)) as string | undefined; // as was just asked
}

/**
 * Milliseconds to wait after the `failures`-th failure (counted from 1) under a rule, or `undefined` when its retries are used
 * up. `random01` is at least 0 and less than 1.
 */
export function retryDelay(rule: RetryRule, failures: number, random01: number): number | undefined {
  const { maxRetries, delaySeconds, maxDelaySeconds, factor } = { ...DEFAULTS, ...rule };
  if (failures > maxRetries) return undefined;
  const [minMs, maxMs] = [delaySeconds * 1000, maxDelaySeconds * 1000];
  return backoff({ attempt: failures, minMs, maxMs, factor }, random01);
}
