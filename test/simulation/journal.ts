/** What is written down of one world: what happened, if somebody reads along, which faults there were, and what was found wrong. */
export interface Journal {
  /** Absent where nobody reads along. Written `say?.(…)`, so that no line is put together for nobody. */
  readonly say: ((line: string) => void) | undefined;
  readonly trace: readonly string[];
  /** How often each kind of fault has really happened. */
  readonly faults: Map<string, number>;
  count(fault: string): void;
  /** Keeps the first thing that is wrong. */
  fail(message: string): void;
  violation(): string | undefined;
}

export function journal(traced: boolean): Journal {
  const trace: string[] = [];
  const faults = new Map<string, number>();
  let violation: string | undefined;
  return {
    say: traced ? (line) => void trace.push(line) : undefined,
    trace,
    faults,
    count: (fault) => void faults.set(fault, (faults.get(fault) ?? 0) + 1),
    fail: (message) => {
      violation ??= message;
    },
    violation: () => violation,
  };
}
