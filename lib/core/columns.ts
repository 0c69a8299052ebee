/**
 * zod → BigQuery: the columns of an asset's schema. The whole table, with what JavaScript sees, is `docs/types.md`.
 */
import type { z } from "zod";
import { rowShape, type Field } from "./row-shape.ts";
import type { Column } from "./table.ts";

/**
 * The columns that rows of this schema are stored in, in the schema's order. The schema's output decides, after its
 * defaults, pipes and transforms. A value that may be missing or null, or has a default, gives a NULLABLE column, an
 * array a REPEATED one. Throws `DefinitionError` with the field's path and the remedy for what has no column.
 */
export function columnsOf(schema: z.ZodObject): readonly Column[] {
  return columnsOfFields(rowShape(schema).fields);
}

/** The columns of fields that `rowShape` has read from a schema. */
export function columnsOfFields(fields: readonly Field[]): readonly Column[] {
  return fields.map(({ name, shape }) => {
    const gaps = shape.optional || shape.nullable || shape.fill !== undefined;
    const mode = shape.repeated ? "REPEATED" : gaps ? "NULLABLE" : "REQUIRED";
    const column: Column = { name, type: shape.type, mode };
    return shape.fields === undefined ? column : { ...column, fields: columnsOfFields(shape.fields) };
  });
}
