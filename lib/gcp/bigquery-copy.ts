/**
 * How one table's rows get into another. A copy job costs nothing and moves no data, so it is the first choice; but it
 * takes a table's schema along, and with that its policy tags and row policies away, it changes no column, and it copies a
 * partition only from a table of the same partitions. For the rest a query writes the rows, which is as atomic.
 */
import { PermanentError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { Column, Destination, TimePartitioning } from "../core/table.ts";
import type { CopySpec, Disposition } from "./bigquery-config.ts";
import type { TableReference, TableResource } from "./bigquery-resources.ts";
import {
  checkDecorator,
  columnsOf,
  hasPolicyTags,
  invalid,
  isView,
  missing,
  partitioningOf,
  quoted,
  referenceOf,
  sameColumns,
  samePartitioning,
  sameTable,
  type Naming,
} from "./bigquery-tables.ts";

export type CopyPlan =
  | {
      readonly kind: "copy";
      readonly source: TableReference;
      readonly destination: TableReference;
      readonly disposition: Disposition;
      /** Of the destination; never earlier than it was. */
      readonly expiresAt?: number;
    }
  | {
      readonly kind: "query";
      readonly sql: string;
      readonly destination: TableReference;
      readonly disposition: Disposition;
    };

/** `unseen`: the account may not look. */
export type RowPolicies = "none" | "some" | "unseen";

/** What a plan has to know of the tables. */
export interface CopyTables {
  get(table: Destination): Promise<TableResource | undefined>;
  /**
   * `none` also for a table that is not there. A table that `expires` was made by us for a while: what cannot be seen of it is
   * taken for none.
   */
  rowPolicies(table: Destination, options: { readonly expires: boolean }): Promise<RowPolicies>;
  /** An empty table of the source's columns; the one that is there, where somebody was quicker. */
  create(table: Destination, source: TableResource, partitioning: TimePartitioning): Promise<TableResource>;
  /** The partitions of a table that hold rows, at least two of them where there are more. */
  partitions(table: Destination): AsyncIterable<string>;
}

/** Throws `PermanentError`, its code BigQuery's reason, for a copy that must not or cannot be. */
export async function planCopy(spec: CopySpec, tables: CopyTables, naming: Naming): Promise<CopyPlan> {
  // What a replaced table must keep is asked for along with the table; where it matters, its error is heard of.
  const rowPolicies: Promise<RowPolicies> =
    spec.append === true
      ? Promise.resolve("none")
      : tables.rowPolicies(spec.destination, { expires: spec.expiresAt !== undefined });
  rowPolicies.catch(() => undefined);
  const [source, found] = await Promise.all([tables.get(spec.source), tables.get(spec.destination)]);
  if (source === undefined) throw missing(spec.source);
  for (const [table, resource] of [
    [spec.source, source],
    [spec.destination, found],
  ] as const)
    if (resource !== undefined && isView(resource))
      throw invalid(`${formatTable(table)}: a view holds no rows of its own; copy from and to tables`);
  return spec.destination.partition === undefined
    ? await planWhole(spec, source, found, { tables, naming, rowPolicies })
    : await planPartition(spec, source, found, { tables, naming, rowPolicies, partition: spec.destination.partition });
}

interface World {
  readonly tables: CopyTables;
  readonly naming: Naming;
  /** Of the destination. */
  readonly rowPolicies: Promise<RowPolicies>;
}

/** Whether the destination has policy tags or row policies, which WRITE_TRUNCATE may drop. */
async function protection({ append }: CopySpec, found: TableResource, { rowPolicies }: World): Promise<RowPolicies> {
  return append !== true && hasPolicyTags(found.schema?.fields) ? "some" : await rowPolicies;
}

/** A copy that is refused only because there may be row policies is refused with the way to see that there are none. */
function advised<T>(found: RowPolicies, to: TableReference, shown: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (found !== "unseen" || !(error instanceof PermanentError)) throw error;
    const role = `roles/bigquery.dataOwner on the dataset ${to.projectId}.${to.datasetId}`;
    throw invalid(
      `${shown}: the account may not see whether the table has row policies, which a copy would drop, and a query cannot do it (${error.message}); grant the account ${role}`,
    );
  }
}

async function planWhole(
  spec: CopySpec,
  source: TableResource,
  found: TableResource | undefined,
  world: World,
): Promise<CopyPlan> {
  const { naming } = world;
  const shown = formatTable(spec.destination);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, partitioningOf(source))) {
    throw invalid(
      `${shown}: a copy of a whole table has the source's partitioning; load the source with the wanted one`,
    );
  }
  const [from, to] = [referenceOf(naming, spec.source), referenceOf(naming, spec.destination)];
  const disposition = spec.append === true ? "WRITE_APPEND" : "WRITE_TRUNCATE";
  const expiry =
    spec.expiresAt === undefined ? {} : { expiresAt: Math.max(spec.expiresAt, found?.expirationTime ?? 0) };
  const copy: CopyPlan = { kind: "copy", source: from, destination: to, disposition, ...expiry };
  if (found === undefined) return copy;
  if (spec.append === true && !samePartitioning(partitioningOf(source), partitioningOf(found)))
    throw invalid(`${shown}: the table is partitioned otherwise than the source; name a partition`);
  const policies = await protection(spec, found, world);
  const kept = policies !== "none";
  if (!kept && (spec.append !== true || sameColumns(columnsOf(source), columnsOf(found)))) return copy;
  return advised(policies, to, shown, () => {
    if (found.timePartitioning !== undefined && found.timePartitioning.field === undefined) {
      throw invalid(
        policies === "unseen"
          ? "a query writes one ingestion-time partition at a time"
          : kept
            ? `${shown}: it has policy tags or row policies, and a copy of all its ingestion-time partitions would drop them; copy one partition at a time`
            : `${shown}: its columns are not those of ${formatTable(spec.source)}, and by ingestion time only one partition can be written then; extend the source first, or copy into a partition`,
      );
    }
    const sql = selection(from, columnsOf(source), columnsOf(found), shown);
    return { kind: "query", sql, destination: to, disposition: kept ? "WRITE_TRUNCATE_DATA" : disposition };
  });
}

