/** One table's rows into a whole table, by reference, or into one partition, by rows. All inside of the caller's transaction. */
import { PermanentError } from "../core/errors.ts";
import { formatTable, type Column } from "../core/table.ts";
import type { JobSpec } from "../ports/warehouse.ts";
import { find, isIngestionTime, partitionTime, physicalName, place, references, type Entry } from "./duckdb-catalog.ts";
import { partitionOf, samePartitioning } from "./duckdb-partition.ts";
import type { Link } from "./duckdb-session.ts";
import { quoteName } from "./duckdb-sql.ts";
import { byName, storedType } from "./duckdb-types.ts";

export type CopySpec = Extract<JobSpec, { kind: "copy" }>;

export interface Copied {
  readonly rows: number;
  /** A physical table that lost a reference, if any. */
  readonly before: string | undefined;
}

/**
 * The caller holds the locks of both tables. `name` is a free name for a physical table, `etag` the destination's next.
 * Throws `PermanentError` with BigQuery's reason as its code.
 */
export async function copy(
  link: Link,
  spec: CopySpec,
  options: { readonly name: string; readonly etag: string; readonly now: number },
): Promise<Copied> {
  const source = await find(link, spec.source, options.now);
  if (source === undefined)
    throw new PermanentError(`${formatTable(spec.source)}: no such table`, { code: "notFound" });
  if (spec.destination.partition !== undefined)
    return copyPartition(link, spec, source, spec.destination.partition, options);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, source.partitioning)) {
    throw invalid(
      `${formatTable(spec.destination)}: a copy of a whole table has the source's partitioning; load the source with the wanted one`,
    );
  }
  const { dataset, table } = spec.destination;
  const { expiresAt: _, ...copied } = source;
  const expiry = spec.expiresAt === undefined ? {} : { expiresAt: spec.expiresAt };
  const before = await place(link, { ...copied, dataset, table, etag: options.etag, ...expiry });
  return { rows: await count(link, physicalName(source.physical)), before };
}

async function copyPartition(
  link: Link,
  spec: CopySpec,
  source: Entry,
  decorator: string,
  options: { readonly name: string; readonly etag: string; readonly now: number },
): Promise<Copied> {
  const { destination } = spec;
  const shown = formatTable(destination);
  const found = await find(link, destination, options.now);
  if (
    found !== undefined &&
    found.physical === source.physical &&
    source.table === found.table &&
    source.dataset === found.dataset
  ) {
    throw invalid(`${shown}: a table cannot be copied into its own partition`);
  }
  const partitioning = found?.partitioning ?? (found === undefined ? spec.partitioning : undefined);
  if (partitioning === undefined) throw invalid(`${shown}: the table is not partitioned`);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, partitioning)) {
    throw invalid(`${shown}: the table is partitioned otherwise than the copy says`);
  }
  const schema = found?.schema ?? source.schema;
  checkFits(source.schema, schema, shown);
  const partition = partitionOf(decorator, partitioning, schema);
  const from = physicalName(source.physical);
  if (!isIngestionTime(partitioning)) {
    const outside = await count(link, `${from} WHERE NOT coalesce(${partition.contains}, false)`);
    if (outside > 0)
      throw invalid(`${shown}: ${outside} rows of ${formatTable(spec.source)} are not of this partition`);
  }
  const physical = await ownTable(link, found, schema, partitioning, partition.contains, options.name);
  const columns = source.schema.map((column) => quoteName(column.name));
  const stamp = isIngestionTime(partitioning)
    ? { column: [quoteName(partitionTime)], value: [partition.start] }
    : { column: [], value: [] };
  // A repeated column that the source lacks is empty, not null.
  const empty = schema.filter(
    (column) => column.mode === "REPEATED" && !byName(source.schema).has(column.name.toLowerCase()),
  );
  const targets = [...columns, ...stamp.column, ...empty.map((column) => quoteName(column.name))];
  const values = [...columns, ...stamp.value, ...empty.map(() => "[]")];
  const [inserted] = await link.run(
    `INSERT INTO ${physicalName(physical)} (${targets.join(", ")}) SELECT ${values.join(", ")} FROM ${from}`,
  );
  const expiresAt = spec.expiresAt ?? found?.expiresAt;
  const before = await place(link, {
    dataset: destination.dataset,
    table: destination.table,
    physical,
    schema,
    partitioning,
    etag: options.etag,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  });
  return { rows: Number(inserted?.["Count"]), before };
}

/** A physical table that the destination alone refers to, without the rows of the partition. */
async function ownTable(
  link: Link,
  found: Entry | undefined,
  schema: readonly Column[],
  partitioning: Entry["partitioning"],
  contains: string,
  name: string,
): Promise<string> {
  if (found === undefined) {
    const columns = schema.map((column) => `${quoteName(column.name)} ${storedType(column)}`);
    if (isIngestionTime(partitioning)) columns.push(`${quoteName(partitionTime)} TIMESTAMPTZ`);
    await link.run(`CREATE TABLE ${physicalName(name)} (${columns.join(", ")})`);
    return name;
  }
  if ((await references(link, found.physical)) > 1) {
    await link.run(
      `CREATE TABLE ${physicalName(name)} AS SELECT * FROM ${physicalName(found.physical)} WHERE NOT coalesce(${contains}, false)`,
    );
    return name;
  }
  await link.run(`DELETE FROM ${physicalName(found.physical)} WHERE ${contains}`);
  return found.physical;
}

/** BigQuery's copy changes no schema: every column of the source is in the destination, of the same type and mode. */
function checkFits(source: readonly Column[], destination: readonly Column[], shown: string): void {
  const known = byName(destination);
  for (const column of source) {
    const target = known.get(column.name.toLowerCase());
    const name = JSON.stringify(column.name);
    if (target === undefined)
      throw invalid(`${shown}: the source's column ${name} is not in the table; extend the table first`);
    if (storedType(column) !== storedType(target) || column.type !== target.type) {
      throw invalid(`${shown}: the column ${name} is ${spell(target)}, and ${spell(column)} in the source`);
    }
    if (target.mode === "REQUIRED" && column.mode !== "REQUIRED")
      throw invalid(`${shown}: the column ${name} is required, and nullable in the source`);
  }
  const given = byName(source);
  const missing = destination.find((column) => column.mode === "REQUIRED" && !given.has(column.name.toLowerCase()));
  if (missing !== undefined)
    throw invalid(`${shown}: the required column ${JSON.stringify(missing.name)} is not in the source`);
}

function spell(column: Column): string {
  const fields =
    column.type === "STRUCT"
      ? `<${(column.fields ?? []).map((field) => `${field.name} ${spell(field)}`).join(", ")}>`
      : "";
  return `${column.mode === "REPEATED" ? "repeated " : ""}${column.type}${fields}`;
}

async function count(link: Link, relation: string): Promise<number> {
  const [row] = await link.run(`SELECT count(*) AS n FROM ${relation}`);
  return Number(row?.["n"]);
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
