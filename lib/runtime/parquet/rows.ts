/** Takes rows apart into their columns' values, with the levels by which readers put them together again. */
import { PermanentError } from "../../core/errors.ts";
import type { Column } from "../../core/table.ts";
import { eachProperty } from "../../core/unrolled.ts";
import type { ChunkWriter } from "./chunk.ts";
import { leafOf, type Leaf } from "./schema.ts";

/** A row of the table: properties by column name. Others are left alone. */
export type Row = Readonly<Record<string, unknown>>;

/** Appends one value, whose enclosing values stand at these levels. */
type Put = (value: unknown, definition: number, repetition: number) => void;

interface Node {
  readonly name: string;
  readonly put: Put;
  /** Notes in every column below that there is nothing here. */
  readonly skip: (definition: number, repetition: number) => void;
}

export interface RowSplitter {
  /** The columns' writers, in the order of the schema's leaves. */
  readonly chunks: readonly ChunkWriter[];
  /** Appends a row. Throws `PermanentError` (`invalid`) that names the column; the file is then spoilt. */
  put(row: Row): void;
}

export function rowSplitter(columns: readonly Column[], writerOf: (leaf: Leaf) => ChunkWriter): RowSplitter {
  const chunks: ChunkWriter[] = [];

  const nodeOf = (column: Column, parents: readonly Column[]): Node => {
    if (column.type !== "STRUCT") {
      const leaf = leafOf(column, parents);
      const chunk = writerOf(leaf);
      chunks.push(chunk);
      return scalar(leaf, chunk);
    }
    const inner = [...parents, column];
    const fields = (column.fields ?? []).map((field) => nodeOf(field, inner));
    return struct(column, fields, parents.filter(({ mode }) => mode === "REPEATED").length + 1);
  };

  return { put: eachProperty(columns.map((column) => nodeOf(column, []))), chunks };
}

function scalar(leaf: Leaf, chunk: ChunkWriter): Node {
  const { column, maxDefinition, maxRepetition } = leaf;
  const skip = (definition: number, repetition: number): void => chunk.level(definition, repetition);
  // The JSON value null is a value where the column takes no NULL.
  const isJson = column.type === "JSON";
  const hasLevels = maxDefinition > 0;
  const { name } = column;
  if (column.mode === "REPEATED") {
    const put = repeat(leaf.name, maxRepetition, skip, (value, definition, repetition) => {
      if (value === undefined || (value === null && !isJson)) throw missing(leaf.name);
      chunk.level(definition, repetition);
      chunk.put(value);
    });
    return { name, skip, put };
  }
  if (column.mode === "NULLABLE") {
    const put: Put = (value, definition, repetition) => {
      if (value === null || value === undefined) return skip(definition, repetition);
      chunk.level(definition + 1, repetition);
      chunk.put(value);
    };
    return { name, skip, put };
  }
  const put: Put = (value, definition, repetition) => {
    if (value === undefined || (value === null && !isJson)) throw missing(leaf.name);
    if (hasLevels) chunk.level(definition, repetition);
    chunk.put(value);
  };
  return { name, skip, put };
}

function struct(column: Column, fields: readonly Node[], depth: number): Node {
  const { name } = column;
  const skip = (definition: number, repetition: number): void => {
    for (const field of fields) field.skip(definition, repetition);
  };
  const inside: Put = (value, definition, repetition) => {
    if (value === null || typeof value !== "object") throw missing(name);
    // Fields are read by name from whatever object it is.
    const row = value as Row;
    for (const field of fields) field.put(row[field.name], definition, repetition);
  };
  if (column.mode === "REPEATED") return { name, skip, put: repeat(name, depth, skip, inside) };
  if (column.mode === "REQUIRED") return { name, skip, put: inside };
  const put: Put = (value, definition, repetition) =>
    value === null || value === undefined ? skip(definition, repetition) : inside(value, definition + 1, repetition);
  return { name, skip, put };
}

/** A list, whose first element goes on at the level of what encloses it, and the others at the list's own `depth`. */
function repeat(name: string, depth: number, skip: Node["skip"], put: Put): Put {
  return (value, definition, repetition) => {
    if (value === null || value === undefined) return skip(definition, repetition);
    if (!Array.isArray(value)) throw new PermanentError(`column ${name}: expected an array`, { code: "invalid" });
    if (value.length === 0) return skip(definition, repetition);
    for (let index = 0; index < value.length; index++)
      put(value[index], definition + 1, index === 0 ? repetition : depth);
  };
}

function missing(name: string): PermanentError {
  return new PermanentError(`column ${name}: a value is missing, and the column takes no NULL`, { code: "invalid" });
}
