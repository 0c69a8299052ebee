/**
 * What a statement of a query job may do: give rows, or change one of the tables that the job names. A change writes new rows or
 * a whole new physical table, so that readers see the old state or the new one. All inside of the caller's transaction.
 */
import { PermanentError } from "../../core/errors.ts";
import { mayRead, undeclaredTable, type DatasetRef } from "../../core/reads.ts";
import { formatTable, type Column, type TableRef, type TimePartitioning } from "../../core/table.ts";
import { checkLimit, type Costs } from "./bytes.ts";
import { isIngestionTime, physicalName, stored, type Catalog, type Entry, type TableEntry } from "./catalog.ts";
import { newTable } from "./copy.ts";
import { explain } from "./engine-errors.ts";
import { checkRequired } from "./load.ts";
import { partitionColumnType } from "./partition.ts";
import { checkNames, keepResult, prepare, type KeptResult, type Prepared, type QuerySpec } from "./query.ts";
import type { Transaction } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName, checkColumns } from "./types.ts";
import type { Statement } from "../googlesql/ast.ts";
import { finished } from "../googlesql/bind.ts";
import type { ScriptNames } from "../googlesql/emitter.ts";
import {
  refusalText,
  storable,
  translateStatement,
  type Change,
  type Effect,
  type TranslateOptions,
} from "../googlesql/translate.ts";
import { columnType } from "../googlesql/type.ts";

export interface StatementOptions {
  readonly tables: Catalog;
  readonly costs: Costs;
  /** Names what the statement makes: its result, a physical table, the next etag. */
  readonly digest: string;
  readonly now: number;
  /** What may still be billed. */
  readonly maximumBytesBilled?: number | undefined;
  /** What the script has made so far, where the statement is part of one. */
  readonly script?: ScriptNames;
}

export interface Ran {
  readonly rows: number;
  /** The rows to read; those of a change are none. */
  readonly kept: KeptResult;
  readonly bytesBilled: number;
  /** A physical table that lost a reference, if any. */
  readonly before?: string | undefined;
}

type Changed = Pick<Ran, "rows" | "before">;
type Place = Pick<Change, "line" | "column">;
type Creation = Extract<Effect, { readonly kind: "create-table" | "create-table-as" }>;

const unchanged: Changed = { rows: 0 };

/** What a query sees of each table. Throws `PermanentError` (`accessDenied`) for one in none of the datasets that it may read. */
export function seenIn(tables: Catalog, now: number, reads?: readonly DatasetRef[]): TranslateOptions["table"] {
  return (table) => {
    if (reads !== undefined && !mayRead(reads, table))
      throw new PermanentError(`access denied: ${undeclaredTable(formatTable(table), table.dataset)}`, {
        code: "accessDenied",
      });
    const found = tables.find(table, now);
    if (found === undefined) return undefined;
    const { schema: columns, view } = found;
    return view === undefined ? { columns, ingestionTime: isIngestionTime(found.partitioning) } : { columns, view };
  };
}

/** What a job may read: what it declares, what it may change, and its script's temporary tables. */
export function readsOf(
  { reads, writes = [] }: Pick<QuerySpec, "reads" | "writes">,
  temporary?: string,
): readonly DatasetRef[] | undefined {
  if (reads === undefined) return undefined;
  return [...reads, ...writes, ...(temporary === undefined ? [] : [{ dataset: temporary }])];
}

/** A statement of the text `sql`, translated and checked against the tables as they are. */
export function prepareStatement(
  statement: Statement,
  spec: Pick<QuerySpec, "sql" | "parameters" | "reads" | "writes">,
  { tables, now, script }: Pick<StatementOptions, "tables" | "now" | "script">,
): Prepared {
  const { sql, parameters = {} } = spec;
  const prepared = prepare({ parameters }, seenIn(tables, now, readsOf(spec, script?.dataset)), (options) =>
    translateStatement(statement, sql, script === undefined ? options : { ...options, script }),
  );
  const { effect } = prepared;
  if (effect.kind === "select") checkNames(effect.schema.map(({ name }) => name));
  else checkTarget(effect, tables.find(effect.target, now));
  return prepared;
}

/**
 * Runs a statement; `change` says what it would change, which the job may. The caller holds the locks of all tables in
 * `spec.writes`. Throws `PermanentError` with BigQuery's reason as its code; whatever was written then goes with the transaction.
 */
export async function runStatement(
  link: Transaction,
  statement: Statement,
  { change, spec }: { readonly change: Change | undefined; readonly spec: QuerySpec },
  options: StatementOptions,
): Promise<Ran> {
  const { tables, now, digest } = options;
  const prepared = prepareStatement(statement, spec, options);
  const { bytesBilled } = await options.costs(link, prepared.scans, tables, now);
  checkLimit(bytesBilled, options.maximumBytesBilled);
  const result = `q${digest}`;
  if (change === undefined) return { ...(await keepResult(link, prepared, result)), bytesBilled };
  try {
    const changed = await apply(link, prepared, change, { ...options, expiry: expiryOf(spec, change) });
    return { ...changed, bytesBilled, kept: { table: result, columns: [] } };
  } catch (error) {
    throw explain(error);
  }
}

