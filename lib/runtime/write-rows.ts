/** An author's rows, however they come, through the schema into Parquet files: one row at a time, in memory that does not grow. */
import { PermanentError } from "../core/errors.ts";
import type { Column } from "../core/table.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { parquetWriter } from "./parquet/writer.ts";
import type { ParquetOptions, Row } from "./parquet/writer.ts";
import type { StagedPart } from "./staged-rows.ts";

export interface RowDestination {
  readonly objects: Pick<ObjectStore, "write">;
  readonly bucket: string;
  /** The name of the part with this number, from 0. */
  nameOf(index: number): string;
  /** A part ends with the row group in which it reaches so many bytes. */
  readonly partBytes: number;
  readonly signal: AbortSignal;
  readonly parquet?: ParquetOptions;
}

/**
 * Writes every row that `take` lets pass; there is at least one part, also without rows. Ends the author's iterator in
 * every case. Throws what it throws, what `take` throws, and what the store throws.
 */
export async function writeRows(
  produced: unknown,
  columns: readonly Column[],
  take: (row: unknown) => Row | undefined,
  destination: RowDestination,
): Promise<readonly StagedPart[]> {
  const { objects, bucket, nameOf, partBytes, signal } = destination;
  const source = iteratorOf(await produced);
  const patience = interruptible(signal);
  const parts: StagedPart[] = [];
  let over = false;
  /** Whatever a store makes of an error in the middle of a body, it is the author's own that counts. */
  let fault: { readonly error: unknown } | undefined;

  async function* body(): AsyncGenerator<Uint8Array, void, void> {
    try {
      const writer = parquetWriter(columns, destination.parquet);
      for (;;) {
        const next = source.next();
        // Waiting for each row of a plain iterable would cost more than writing it.
        const { done, value } = "then" in next ? await patience.wait(next) : next;
        if (done === true) {
          over = true;
          break;
        }
        const row = take(value);
        if (row === undefined) continue;
        writer.write(row);
        if (!writer.full()) continue;
        signal.throwIfAborted();
        yield* writer.flush();
        if (writer.written().bytes >= partBytes) break;
      }
      yield* writer.finish();
    } catch (error) {
      fault = { error };
      throw error;
    }
  }

  try {
    while (!over) {
      const name = nameOf(parts.length);
      const { generation } = await objects.write(bucket, name, body(), { signal });
      parts.push({ name, generation });
    }
  } catch (error) {
    signal.throwIfAborted();
    throw fault === undefined ? error : fault.error;
  } finally {
    patience.end();
    if (!over) await end(source, signal);
  }
  return parts;
}

/** Waits until the signal. One listener serves all rows: races with the signal would pile up for as long as it lives. */
function interruptible(signal: AbortSignal): { wait<T>(promise: Promise<T>): Promise<T>; end(): void } {
  let give = (_reason: unknown): void => undefined;
  const onAbort = (): void => give(signal.reason);
  signal.addEventListener("abort", onAbort);
  return {
    wait: (promise) =>
      new Promise((resolve, reject) => {
        give = reject;
        promise.then(resolve, reject);
        if (signal.aborted) onAbort();
      }),
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
  next(): IteratorResult<unknown, unknown> | Promise<IteratorResult<unknown, unknown>>;
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
