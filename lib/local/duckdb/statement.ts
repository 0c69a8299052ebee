/**
 * What a query job may do: give rows, or change one of the tables that it names. A change writes new rows or a whole new
 * physical table, so that readers see the old state or the new one. All inside of the caller's transaction.
 */
import { PermanentError } from "../../core/errors.ts";
import { formatTable, type Column, type TableRef, type TimePartitioning } from "../../core/table.ts";
import { physicalName, type Catalog, type Entry } from "./catalog.ts";
import { newTable } from "./copy.ts";
import { checkRequired } from "./load.ts";
import { partitionColumnType } from "./partition.ts";
import { explain, keepResult, prepare, type KeptResult, type Prepared, type QuerySpec } from "./query.ts";
import type { Transaction } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName, checkColumns } from "./types.ts";
import { finished } from "../googlesql/bind.ts";
import {
  changedBy,
  refusalText,
  storable,
  type Effect,
  type Translation,
  type TranslateOptions,
} from "../googlesql/translate.ts";
import { columnType } from "../googlesql/type.ts";

export interface StatementOptions {
  readonly tables: Catalog;
  readonly shapeOf: TranslateOptions["table"];
  /** Names what the job makes: its result, a physical table, the next etag. */
  readonly digest: string;
  readonly now: number;
}

export interface Ran {
  readonly rows: number;
  /** The rows to read; those of a change are none. */
  readonly kept: KeptResult;
  /** A physical table that lost a reference, if any. */
  readonly before?: string | undefined;
}

type Changed = Pick<Ran, "rows" | "before">;
type Place = Omit<Extract<Translation, { readonly kind: "refused" }>, "kind" | "construct" | "remedy">;
type Creation = Extract<Effect, { readonly schema: readonly Column[] }>;

const unchanged: Changed = { rows: 0 };

/**
 * Runs the statement of a query job. The caller holds the locks of all tables in `spec.writes`. Throws `PermanentError` with
 * BigQuery's reason as its code; whatever was written then goes with the transaction.
 */
export async function runStatement(link: Transaction, spec: QuerySpec, options: StatementOptions): Promise<Ran> {
  const change = changedBy(spec.sql);
  if (change !== undefined) checkAuthority(change.table, change, spec.writes ?? []);
  const prepared = prepare(spec, options.shapeOf);
  const result = `q${options.digest}`;
  if (change === undefined) return keepResult(link, prepared, result);
  try {
    const changed = await apply(link, prepared, change, options);
    return { ...changed, kept: { table: result, columns: [] } };
  } catch (error) {
    throw explain(error);
  }
}

function checkAuthority(table: TableRef, place: Place, writes: readonly TableRef[]): void {
  if (writes.some((one) => one.dataset === table.dataset && one.table === table.table)) return;
  const allowed = writes.length === 0 ? "no table" : `only ${writes.map(formatTable).join(", ")}`;
  throw new PermanentError(
    `line ${place.line}, column ${place.column}: access denied: the job may change ${allowed}, and not ${formatTable(table)}; name the table that the job declares`,
    { code: "accessDenied" },
  );
}

function apply(link: Transaction, prepared: Prepared, place: Place, options: StatementOptions): Promise<Changed> {
  const { effect } = prepared;
  switch (effect.kind) {
    case "create-table":
    case "create-table-as":
      return create(link, prepared, effect, place, options);
    case "insert":
      return insert(link, prepared, existing(effect.target, options), options);
    case "update":
    case "delete":
    case "merge":
    case "truncate":
      return rewrite(link, prepared, existing(effect.target, options), options);
    case "drop":
      return drop(link, effect, options);
    case "create-view":
      throw unsupported("CREATE VIEW", place, "create a table");
    case "select":
      throw new Error("a query changes no table");
  }
}

/** What is there may be replaced only where the statement says so. The new table takes nothing over from it. */
async function create(
  link: Transaction,
  prepared: Prepared,
  effect: Creation,
  place: Place,
  { tables, digest, now }: StatementOptions,
): Promise<Changed> {
  const { target, schema } = effect;
  const { dataset, table } = target;
  if (tables.find(target, now) !== undefined && !effect.replace) {
    if (effect.ifNotExists) return unchanged;
    throw new PermanentError(`${formatTable(target)}: already exists; write CREATE OR REPLACE TABLE`, {
      code: "duplicate",
    });
  }
  checkColumns(schema);
  const partitioning = partitioningOf(effect, place);
  const physical = await newTable(link, schema, partitioning, `t${digest}`);
  const rows = prepared.sql === "" ? 0 : await fill(link, prepared, physical, schema);
  const next: Entry = { dataset, table, physical, schema, rows, etag: digest };
  return { rows, before: await tables.place(link, partitioning === undefined ? next : { ...next, partitioning }) };
}

