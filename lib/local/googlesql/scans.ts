/** Which columns of which tables a piece of the engine's SQL reads. */
import { formatTable, type TableRef } from "../../core/table.ts";

export interface Scan {
  readonly table: TableRef;
  /** Their names as the table has them; none where rows are only counted. */
  readonly columns: readonly string[];
}

/** A text; a column behind what stands for its table; any other name in quotes. */
const token = /'(?:[^']|'')*'|\b(_t\d+)\."((?:[^"]|"")*)"|"(?:[^"]|"")*"/g;

/** `sources` says what stands for which table. What a query names and no part of the SQL uses is not read. */
export function scannedColumns(sql: string, sources: ReadonlyMap<string, TableRef>): readonly Scan[] {
  const found = new Map<string, { readonly table: TableRef; readonly columns: Set<string> }>();
  const note = (id: string): Set<string> | undefined => {
    const table = sources.get(id);
    if (table === undefined) return undefined;
    const { dataset, table: name } = table;
    const key = formatTable({ dataset, table: name });
    const known = found.get(key) ?? { table, columns: new Set<string>() };
    found.set(key, known);
    return known.columns;
  };
  for (const [, id, name] of sql.matchAll(token))
    if (id !== undefined && name !== undefined) note(id)?.add(name.replaceAll('""', '"'));
  return [...found.values()].map(({ table, columns }) => ({ table, columns: [...columns] }));
}
