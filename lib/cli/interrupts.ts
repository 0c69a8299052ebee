/** What Ctrl-C asks for: the first one to stop, a later one to end at once. */

export interface InterruptsOptions {
  /** Milliseconds that never go back. */
  now(): number;
  /** npm passes the terminal's Ctrl-C on to those who have it already: within this time it is the same key. */
  readonly sameKeyMs: number;
  stop(): void;
  end(): void;
}

/** What to call at every signal to stop. */
export function interrupts({ now, sameKeyMs, stop, end }: InterruptsOptions): () => void {
  let first: number | undefined;
  return () => {
    if (first === undefined) {
      first = now();
      stop();
    } else if (now() - first > sameKeyMs) end();
  };
}
