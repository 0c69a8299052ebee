/** What a check takes of the outside world, and whether it has anything to look at. */
import type { AssetKey } from "./asset-key.ts";
import type { InlineCheck } from "./check.ts";
import { DefinitionError } from "./errors.ts";
import type { Need } from "./needs.ts";
import { assetsIn } from "./sql.ts";

/** What the check of an asset needs besides what reading the asset's own table needs. */
export function needsOfCheck(key: AssetKey, { name, rule }: InlineCheck, table: boolean): readonly Need[] {
  const own = rule.kind === "function" ? Object.values(rule.resources).flatMap(({ needs }) => needs) : [];
  if (table || (rule.kind !== "function" && rule.kind !== "no-rows")) return own;
  return [...own, { kind: "run-jobs", reason: `the check ${name} of ${key} may be a query` }];
}

/**
 * Throws `DefinitionError` for a check of an asset without a table that could only look at one. `stored`: its I/O manager keeps
 * the rows elsewhere, so that they can be counted.
 */
export function requireNoTable(key: AssetKey, { name, rule }: InlineCheck, stored: boolean): void {
  if (rule.kind === "function" || (rule.kind === "row-count" && stored)) return;
  if (rule.kind === "no-rows" && !assetsIn(rule.sql).includes(key)) return;
  throw new DefinitionError(`the check ${name} looks at a table, and ${key} has none`, {
    remedy: "write a function check, or give the asset a target",
  });
}
