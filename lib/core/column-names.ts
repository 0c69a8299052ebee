import { DefinitionError } from "./errors.ts";
import { checkIdentifier } from "./table.ts";

/** BigQuery keeps these for columns of its own, in whatever letter case. */
const RESERVED = ["_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER"] as const;
const MAX_LENGTH = 300;

/**
 * Refuses names that are no columns of one table (or fields of one STRUCT, whose path is `parent`): illegal ones,
 * BigQuery's own, and two that differ in letter case only. Throws `DefinitionError`.
 */
export function checkColumnNames(names: readonly string[], parent = ""): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const path = parent === "" ? name : `${parent}.${name}`;
    checkIdentifier(name, parent === "" ? "the column" : `the field of ${parent},`);
    const upper = name.toUpperCase();
    const reserved = RESERVED.find((prefix) => upper.startsWith(prefix));
    if (reserved !== undefined || name === "__proto__")
      throw new DefinitionError(`the column ${path} begins with ${reserved ?? "__proto__"}, which is reserved`, {
        remedy: "rename it",
      });
    if (name.length > MAX_LENGTH)
      throw new DefinitionError(`the column ${path} has more than ${MAX_LENGTH} letters`, { remedy: "shorten it" });
    const other = seen.get(upper);
    if (other !== undefined)
      throw new DefinitionError(`the columns ${other} and ${path} differ in letter case only`, {
        remedy: "rename one of them",
      });
    seen.set(upper, path);
  }
}
