/** Rows that are pushed on one side, and taken as a stream on the other: an author's code makes them, another author's stores them. */
import { PermanentError } from "../core/errors.ts";
import type { PartSeries } from "./part-series.ts";
import type { Row } from "./parquet/writer.ts";

/** How many rows wait for the taker at most. */
const BATCH = 256;

export interface HandOver<T> {
  /** The pushing side, as `pourRows` has it. */
  readonly series: PartSeries;
  /** What the taker has made of the rows, once the series is finished. */
  readonly result: Promise<T>;
}

/**
 * Calls `take` with the rows at once. What it throws is thrown to whoever pushes next; that it returns before it has seen the
 * last row is an error of its own (`PermanentError`, `bad-io-manager`).
 */
export function handOver<T, R>(
  encode: (row: Row) => R,
  take: (rows: AsyncIterable<R>) => Promise<T>,
  { asset, signal }: { readonly asset: string; readonly signal: AbortSignal },
): HandOver<T> {
  let next = Promise.withResolvers<readonly R[] | undefined>();
  let taken = Promise.withResolvers<void>();
  let batch: R[] = [];
  let over = false;

  async function* rows(): AsyncGenerator<R, void, void> {
    for (;;) {
      const some = await next.promise;
      if (some === undefined) {
        over = true;
        return;
      }
      next = Promise.withResolvers();
      yield* some;
      taken.resolve();
    }
  }

  const result = (async (): Promise<T> => {
    const made = await take(rows());
    if (over) return made;
    throw new PermanentError(
      `the I/O manager of ${asset} returned before it had read all rows: read them to their end`,
      {
        code: "bad-io-manager",
      },
    );
  })();
  // The taker may not look at the signal, and nobody waits for it then.
  const cut = Promise.withResolvers<never>();
  const onAbort = (): void => cut.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  const release = (): void => signal.removeEventListener("abort", onAbort);
  for (const promise of [result, cut.promise]) promise.catch(() => undefined); // seen by whoever pushes next
  result.then(release, release);

  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    taken = Promise.withResolvers();
    next.resolve(batch);
    batch = [];
    await Promise.race([taken.promise, result, cut.promise]);
  };
  return {
    result,
    series: {
      parts: [],
      write: (row) => batch.push(encode(row)) >= BATCH,
      flush,
      end: flush,
      async finish() {
        await flush();
        next.resolve(undefined);
        await Promise.race([result, cut.promise]);
      },
      async abort(error) {
        next.promise.catch(() => undefined);
        next.reject(error);
        if (!signal.aborted) await result.catch(() => undefined);
      },
    },
  };
}
