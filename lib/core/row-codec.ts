/**
 * Rows of an asset, both ways: from author's code to what is stored, and from the warehouse back into the schema's types.
 *
 * On the way in, a row that is plainly right passes without zod. For any other, zod decides and words the reason, and then
 * every value must be one that its column can hold. Both ways accept the same rows.
 */
import { z } from "zod";
import { columnsOfFields } from "./columns.ts";
import { PermanentError } from "./errors.ts";
import { rowDecoder } from "./row-decode.ts";
import { rowEncoder } from "./row-encode.ts";
import type { PlainRow } from "./row-encode.ts";
import { rowFits, textOfProblem } from "./row-fits.ts";
import { rowFast } from "./row-fast.ts";
import { rowShape } from "./row-shape.ts";
import type { Column } from "./table.ts";

export type Checked<Row> = { readonly ok: true; readonly value: Row } | { readonly ok: false; readonly reason: string };

export interface RowCodec<Row> {
  readonly columns: readonly Column[];
  /**
   * Any value as a row that can be stored, or one line that says which field is wrong. The value may be the very object
   * that was handed in. A check or transform that throws refuses the row. Throws `PermanentError` (`bad-schema`) for a
   * schema with asynchronous checks.
   */
  check(row: unknown): Checked<Row>;
  /** Whether `check` would let this very value pass, unchanged, seen at a glance; `false` says nothing of a row. */
  isPlainlyRight(row: unknown): row is Row;
  /** A row that `check` has let pass, as `Warehouse.rows` would give it once it is stored. */
  encode(row: Row): PlainRow;
  /**
   * A row as `Warehouse.rows` gives it, in the schema's types. Types and the values of enums and literals are checked;
   * refinements, lengths and patterns are not: they are for those who write. Columns are found whatever their letter case.
   */
  decode(row: Readonly<Record<string, unknown>>): Checked<Row>;
}

/** The codec of a schema's rows. Throws `DefinitionError` for what has no column, as `columnsOf` does. */
export function rowCodec<S extends z.ZodObject>(schema: S): RowCodec<z.output<S>> {
  const shape = rowShape(schema);
  const { fields } = shape;
  // What it says yes to is a value of the schema, as far as types go too.
  const isPlainlyRight = rowFast(shape) as (row: unknown) => row is z.output<S>;
  const fits = rowFits(fields);
  const decode = rowDecoder(fields);
  const encode = rowEncoder(fields);
  return {
    columns: columnsOfFields(fields),
    isPlainlyRight,
    check(row) {
      if (isPlainlyRight(row)) return { ok: true, value: row };
      const parsed = parse(schema, row);
      if (!parsed.ok) return parsed;
      const problem = fits(parsed.value);
      return problem === undefined ? parsed : { ok: false, reason: textOfProblem(problem) };
    },
    encode,
    decode(row) {
      const result = decode(row);
      if (!result.ok) return { ok: false, reason: textOfProblem(result.problem) };
      // The fields were read from this very schema, and each value was checked to be of its field's type.
      return { ok: true, value: result.value as z.output<S> };
    },
  };
}

/** A check or a transform that throws has refused the row; that it would rather wait is a fault of the schema. */
function parse<S extends z.ZodObject>(schema: S, row: unknown): Checked<z.output<S>> {
  try {
    const { success, data, error } = schema.safeParse(row);
    return success ? { ok: true, value: data } : { ok: false, reason: reasonOf(error) };
  } catch (cause) {
    if (!(cause instanceof z.core.$ZodAsyncError)) {
      const message = `the schema throws: ${cause instanceof Error ? cause.message : String(cause)}`;
      return { ok: false, reason: textOfProblem({ path: [], message }) };
    }
    throw new PermanentError("the schema has an asynchronous check; rows are checked one by one, without waiting", {
      code: "bad-schema",
      cause,
    });
  }
}

const MAX_ISSUES = 3;

/** The first few issues, each with its path. */
function reasonOf(error: z.ZodError): string {
  const shown = error.issues.slice(0, MAX_ISSUES).map(({ path, message }) => textOfProblem({ path, message }));
  const rest = error.issues.length - shown.length;
  return `${shown.join("; ")}${rest > 0 ? `; and ${rest} more` : ""}`;
}