async function planPartition(
  spec: CopySpec,
  source: TableResource,
  found: TableResource | undefined,
  world: World & { readonly partition: string },
): Promise<CopyPlan> {
  const { tables, naming, partition } = world;
  const shown = formatTable(spec.destination);
  if (sameTable(spec.source, spec.destination, naming))
    throw invalid(`${shown}: a table cannot be copied into its own partition`);
  const partitioning = found === undefined ? spec.partitioning : partitioningOf(found);
  if (partitioning === undefined) throw invalid(`${shown}: the table is not partitioned`);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, partitioning))
    throw invalid(`${shown}: the table is partitioned otherwise than the copy says`);
  checkDecorator(partition, partitioning);
  const fits = samePartitioning(partitioningOf(source), partitioning);
  // Of a source by ingestion time only this partition is meant; by a column, rows elsewhere would be left behind in silence.
  if (fits && partitioning.column !== undefined) await checkOnly(spec, partition, tables);
  // A copy job cannot say how to partition what it makes. Should we die now, an empty table is there before its first rows.
  const target = found ?? (await tables.create(spec.destination, source, partitioning));
  const policies = found === undefined ? "none" : await protection(spec, found, world);
  const kept = policies !== "none";
  const same = sameColumns(columnsOf(source), columnsOf(target)) && !kept;
  const [from, to] = [referenceOf(naming, spec.source), referenceOf(naming, spec.destination)];
  const disposition = spec.append === true ? "WRITE_APPEND" : "WRITE_TRUNCATE";
  if (fits && same) {
    const part = referenceOf(naming, { ...spec.source, partition });
    return { kind: "copy", source: part, destination: to, disposition };
  }
  if (same && source.timePartitioning === undefined && partitioning.column === undefined)
    return { kind: "copy", source: from, destination: to, disposition };
  const filter =
    fits && partitioning.column === undefined ? ` WHERE _PARTITIONTIME = TIMESTAMP '${startOf(partition)}'` : "";
  const selected = advised(policies, to, shown, () => selection(from, columnsOf(source), columnsOf(target), shown));
  const sql = `${selected}${filter}`;
  return { kind: "query", sql, destination: to, disposition: kept ? "WRITE_TRUNCATE_DATA" : disposition };
}

async function checkOnly(spec: CopySpec, partition: string, tables: CopyTables): Promise<void> {
  for await (const other of tables.partitions(spec.source)) {
    if (other === partition) continue;
    const what = other === "__NULL__" ? "without a value in the partitioning column" : `of ${other}`;
    throw invalid(
      `${formatTable(spec.destination)}: ${formatTable(spec.source)} also has rows ${what}, which are not of this partition`,
    );
  }
}

function startOf(partition: string): string {
  const [year, month, day = "01", hour = "00"] = [...(partition.match(/^\d{4}|\d\d/g) ?? [])];
  return `${year}-${month}-${day} ${hour}:00:00+00`;
}

/** The source's rows as rows of the target, by name. Throws `PermanentError` where a value would have no column, or a column no value. */
function selection(from: TableReference, source: readonly Column[], target: readonly Column[], shown: string): string {
  const given = new Set(source.map(({ name }) => name.toLowerCase()));
  const known = new Map(target.map((column) => [column.name.toLowerCase(), column]));
  for (const column of source) {
    const name = JSON.stringify(column.name);
    const own = known.get(column.name.toLowerCase());
    if (own === undefined)
      throw invalid(`${shown}: the source's column ${name} is not in the table; extend the table first`);
    if (typeOf(own) !== typeOf(column))
      throw invalid(`${shown}: the column ${name} is ${typeOf(own)}, and ${typeOf(column)} in the source`);
  }
  // A query's columns are never required, and BigQuery does not take them for columns that are.
  const required = target.find(({ mode }) => mode === "REQUIRED");
  if (required !== undefined) {
    throw invalid(
      `${shown}: the column ${JSON.stringify(required.name)} is required; copy from a table of the same partitions and columns, in the same order and required as well`,
    );
  }
  const columns = target.map((column) =>
    given.has(column.name.toLowerCase())
      ? `\`${column.name}\``
      : `${column.mode === "REPEATED" ? `${typeOf(column)}[]` : `CAST(NULL AS ${typeOf(column)})`} AS \`${column.name}\``,
  );
  return `SELECT ${columns.join(", ")} FROM ${quoted(from)}`;
}

/** The column's type in GoogleSQL. */
function typeOf(column: Column): string {
  const fields = (column.fields ?? []).map((field) => `\`${field.name}\` ${typeOf(field)}`);
  const one = column.type === "STRUCT" ? `STRUCT<${fields.join(", ")}>` : column.type;
  return column.mode === "REPEATED" ? `ARRAY<${one}>` : one;
}
