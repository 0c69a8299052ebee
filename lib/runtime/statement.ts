/** The statement of a SQL asset, as a run of it fills it in, and whether its rows are what the asset promises. */
import type { AssetDefinition } from "../core/asset.ts";
import { columnsOf } from "../core/columns.ts";
import { PermanentError } from "../core/errors.ts";
import { placeholderValues } from "../core/placeholders.ts";
import type { Statement } from "../core/publish-job.ts";
import { renderSql } from "../core/sql.ts";
import type { Column } from "../core/table.ts";
import type { Target } from "../core/target.ts";
import type { TableInfo } from "../ports/warehouse.ts";
import type { Plan } from "./materialize.ts";
import { tablesOf } from "./resources.ts";

/** `undefined` for an asset of another kind. */
export function statementOf({ execution, asset, partition, config }: Plan): Statement | undefined {
  if (asset.sql === undefined) return undefined;
  const tableOf = tablesOf(execution, asset, undefined);
  const { text, parameters } = renderSql(asset.sql, tableOf, placeholderValues(partition, config));
  return { text, parameters };
}

/** What of a target decides what its table holds and how, for the fingerprint. */
export function layoutOf({ publish, partitioning, clustering }: Target): unknown {
  return [publish ?? "replace", partitioning ?? null, clustering ?? []];
}

/**
 * Throws `PermanentError` when the staging is not what the target publishes, or, of a statement, when its rows lack a column of
 * the asset's schema (`schema-mismatch`).
 */
export function checkStaged({ key, sql, schema, target }: AssetDefinition, staged: TableInfo): void {
  if (staged.view === true && target?.publish !== "view")
    throw new PermanentError(
      `${key} has made its table a view, whose rows cannot be published: write CREATE TABLE, or use a sqlAsset with materialization: "view"`,
      { code: "invalid" },
    );
  if (sql === undefined || schema === undefined) return;
  const found = new Map(staged.schema.map((column) => [column.name.toLowerCase(), column]));
  for (const wanted of columnsOf(schema)) {
    const column = found.get(wanted.name.toLowerCase());
    if (column !== undefined && shown(column) === shown(wanted)) continue;
    const is = column === undefined ? "is missing" : `is ${shown(column)}`;
    throw new PermanentError(
      `the column ${wanted.name} of the SQL of ${key} ${is}, and ${shown(wanted)} in its schema: correct the SQL or the schema`,
      { code: "schema-mismatch" },
    );
  }
}

function shown({ type, mode }: Column): string {
  return mode === "REPEATED" ? `ARRAY<${type}>` : type;
}
