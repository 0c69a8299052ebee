/** One column's part of a row group: values go into pages; a full page is compressed and kept until the group is written. */
import { clear, free, putBytes, putInt32, sink, written, type Encoder, type Sink } from "./bytes.ts";
import { textDictionary, type Dictionary } from "./dictionary.ts";
import { bitsFor, freeIntegers, pushInteger, putHybrid, type Integers } from "./levels.ts";
import type { Leaf } from "./schema.ts";
import { pageHeader, type ColumnMetadata, type PageHeader } from "./thrift.ts";
import { valueWriter } from "./values.ts";

export interface Codec {
  readonly name: ColumnMetadata["codec"];
  /** The result is a copy, whatever becomes of the bytes. */
  compress(bytes: Uint8Array): Uint8Array;
}

export const UNCOMPRESSED: Codec = Object.freeze({
  name: "UNCOMPRESSED",
  compress: (bytes: Uint8Array) => bytes.slice(),
});

/** What takes more than this part of its size after compression is not worth its time, nor that of its readers. */
const WORTH_IT = 0.9;
/** Less than this tells nothing. */
const TRIAL_BYTES = 65_536;

export interface ChunkWriter {
  /** Appends a value that is there, which for a column with levels follows its `level`. */
  put(value: unknown): void;
  /** Appends the levels of a value, or of the place where one is missing. */
  level(definition: number, repetition: number): void;
  /** Whether the page is full. */
  full(): boolean;
  /** Ends the page, if there is anything on it. Returns the bytes that were kept for it. Only between two rows. */
  endPage(): number;
  /** The whole chunk as it lies in the file from `offset` on; the writer begins a new one. */
  take(offset: number): { readonly parts: readonly Uint8Array[]; readonly metadata: ColumnMetadata };
  /** Gives the memory back; what was taken stays. Nothing may be put any more. */
  free(): void;
}

export interface ChunkOptions {
  readonly codec: Codec;
  /** A page is full when its values take so many bytes. */
  readonly pageBytes: number;
  readonly encoder: Encoder;
  /** Told when a page may be full, so that nobody has to ask after each row. */
  readonly onFull: () => void;
}

