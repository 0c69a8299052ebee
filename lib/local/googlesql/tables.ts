/** Which tables a statement names. */
import type { TableRef } from "../../core/table.ts";
import { tableRef } from "./from.ts";
import type { Name } from "./ast.ts";

/**
 * Walks a statement's tree and tells every table of it. A name of one part is a query of WITH or an alias; a path that starts
 * with an alias may be told too: whoever looks it up finds no such table.
 */
export function collectTables(node: unknown, seen: Set<unknown>, tell: (table: TableRef) => void): void {
  if (node === null || typeof node !== "object" || seen.has(node)) return;
  seen.add(node);
  if (Array.isArray(node)) {
    for (const one of node) collectTables(one, seen, tell);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if ((key === "path" || key === "target") && isPath(value) && value.length > 1) tell(tableRef(value));
    else collectTables(value, seen, tell);
  }
}

function isPath(value: unknown): value is readonly Name[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((one) => typeof one === "object" && one !== null && "text" in one && "at" in one)
  );
}
