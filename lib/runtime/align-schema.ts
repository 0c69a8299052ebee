/** Makes the staging and the visible table agree on their columns before the publish, or refuses. */
import { eventOf } from "../core/run-identity.ts";
import type { Target } from "../core/asset.ts";
import { PermanentError } from "../core/errors.ts";
import { compareSchemas } from "../core/schema-change.ts";
import { formatTable } from "../core/table.ts";
import type { TableRef } from "../core/table.ts";
import type { TableInfo } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";

export interface Alignment {
  readonly staging: TableRef;
  readonly staged: TableInfo;
  readonly target: Target;
}

/**
 * A table grows only by nullable columns. Dying in the middle leaves a column without values, which the next run finds
 * and agrees with.
 */
export async function alignSchema(execution: Execution, { staging, staged, target }: Alignment): Promise<void> {
  const { services, identity, run } = execution;
  const { warehouse } = services;
  const { table } = target;
  const current = await warehouse.describe(table);
  if (current === undefined) return;
  const change = compareSchemas(current.schema, staged.schema, target.schemaChange ?? "fail");
  if (change.kind === "refused") {
    throw new PermanentError(
      `the columns of ${formatTable(table)} would change: ${change.reason}; correct the file, or change the table first`,
      {
        code: "schema-changed",
      },
    );
  }
  const names = new Set(staged.schema.map(({ name }) => name.toLowerCase()));
  const missing = current.schema.filter(({ name }) => !names.has(name.toLowerCase()));
  if (missing.length > 0) await warehouse.extend(staging, missing, staged.etag);
  if (change.kind === "same" || target.slot === "table") return;
  await warehouse.extend(table, change.add, current.etag);
  await services.events.append([
    {
      ...eventOf(identity, `extended-${run.attempt}`, services.clock.now()),
      type: "schema.extended",
      table: formatTable(table),
      columns: change.add.map(({ name }) => name),
    },
  ]);
}