async function insert(
  link: Transaction,
  prepared: Prepared,
  entry: Entry,
  { tables, digest }: StatementOptions,
): Promise<Changed> {
  const { schema } = entry;
  let { physical } = entry;
  if (tables.references(physical) > 1) {
    physical = await newTable(link, schema, entry.partitioning, `t${digest}`);
    await link.run(`INSERT INTO ${physicalName(physical)} SELECT * FROM ${physicalName(entry.physical)}`);
  }
  const rows = await fill(link, prepared, physical, schema);
  return { rows, before: await tables.place(link, { ...entry, physical, rows: entry.rows + rows, etag: digest }) };
}

async function rewrite(
  link: Transaction,
  prepared: Prepared,
  entry: Entry,
  { tables, digest }: StatementOptions,
): Promise<Changed> {
  const physical = await newTable(link, entry.schema, entry.partitioning, `t${digest}`);
  const rows = await fill(link, prepared, physical, entry.schema);
  return { rows, before: await tables.place(link, { ...entry, physical, rows, etag: digest }) };
}

async function drop(
  link: Transaction,
  { target, ifExists }: Extract<Effect, { readonly kind: "drop" }>,
  { tables, now }: StatementOptions,
): Promise<Changed> {
  const entry = tables.find(target, now);
  if (entry === undefined) {
    if (ifExists) return unchanged;
    throw missing(target);
  }
  await tables.remove(link, entry);
  return { rows: 0, before: entry.physical };
}

/** Adds the statement's rows to a physical table; they are in the order of its columns. Returns their number. */
async function fill(
  link: Transaction,
  { sql, values }: Prepared,
  physical: string,
  schema: readonly Column[],
): Promise<number> {
  const names = schema.map((_, index) => `c${index}`);
  const items = schema.map((column, index) => finished(storable(`c${index}`, columnType(column))));
  const [inserted] = await link.run(
    `INSERT INTO ${physicalName(physical)} (${schema.map(({ name }) => quoteName(name)).join(", ")})
       SELECT ${items.join(", ")} FROM (${sql}) AS _rows(${names.join(", ")})`,
    values,
  );
  await checkRequired(link, physicalName(physical), schema);
  return Number(inserted?.["Count"]);
}

function existing(table: TableRef, { tables, now }: StatementOptions): Entry {
  const entry = tables.find(table, now);
  if (entry === undefined) throw missing(table);
  return entry;
}

/** What BigQuery partitions by is a column, by the day or by a longer or shorter stretch of time. */
function partitioningOf({ partitionBy, schema }: Creation, place: Place): TimePartitioning | undefined {
  if (partitionBy === undefined) return undefined;
  const shown = `PARTITION BY ${partitionBy}`;
  const [, outer, inner, part] = /^(?:(\w+)\()?(\w+)(?:, (\w+))?\)?$/.exec(partitionBy) ?? [];
  if (inner === undefined || /^_PARTITION(?:DATE|TIME)$/i.test(inner))
    throw unsupported(shown, place, "partition by a column");
  const column = byName(schema).get(inner.toLowerCase());
  const type = outer?.endsWith("_TRUNC") === true ? part : "DAY";
  const fits =
    outer === undefined
      ? column?.type === "DATE"
      : outer === "DATE"
        ? part === undefined && (column?.type === "TIMESTAMP" || column?.type === "DATETIME")
        : outer === `${column?.type ?? ""}_TRUNC`;
  if (!fits || (type !== "HOUR" && type !== "DAY" && type !== "MONTH")) {
    throw unsupported(shown, place, "use a DATE column, DATE(column) or a _TRUNC to HOUR, DAY or MONTH of a column");
  }
  const partitioning: TimePartitioning = { type, column: column?.name ?? inner };
  partitionColumnType(partitioning, schema);
  return partitioning;
}

function unsupported(construct: string, { line, column }: Place, remedy: string): PermanentError {
  return new PermanentError(refusalText({ kind: "refused", construct, line, column, remedy }), {
    code: "invalidQuery",
  });
}

function missing(table: TableRef): PermanentError {
  return new PermanentError(`the table ${formatTable(table)} does not exist`, { code: "notFound" });
}
