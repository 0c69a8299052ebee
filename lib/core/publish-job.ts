/** The one atomic step that makes staged rows visible, by what the target says that they do to the slot's rows. */
import type { QueryParameter } from "./sql.ts";
import { quoteTable } from "./sql.ts";
import type { Column, TableRef } from "./table.ts";

/** A statement with nothing left to fill in. */
export interface Statement {
  readonly text: string;
  readonly parameters: Readonly<Record<string, QueryParameter>>;
}

/**
 * Rows whose key is in the table replace the row there; a column that they lack becomes NULL, as in a row that is added. The
 * staged rows have been checked: their keys are unique and never NULL.
 */
export function mergeStatement(
  table: { readonly ref: TableRef; readonly schema: readonly Column[] },
  staged: { readonly ref: TableRef; readonly schema: readonly Column[] },
  keys: readonly string[],
): Statement {
  const isKey = new Set(keys.map((key) => key.toLowerCase()));
  const given = new Map(staged.schema.map(({ name }) => [name.toLowerCase(), name]));
  const valueOf = ({ name, mode }: Column): string => {
    const found = given.get(name.toLowerCase());
    return found === undefined ? (mode === "REPEATED" ? "[]" : "NULL") : `staged.${quoted(found)}`;
  };
  const on = keys.map((key) => `visible.${quoted(key)} = staged.${quoted(key)}`).join(" AND ");
  const others = table.schema.filter(({ name }) => !isKey.has(name.toLowerCase()));
  const update = others.map((column) => `${quoted(column.name)} = ${valueOf(column)}`).join(", ");
  const columns = table.schema.map(({ name }) => quoted(name)).join(", ");
  const values = table.schema.map(valueOf).join(", ");
  const text = [
    `MERGE ${quoteTable(table.ref)} AS visible USING ${quoteTable(staged.ref)} AS staged ON ${on}`,
    ...(others.length === 0 ? [] : [`WHEN MATCHED THEN UPDATE SET ${update}`]),
    `WHEN NOT MATCHED THEN INSERT (${columns}) VALUES (${values})`,
  ].join("\n");
  return { text, parameters: {} };
}

export function viewStatement(view: TableRef, query: Statement): Statement {
  return { text: `CREATE OR REPLACE VIEW ${quoteTable(view)} AS ${query.text}`, parameters: query.parameters };
}

function quoted(name: string): string {
  return `\`${name}\``;
}
