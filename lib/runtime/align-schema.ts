/** Makes the staging and the visible table agree on their columns before the publish, or refuses. */
import { eventOf } from "../core/run-identity.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import { compareSchemas } from "../core/schema-change.ts";
import { formatTable } from "../core/table.ts";
import type { Column, TableRef } from "../core/table.ts";
import { accumulates } from "../core/target.ts";
import type { Target } from "../core/target.ts";
import type { TableInfo, Warehouse } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";

export interface Alignment {
  readonly staging: TableRef;
  readonly staged: TableInfo;
  readonly target: Target;
  /** What is wrong, if it is: a `file`, or the `data`. */
  readonly what: string;
}

/**
 * A table grows only by nullable columns. Dying in the middle leaves a column without values, which the next run finds
 * and agrees with.
 */
export async function alignSchema(execution: Execution, { staging, staged, target, what }: Alignment): Promise<void> {
  const { services, identity, run } = execution;
  const { warehouse } = services;
  const { table } = target;
  const current = await warehouse.describe(table);
  if (current === undefined) return;
  if ((current.view === true) !== (target.publish === "view")) {
    const [is, becomes] = current.view === true ? ["a view", "a table"] : ["a table", "a view"];
    throw new PermanentError(`${formatTable(table)} is ${is} and would become ${becomes}: drop it first`, {
      code: "schema-changed",
    });
  }
  const mode = target.schemaChange ?? "fail";
  if (mode === "replace") return;
  const change = compareSchemas(current.schema, staged.schema, mode);
  if (change.kind === "refused") {
    throw new PermanentError(
      `the columns of ${formatTable(table)} would change: ${change.reason}; correct the ${what}, or change the table first`,
      {
        code: "schema-changed",
      },
    );
  }
  const names = new Set(staged.schema.map(({ name }) => name.toLowerCase()));
  const missing = current.schema.filter(({ name }) => !names.has(name.toLowerCase()));
  if (missing.length > 0) await extend(warehouse, staging, missing, staged.etag);
  // A table that is replaced takes the staging's columns with its rows.
  if (change.kind === "same" || (target.slot === "table" && !accumulates(target))) return;
  await extend(warehouse, table, change.add, current.etag);
  await services.events.append([
    {
      ...eventOf(identity, `extended-${run.attempt}`, services.clock.now()),
      type: "schema.extended",
      table: formatTable(table),
      columns: change.add.map(({ name }) => name),
    },
  ]);
}

/** Throws `RetryableError` where the table has gone since it was seen: a holder that has lost the claim drops leftovers, too. */
async function extend(warehouse: Warehouse, table: TableRef, columns: readonly Column[], etag: string): Promise<void> {
  try {
    await warehouse.extend(table, columns, etag);
  } catch (error) {
    if (!(error instanceof PermanentError) || (await warehouse.describe(table)) !== undefined) throw error;
    throw new RetryableError(`${formatTable(table)} is gone`, { cause: error });
  }
}

/** Whether the columns of the two differ: another run may have changed the table's since they were made to agree. */
export async function haveParted(
  { warehouse }: Pick<Execution["services"], "warehouse">,
  { staging, table }: { readonly staging: TableRef; readonly table: TableRef },
): Promise<boolean> {
  const [staged, current] = [await warehouse.describe(staging), await warehouse.describe(table)];
  if (staged === undefined || current === undefined) return false;
  return compareSchemas(current.schema, staged.schema, "fail").kind !== "same";
}
