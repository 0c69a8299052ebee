/** The Parquet files that one output's rows become, one after the other, in memory that does not grow. */
import { PermanentError } from "../core/errors.ts";
import type { Column } from "../core/table.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import { parquetWriter } from "./parquet/writer.ts";
import type { ParquetOptions, ParquetWriter, Row } from "./parquet/writer.ts";

/** One file, as it was written. */
export interface StagedPart {
  readonly name: string;
  readonly generation: string;
}

export interface PartDestination {
  readonly objects: Pick<ObjectStore, "write">;
  readonly bucket: string;
  /** The name of the part with this number, from 0. */
  nameOf(index: number): string;
  /** A part ends with the row group in which it reaches so many bytes. */
  readonly partBytes: number;
  readonly signal: AbortSignal;
  readonly parquet?: ParquetOptions;
  /** Parts that are there already; the rows go on after these. */
  readonly after?: readonly StagedPart[];
}

export interface PartSeries {
  readonly parts: readonly StagedPart[];
  /** Whether `flush` has to be awaited before the next row. */
  write(row: Row): boolean;
  flush(): Promise<void>;
  /** Ends the part at hand. Without a row since the last one, there is none to end. */
  end(): Promise<void>;
  /** Ends the series; there is at least one part, also without rows. */
  finish(): Promise<void>;
  /** Gives the part at hand up; nothing of it is stored. */
  abort(error: unknown): Promise<void>;
}

/** A load takes 10,000 files at most. */
const MAX_PARTS = 9_000;

export function partSeries(columns: readonly Column[], to: PartDestination): PartSeries {
  const { objects, bucket, signal } = to;
  const parts = [...(to.after ?? [])];
  let writer: ParquetWriter | undefined;
  let open: OpenPart | undefined;

  const begin = (): OpenPart =>
    (open ??= openPart((body) => objects.write(bucket, to.nameOf(parts.length), body, { signal })));
  const newWriter = (): ParquetWriter => {
    if (parts.length >= MAX_PARTS) {
      throw new PermanentError(
        `the rows are staged in ${parts.length} files already, and a load takes no more: save checkpoints less often`,
        { code: "too-many-parts" },
      );
    }
    return parquetWriter(columns, to.parquet);
  };
  const end = async (): Promise<void> => {
    if (writer === undefined) return;
    signal.throwIfAborted();
    const part = begin();
    await part.push(writer.finish());
    const { name, generation } = await part.end();
    parts.push({ name, generation });
    writer = open = undefined;
  };

  return {
    parts,
    write(row) {
      writer ??= newWriter();
      writer.write(row);
      return writer.full();
    },
    async flush() {
      if (writer === undefined) return;
      signal.throwIfAborted();
      await begin().push(writer.flush());
      if (writer.written().bytes >= to.partBytes) await end();
    },
    end,
    async finish() {
      if (parts.length === 0) writer ??= newWriter();
      await end();
    },
    async abort(error) {
      await open?.fail(error);
    },
  };
}

/** An object whose bytes are handed to the store as they come up. */
interface OpenPart {
  /** Resolves when the store has taken the bytes; rejects when it fails. */
  push(bytes: readonly Uint8Array[]): Promise<void>;
  end(): Promise<ObjectInfo>;
  /** Resolves when the store has given up. */
  fail(error: unknown): Promise<void>;
}

function openPart(write: (body: AsyncIterable<Uint8Array>) => Promise<ObjectInfo>): OpenPart {
  let next = Promise.withResolvers<readonly Uint8Array[] | undefined>();
  let taken = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const bytes = await next.promise;
      if (bytes === undefined) return;
      next = Promise.withResolvers();
      yield* bytes;
      taken.resolve();
    }
  }
  const written = write(body());
  written.catch(() => undefined); // seen by whoever pushes next
  return {
    async push(bytes) {
      taken = Promise.withResolvers();
      next.resolve(bytes);
      await Promise.race([taken.promise, written]);
    },
    end() {
      next.resolve(undefined);
      return written;
    },
    async fail(error) {
      next.promise.catch(() => undefined);
      next.reject(error);
      await written.catch(() => undefined);
    },
  };
}