export function chunkWriter(leaf: Leaf, { codec: first, pageBytes, encoder, onFull }: ChunkOptions): ChunkWriter {
  const { maxDefinition, maxRepetition, column, element } = leaf;
  const values = valueWriter(column.type, leaf.name, encoder);
  const definitions: Integers = { items: new Uint8Array(1024), length: 0 };
  const repetitions: Integers = { items: new Uint8Array(1024), length: 0 };
  const to = values.sink;
  const body = sink();
  // A column whose texts do not repeat in one row group is taken to be so in the next ones too.
  let dictionary: Dictionary | undefined = column.type === "STRING" ? textDictionary(encoder) : undefined;
  // Nor is one compressed in the next row groups that hardly shrinks in one.
  let codec = first;
  let entries: Uint8Array | undefined;
  let entryCount = 0;
  let parts: Uint8Array[] = [];
  let present = 0;
  let presentInChunk = 0;
  let total = 0;
  let uncompressed = 0;
  let compressed = 0;
  let isPlain = false;

  /** Ends a page, with its header made for the sizes before and after compression. */
  const addPage = (
    content: Uint8Array,
    kind: Omit<PageHeader, "uncompressed_page_size" | "compressed_page_size">,
  ): Uint8Array[] => {
    const packed = codec.compress(content);
    const header = pageHeader({
      ...kind,
      uncompressed_page_size: content.length,
      compressed_page_size: packed.length,
    });
    uncompressed += header.length + content.length;
    compressed += header.length + packed.length;
    return [header, packed];
  };

  const putLevels = (to: Sink, levels: Integers, max: number): void => {
    if (max === 0) return;
    const start = to.length;
    putInt32(to, 0);
    putHybrid(to, levels, bitsFor(max));
    to.view.setInt32(start, to.length - start - 4, true);
    levels.length = 0;
  };

  const endPage = (): number => {
    const count = maxDefinition > 0 ? definitions.length : present;
    if (count === 0) return 0;
    const before = compressed;
    putLevels(body, repetitions, maxRepetition);
    putLevels(body, definitions, maxDefinition);
    const indexed = dictionary !== undefined;
    if (dictionary !== undefined) {
      const bits = dictionary.bits();
      putBytes(body, Uint8Array.of(bits));
      putHybrid(body, dictionary.indexes, bits);
      dictionary.endPage();
    } else {
      putBytes(body, values.finish());
      isPlain = true;
    }
    const page = addPage(written(body), {
      type: "DATA_PAGE",
      data_page_header: {
        num_values: count,
        encoding: indexed ? "RLE_DICTIONARY" : "PLAIN",
        definition_level_encoding: "RLE",
        repetition_level_encoding: "RLE",
      },
    });
    parts.push(...page);
    clear(body, pageBytes * 2);
    clear(to, pageBytes * 2);
    total += count;
    presentInChunk += present;
    present = 0;
    return compressed - before;
  };

  /** From here on texts are written as they are, beginning with this page; earlier pages keep their numbers. */
  const leaveDictionary = (left: Dictionary): void => {
    if (total > 0) {
      entries = Uint8Array.from(left.entries());
      entryCount = left.size();
    }
    const texts = left.texts();
    for (let at = 0; at < left.indexes.length; at++) values.put(texts[left.indexes.items[at] ?? 0]);
    dictionary = undefined;
  };

  return {
    put(value) {
      present++;
      if (dictionary !== undefined && typeof value === "string") {
        if (dictionary.put(value)) {
          if (dictionary.pageBytes() >= pageBytes) onFull();
          return;
        }
        leaveDictionary(dictionary);
      }
      values.put(value);
      if (to.length >= pageBytes) onFull();
    },
    level(definition, repetition) {
      pushInteger(definitions, definition);
      if (maxRepetition > 0) pushInteger(repetitions, repetition);
      if (definitions.length >= pageBytes) onFull();
    },
    full: () => Math.max(to.length, definitions.length, dictionary?.pageBytes() ?? 0) >= pageBytes,
    endPage,
    take(offset) {
      endPage();
      const used = dictionary === undefined ? entries : dictionary.entries();
      const count = dictionary === undefined ? entryCount : dictionary.size();
      const head =
        used === undefined || total === 0
          ? []
          : addPage(used, {
              type: "DICTIONARY_PAGE",
              dictionary_page_header: { num_values: count, encoding: "PLAIN" },
            });
      const headLength = head.reduce((sum, part) => sum + part.length, 0);
      const range = values.range();
      const metadata: ColumnMetadata = {
        type: element.type ?? "BYTE_ARRAY",
        encodings: [
          "RLE",
          ...(isPlain || head.length > 0 ? (["PLAIN"] as const) : []),
          ...(head.length > 0 ? (["RLE_DICTIONARY"] as const) : []),
        ],
        path_in_schema: [...leaf.path],
        codec: codec.name,
        num_values: BigInt(total),
        total_uncompressed_size: BigInt(uncompressed),
        total_compressed_size: BigInt(compressed),
        data_page_offset: BigInt(offset + headLength),
        ...(head.length > 0 ? { dictionary_page_offset: BigInt(offset) } : {}),
        statistics: {
          null_count: BigInt(total - presentInChunk),
          ...(range === undefined ? {} : { min_value: range.min, max_value: range.max }),
        },
      };
      const taken = { parts: [...head, ...parts], metadata };
      if (uncompressed >= TRIAL_BYTES && compressed > uncompressed * WORTH_IT) codec = UNCOMPRESSED;
      values.reset();
      dictionary?.reset();
      entries = undefined;
      entryCount = total = presentInChunk = uncompressed = compressed = 0;
      isPlain = false;
      parts = [];
      return taken;
    },
    free() {
      for (const each of [to, body]) free(each);
      for (const each of [definitions, repetitions]) freeIntegers(each);
      dictionary?.free();
    },
  };
}
