export interface Backoff {
  /** How many tries have failed so far; counts from 1. */
  readonly attempt: number;
  /** No delay is shorter. */
  readonly minMs: number;
  /** No delay is longer, whatever the attempt. */
  readonly maxMs: number;
  /** What the ceiling grows by with every attempt. Default 2. */
  readonly factor?: number;
}

/**
 * Milliseconds to wait before the next try: chosen evenly between `minMs` and a ceiling that doubles (or grows by `factor`)
 * with every attempt up to `maxMs`. The full width is jitter, so that what failed together does not come back together.
 * `random01` is at least 0 and less than 1.
 */
export function backoff({ attempt, minMs, maxMs, factor = 2 }: Backoff, random01: number): number {
  const floor = Math.min(minMs, maxMs);
  // The exponent is capped, because 0 * Infinity would be NaN.
  const ceiling = Math.min(maxMs, minMs * factor ** Math.min(Math.max(attempt, 1), 50));
  return Math.floor(floor + random01 * (ceiling - floor));
}
