/** An author's rows, however they come, through the schema into Parquet files: one row at a time, in memory that does not grow. */
import { PermanentError } from "../core/errors.ts";
import type { Column } from "../core/table.ts";
import { tooLate } from "./checkpoint.ts";
import type { CheckpointDesk } from "./checkpoint.ts";
import type { Row } from "./parquet/writer.ts";
import { partSeries } from "./part-series.ts";
import type { PartDestination, PartSeries, StagedPart } from "./part-series.ts";

/** Where a run's rows go. */
export interface Pouring {
  readonly series: readonly PartSeries[];
  /** Takes what was yielded; the result is the series that has to be flushed before the next one, if there is such. */
  accept(value: unknown): PartSeries | undefined;
  readonly signal: AbortSignal;
  readonly saves?: Saves;
}

/** What the author's code asks to be made durable on the way. */
export interface Saves extends Pick<CheckpointDesk, "waiting" | "onAsk" | "close"> {
  /** Called when every row that came before is in a part. */
  serve(): Promise<void>;
}

/** One series of all rows that `take` lets pass. As `pourRows`. */
export async function writeRows(
  produced: unknown,
  columns: readonly Column[],
  take: (row: unknown) => Row | undefined,
  destination: PartDestination,
  saves?: Saves,
): Promise<readonly StagedPart[]> {
  const series = partSeries(columns, destination);
  const accept = (value: unknown): PartSeries | undefined => {
    const row = take(value);
    return row !== undefined && series.write(row) ? series : undefined;
  };
  const { signal } = destination;
  await pourRows(produced, { series: [series], accept, signal, ...(saves === undefined ? {} : { saves }) });
  return series.parts;
}

/**
 * Writes every row, and makes durable what the author's code wants to be. Ends the author's iterator in every case. Throws
 * what it throws, what `accept` throws, what a save throws, and what the store throws.
 */
export async function pourRows(produced: unknown, { series, accept, signal, saves }: Pouring): Promise<void> {
  const patience = interruptible(signal);
  saves?.onAsk(patience.wake);
  let source: Source | undefined;
  /** What the iterator was asked for before a save came in between. */
  let coming: Coming | undefined;

  /** The code waits for its save within `next`: what that brings is of the time after it. */
  function advance(): Halt | Promise<Halt> {
    const next = (coming ??= source?.next() ?? END);
    if (saves?.waiting() === true) {
      if ("then" in next) next.catch(() => undefined); // seen when its turn comes
      return WOKEN;
    }
    // Waiting for each row of a plain iterable would cost more than writing it.
    return "then" in next ? patience.until((stop) => void follow(next, stop)) : next;
  }
  /** Takes rows as they come, until something else has to be done before the next one. Never rejects. */
  async function follow(first: Promise<Step>, stop: Stop<Halt>): Promise<void> {
    try {
      for (let next: Coming = first; ; next = coming = source?.next() ?? END) {
        const step: Step = "then" in next ? await next : next;
        if (stop.isOver()) return;
        if (step.done === true || Array.isArray(step.value)) return stop.with(step);
        coming = undefined;
        const full = accept(step.value);
        if (full !== undefined) return stop.with(full);
        if (stop.isOver()) return;
      }
    } catch (error) {
      stop.failed(error);
    }
  }
  async function save(): Promise<void> {
    for (const each of series) await each.end();
    await saves?.serve();
  }

  try {
    const awaited = Promise.resolve(produced);
    awaited.catch(() => undefined); // seen when its turn comes
    for (let ready: unknown = WOKEN; source === undefined;) {
      ready = saves?.waiting() === true ? WOKEN : await patience.wait(awaited);
      if (ready === WOKEN) await save();
      else source = iteratorOf(ready);
    }
    for (;;) {
      const next = advance();
      const step = "then" in next ? await next : next;
      if ("woken" in step) {
        await save();
        continue;
      }
      if ("flush" in step) {
        await step.flush();
        continue;
      }
      coming = undefined;
      if (step.done === true) break;
      if (Array.isArray(step.value)) {
        for (const row of step.value as readonly unknown[]) {
          const full = accept(row);
          if (full !== undefined) await full.flush();
        }
        continue;
      }
      const full = accept(step.value);
      if (full !== undefined) await full.flush();
    }
    source = undefined; // it has ended by itself
    saves?.close(tooLate());
    for (const each of series) await each.finish();
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    saves?.close(cause);
    for (const each of series) await each.abort(cause);
    throw cause;
  } finally {
    patience.end();
    if (source !== undefined) await end(source, signal);
  }
}

type Step = IteratorResult<unknown, unknown>;
type Coming = Step | Promise<Step>;
/** What keeps the next row from being asked for: one that is not taken yet, a series to be flushed, a save. */
type Halt = Step | PartSeries | typeof WOKEN;

/** Instead of a row: a save has been asked for. */
const WOKEN = Object.freeze({ woken: true } as const);
const END = Object.freeze({ done: true, value: undefined } as const);

interface Stop<T> {
  with(reason: T): void;
  failed(error: unknown): void;
  /** Nobody listens any more. */
  isOver(): boolean;
}

interface Patience {
  /** Waits until the signal, or until somebody wakes it. */
  wait<T>(promise: Promise<T>): Promise<T | typeof WOKEN>;
  /** The same for work that goes on by itself until it stops. */
  until<T>(begin: (stop: Stop<T>) => void): Promise<T | typeof WOKEN>;
  wake(): void;
  end(): void;
}

/** One listener serves all rows: races with the signal would pile up for as long as it lives. */
function interruptible(signal: AbortSignal): Patience {
  let give = (_reason: unknown): void => undefined;
  let rouse = (): void => undefined;
  const onAbort = (): void => give(signal.reason);
  signal.addEventListener("abort", onAbort);
  function until<T>(begin: (stop: Stop<T>) => void): Promise<T | typeof WOKEN> {
    return new Promise((resolve, reject) => {
      let over = false;
      const stop = (reason: T | typeof WOKEN): void => {
        over = true;
        resolve(reason);
      };
      give = (error) => {
        over = true;
        reject(error);
      };
      rouse = () => stop(WOKEN);
      begin({ with: stop, failed: give, isOver: () => over });
      if (signal.aborted) onAbort();
    });
  }
  return {
    wait: (promise) => until((stop) => void promise.then(stop.with, stop.failed)),
    until,
    wake: () => rouse(),
    end: () => signal.removeEventListener("abort", onAbort),
  };
}

/** A source that hangs would hang here too: once the run is cut off, nobody waits for it any more. */
async function end(source: Source, signal: AbortSignal): Promise<void> {
  const ended = Promise.resolve(source.return?.());
  if (signal.aborted) ended.catch(() => undefined);
  else await ended;
}

type Source = {
  next(): Coming;
  return?(): unknown;
};

function iteratorOf(produced: unknown): Source {
  if (typeof produced === "object" && produced !== null) {
    // The iteration protocols are all that these two can be told by.
    if (Symbol.asyncIterator in produced) return (produced as AsyncIterable<unknown, unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in produced) return (produced as Iterable<unknown, unknown>)[Symbol.iterator]();
  }
  throw new PermanentError("materialize returned no rows: return an array or an iterable, or yield them", {
    code: "no-rows",
  });
}
