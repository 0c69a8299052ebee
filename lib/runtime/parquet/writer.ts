/**
 * Rows as a Parquet file, written front to back in bounded memory: what is open is one page a column and the compressed
 * pages of one row group. Pure JavaScript and a little WebAssembly, so that it runs wherever Node does.
 */
import { DefinitionError } from "../../core/errors.ts";
import type { Column } from "../../core/table.ts";
import { chunkWriter, UNCOMPRESSED, type Codec } from "./chunk.ts";
import { rowSplitter, type Row } from "./rows.ts";
import { schemaElements } from "./schema.ts";
import { compress } from "./snappy.ts";
import { footer, MAGIC, type RowGroup } from "./thrift.ts";

export type { Row } from "./rows.ts";

export interface ParquetOptions {
  /** Default `snappy`. Another one is named as Parquet does, with a function that compresses a page. */
  readonly compression?:
    "snappy" | "none" | { readonly codec: "ZSTD" | "GZIP"; readonly compress: (bytes: Uint8Array) => Uint8Array };
  /** A row group ends when its compressed pages take so many bytes. Default 16 MiB, the least that BigQuery likes. */
  readonly rowGroupBytes?: number;
  /** And when it has so many rows. Default 1,000,000. */
  readonly rowGroupRows?: number;
  /** A page ends when its values take so many bytes. Default 1 MiB, and less where there are many columns. */
  readonly pageBytes?: number;
}

export interface ParquetWriter {
  /** Appends a row that fits the columns. Throws `PermanentError` (`invalid`) that names the column; the file is then spoilt. */
  write(row: Row): void;
  /** Whether `flush` is due. */
  full(): boolean;
  /** The next bytes of the file: the row group at hand, if it has rows. They are the caller's. */
  flush(): readonly Uint8Array[];
  /** The last bytes of the file. Nothing may be written after it. */
  finish(): readonly Uint8Array[];
  /** Bytes handed out until now, and rows written. */
  written(): { readonly bytes: number; readonly rows: number };
}

const MIB = 1 << 20;
/** All open pages together. */
const OPEN_BYTES = 32 * MIB;

/** Throws `DefinitionError` for columns that rows cannot be written as (GEOGRAPHY, INTERVAL). */
export function parquetWriter(columns: readonly Column[], options: ParquetOptions = {}): ParquetWriter {
  if (columns.length === 0)
    throw new DefinitionError("a Parquet file needs a column", { remedy: "add one to the schema" });
  const elements = schemaElements(columns);
  const leaves = elements.filter(({ num_children }) => num_children === undefined).length;
  const pageBytes = options.pageBytes ?? Math.min(MIB, Math.max(8192, Math.floor(OPEN_BYTES / leaves)));
  const { rowGroupBytes = 16 * MIB, rowGroupRows = 1_000_000 } = options;
  const codec = codecOf(options.compression ?? "snappy");
  const encoder = new TextEncoder();
  let isPageFull = false;
  const onFull = (): void => {
    isPageFull = true;
  };
  const { chunks, put } = rowSplitter(columns, (leaf) => chunkWriter(leaf, { codec, pageBytes, encoder, onFull }));
  const groups: RowGroup[] = [];
  let bytes = 0;
  let rows = 0;
  let groupRows = 0;
  let kept = 0;

  /** The file's first bytes go out with whatever comes first. */
  const begin = (): readonly Uint8Array[] => (bytes === 0 ? [Uint8Array.from(MAGIC)] : []);
  const handOut = (parts: readonly Uint8Array[]): readonly Uint8Array[] => {
    bytes += parts.reduce((sum, part) => sum + part.length, 0);
    return parts;
  };

  const flush = (): readonly Uint8Array[] => {
    if (groupRows === 0) return [];
    const parts: Uint8Array[] = [...begin()];
    const start = bytes + parts.reduce((sum, part) => sum + part.length, 0);
    let offset = start;
    const taken = chunks.map((chunk) => {
      const { parts: own, metadata } = chunk.take(offset);
      parts.push(...own);
      const file_offset = BigInt(offset);
      offset += Number(metadata.total_compressed_size);
      return { file_offset, meta_data: metadata };
    });
    groups.push({
      columns: taken,
      total_byte_size: taken.reduce((sum, { meta_data }) => sum + meta_data.total_uncompressed_size, 0n),
      num_rows: BigInt(groupRows),
      file_offset: BigInt(start),
      total_compressed_size: BigInt(offset - start),
    });
    groupRows = kept = 0;
    return handOut(parts);
  };

  return {
    write(row) {
      put(row);
      rows++;
      groupRows++;
      if (!isPageFull) return;
      isPageFull = false;
      for (const chunk of chunks) if (chunk.full()) kept += chunk.endPage();
    },
    full: () => kept >= rowGroupBytes || groupRows >= rowGroupRows,
    flush,
    finish() {
      const last = flush();
      const first = begin();
      for (const chunk of chunks) chunk.free();
      return [...last, ...handOut([...first, footer(elements, groups, rows)])];
    },
    written: () => ({ bytes, rows }),
  };
}

function codecOf(compression: NonNullable<ParquetOptions["compression"]>): Codec {
  if (compression === "none") return UNCOMPRESSED;
  if (compression === "snappy") return { name: "SNAPPY", compress };
  return { name: compression.codec, compress: compression.compress };
}