/** Refuses a change that the job did not declare. */
export function checkAuthority({ table, line, column }: Change, writes: readonly TableRef[]): void {
  if (writes.some((one) => one.dataset === table.dataset && one.table === table.table)) return;
  const allowed = writes.length === 0 ? "no table" : `only ${writes.map(formatTable).join(", ")}`;
  throw new PermanentError(
    `line ${line}, column ${column}: access denied: the job may change ${allowed}, and not ${formatTable(table)}; name the table that the job declares`,
    { code: "accessDenied" },
  );
}

/** Whether the target is there, or is not, and is of the statement's kind. Nothing to do is right too. */
function checkTarget(effect: Exclude<Effect, { readonly kind: "select" }>, entry: Entry | undefined): void {
  const { target } = effect;
  const shown = formatTable(target);
  const is = entry?.view === undefined ? "TABLE" : "VIEW";
  switch (effect.kind) {
    case "create-table":
    case "create-table-as":
    case "create-view": {
      if (entry === undefined) return;
      const wanted = effect.kind === "create-view" ? "VIEW" : "TABLE";
      if (effect.replace && is !== wanted)
        throw invalid(`${shown} is a ${is}, and no ${wanted} replaces it; drop it first`);
      if (effect.replace || effect.ifNotExists) return;
      throw new PermanentError(`${shown}: already exists; write CREATE OR REPLACE ${wanted}`, { code: "duplicate" });
    }
    case "drop":
      if (entry === undefined && !effect.ifExists) throw missing(target);
      if (entry !== undefined && is !== effect.what.toUpperCase())
        throw invalid(`${shown} is a ${is}; write DROP ${is}`);
      return;
    default:
      existing(target, entry);
  }
}

type ApplyOptions = StatementOptions & { readonly expiry: { readonly expiresAt?: number } };

/** Of the tables that a script keeps to itself, none: they go with it. */
function expiryOf({ expiresAt, writes = [] }: QuerySpec, { table }: Change): { readonly expiresAt?: number } {
  const declared = writes.some((one) => one.dataset === table.dataset && one.table === table.table);
  return expiresAt === undefined || !declared ? {} : { expiresAt };
}

function apply(link: Transaction, prepared: Prepared, place: Place, options: ApplyOptions): Promise<Changed> {
  const { effect } = prepared;
  if (effect.kind === "select") throw new Error("a query changes no table");
  const entry = options.tables.find(effect.target, options.now);
  switch (effect.kind) {
    case "create-table":
    case "create-table-as":
      if (entry !== undefined && !effect.replace) return Promise.resolve(unchanged);
      return create(link, prepared, effect, place, options);
    case "create-view":
      if (entry !== undefined && !effect.replace) return Promise.resolve(unchanged);
      return createView(link, effect, options);
    case "insert":
      return insert(link, prepared, existing(effect.target, entry), options);
    case "update":
    case "delete":
    case "merge":
    case "truncate":
      return rewrite(link, prepared, existing(effect.target, entry), options);
    case "drop":
      return entry === undefined ? Promise.resolve(unchanged) : drop(link, entry, options);
  }
}

async function createView(
  link: Transaction,
  { target: { dataset, table }, schema, view }: Extract<Effect, { readonly kind: "create-view" }>,
  { tables, digest, expiry }: ApplyOptions,
): Promise<Changed> {
  checkColumns(schema);
  await tables.place(link, { dataset, table, schema, view, etag: digest, ...expiry });
  return unchanged;
}

/** The new table takes nothing over from one that it replaces. */
async function create(
  link: Transaction,
  prepared: Prepared,
  effect: Creation,
  place: Place,
  { tables, digest, expiry }: ApplyOptions,
): Promise<Changed> {
  const { target, schema } = effect;
  const { dataset, table } = target;
  checkColumns(schema);
  const partitioning = partitioningOf(effect, place);
  const physical = await newTable(link, schema, partitioning, `t${digest}`);
  const rows = prepared.sql === "" ? 0 : await fill(link, prepared, physical, schema);
  const next: TableEntry = { dataset, table, physical, schema, rows, etag: digest, ...expiry };
  return { rows, before: await tables.place(link, partitioning === undefined ? next : { ...next, partitioning }) };
}

async function insert(
  link: Transaction,
  prepared: Prepared,
  entry: TableEntry,
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
  entry: TableEntry,
  { tables, digest }: StatementOptions,
): Promise<Changed> {
  const physical = await newTable(link, entry.schema, entry.partitioning, `t${digest}`);
  const rows = await fill(link, prepared, physical, entry.schema);
  return { rows, before: await tables.place(link, { ...entry, physical, rows, etag: digest }) };
}

async function drop(link: Transaction, entry: Entry, { tables }: StatementOptions): Promise<Changed> {
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

function existing(table: TableRef, entry: Entry | undefined): TableEntry {
  if (entry === undefined) throw missing(table);
  return stored(entry);
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

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}

function missing(table: TableRef): PermanentError {
  return new PermanentError(`the table ${formatTable(table)} does not exist`, { code: "notFound" });
}
