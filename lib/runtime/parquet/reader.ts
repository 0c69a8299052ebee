/** The rows of a Parquet file as plain JSON values, whoever wrote it with the types of `schema.ts`. */
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import type { AsyncBuffer, SchemaElement } from "hyparquet";
import type { PlainRow } from "../../core/row-encode.ts";
import {
  base64Text,
  dateText,
  decimalText,
  floatValue,
  instantText,
  integerValue,
  timeText,
} from "../../core/row-texts.ts";
import type { JsonValue } from "../../core/row-values.ts";
import { uncompress } from "./snappy.ts";

type Plain = (value: unknown) => JsonValue;

/** A group of the schema, or a column at the end of a path. */
interface Node {
  readonly name: string;
  readonly plain: Plain;
  /** How many elements of the flat schema it takes. */
  readonly size: number;
}

/**
 * The rows in order, one row group at a time in memory beside the file itself. Throws what is wrong with a file that is not
 * whole.
 */
export async function* parquetRows(file: Uint8Array): AsyncGenerator<PlainRow, void, void> {
  const buffer = bufferOf(file);
  const metadata = parquetMetadata(await buffer.slice(0));
  const columns = childrenOf(metadata.schema, 0);
  // What hyparquet would round or guess at is read as it is stored.
  const schema = metadata.schema.map(isExact);
  const compressors = { SNAPPY: uncompress };
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({
      file: buffer,
      metadata: { ...metadata, schema },
      rowStart,
      rowEnd,
      compressors,
      utf8: false,
      parsers: { dateFromDays: dateText },
    });
    for (const row of rows) yield plainStruct(row, columns);
    rowStart = rowEnd;
  }
}

function bufferOf(file: Uint8Array): AsyncBuffer {
  // Whoever reads objects makes arrays with memory of their own.
  const whole = file.buffer as ArrayBuffer;
  const start = file.byteOffset;
  return {
    byteLength: file.length,
    slice: (from, to = file.length) =>
      start === 0 && from === 0 && to === whole.byteLength ? whole : whole.slice(start + from, start + to),
  };
}

function isExact(element: SchemaElement): SchemaElement {
  const { converted_type, logical_type, scale, precision, ...bare } = element;
  const kind = logical_type?.type;
  return kind === "DECIMAL" || kind === "TIME" || kind === "TIMESTAMP" ? bare : element;
}

function plainStruct(value: Readonly<Record<string, unknown>>, fields: readonly Node[]): PlainRow {
  const row: Record<string, JsonValue> = {};
  for (const { name, plain } of fields) row[name] = plain(value[name]);
  return row;
}

function childrenOf(schema: readonly SchemaElement[], at: number): Node[] {
  const nodes: Node[] = [];
  let next = at + 1;
  for (let left = schema[at]?.num_children ?? 0; left > 0; left--) {
    const node = nodeOf(schema, next);
    nodes.push(node);
    next += node.size;
  }
  return nodes;
}

function nodeOf(schema: readonly SchemaElement[], at: number): Node {
  const element = schema[at];
  if (element === undefined) throw new Error("the file's schema ends in the middle");
  const { name } = element;
  if (element.num_children === undefined) return { name, plain: orNull(scalar(element)), size: 1 };
  const children = childrenOf(schema, at);
  const size = children.reduce((sum, child) => sum + child.size, 1);
  if (element.logical_type?.type === "LIST" || element.converted_type === "LIST") {
    // A list, its repeated group, its element.
    const item = nodeOf(schema, at + 2).plain;
    return { name, size, plain: (value) => ((value ?? []) as readonly unknown[]).map(item) };
  }
  return { name, size, plain: orNull((value) => plainStruct(value as Readonly<Record<string, unknown>>, children)) };
}

function orNull(plain: Plain): Plain {
  return (value) => (value === null || value === undefined ? null : plain(value));
}

// Each cast below names what hyparquet gives for this physical type.
function scalar({ type, logical_type: logical, scale = 0 }: SchemaElement): Plain {
  switch (logical?.type ?? type) {
    case "DECIMAL":
      return (value) => decimalText(wideInteger(value as Uint8Array), scale);
    case "TIME":
      return (value) => timeText(Number(value));
    case "TIMESTAMP": {
      const zone = logical?.type === "TIMESTAMP" && logical.isAdjustedToUTC ? "Z" : "";
      return (value) => `${instantText(value as bigint)}${zone}`;
    }
    case "DATE":
    case "STRING":
    case "JSON":
      return (value) => value as JsonValue;
    case "BOOLEAN":
      return (value) => value as boolean;
    case "INT64":
      return (value) => integerValue(value as bigint);
    case "DOUBLE":
      return (value) => floatValue(value as number);
    case "BYTE_ARRAY":
      return (value) => base64Text(value as Uint8Array);
    default:
      throw new Error(`a column of type ${logical?.type ?? type ?? "?"} is none that rows are stored as`);
  }
}

/** Sixteen bytes, big-endian, two's complement. */
function wideInteger(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return (view.getBigInt64(0, false) << 64n) | view.getBigUint64(8, false);
}
