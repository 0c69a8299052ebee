/** The asset that is one statement: all data, no code of the author. Its references are its dependencies. */
import type { z } from "zod";
import { defineAsset } from "./asset.ts";
import type { AssetDefinition, CommonOptions, MaterializeContext, MaterializeResult, TypedAsset } from "./asset.ts";
import { assetKey } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { columnNamed } from "./column-named.ts";
import { columnsOf } from "./columns.ts";
import { DefinitionError, PermanentError, within } from "./errors.ts";
import { timePartitioningType } from "./interval.ts";
import { checkClustering, checkPartitioning } from "./io-manager.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, number, oneOf, optional, text, texts } from "./options.ts";
import type { Shape } from "./options.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import { checkPlaceholder } from "./placeholders.ts";
import { originOf, previousKeysOf } from "./previous-keys.ts";
import { bigquery } from "./resources.ts";
import type { BigQueryResource, StatementLimits } from "./resources.ts";
import { assetsIn, plainSql, sql, valuesIn } from "./sql.ts";
import type { SqlTemplate } from "./sql.ts";
import { didYouMean } from "./suggest.ts";
import type { Column, TableRef, TimePartitioning } from "./table.ts";
import { checkIdentifier } from "./table.ts";
import { tableNamed } from "./target.ts";
import type { Target } from "./target.ts";

/**
 * What a run's rows do to the table:
 * - `table`: they replace it, its columns included; the default without time partitions.
 * - `insert_overwrite`: they replace the run's partition of it; the default with time partitions, and only with these.
 * - `append`: they are added, each run's once. With time partitions the same as `insert_overwrite`, so that nothing is twice.
 * - `{ merge: ["day"] }`: a row whose key is there takes that row's place, any other is added. Rows are never removed.
 * - `"view"`: nothing is stored; the statement itself becomes a view.
 */
export type Materialization<K extends string = string> =
  "table" | "insert_overwrite" | "append" | "view" | { readonly merge: readonly K[] };

type Schema = z.ZodObject;
type ColumnNames<S extends Schema> = string extends keyof z.output<S> ? string : Extract<keyof z.output<S>, string>;
type None = Record<never, never>;
type Partitions = PartitionsDefinition | undefined;

export interface SqlAssetOptions<S extends Schema, C extends z.ZodObject | undefined, P extends Partitions>
  extends Omit<CommonOptions<None, C, P, None>, "inputs" | "resources" | "source" | "retention">, StatementLimits {
  /** One query. The assets in it are dependencies; `deps` adds others, and says by `dependsOn` which partitions are meant. */
  readonly sql: SqlTemplate;
  /** The columns that readers may rely on: a run whose rows lack one, or have it in another type, publishes nothing. */
  readonly schema?: S;
  /** `"dataset.table"`, `"project.dataset.table"`, or its parts. Default: by the key, `a/b/c` is table `c` of dataset `a_b`. */
  readonly target?: string | TableRef;
  readonly materialization?: Materialization<ColumnNames<NoInfer<S>>>;
  /** The DATE, DATETIME or TIMESTAMP column that partitions the table. Default: time of ingestion for `insert_overwrite`, else none. */
  readonly partitionBy?: ColumnNames<NoInfer<S>>;
  /** Up to four columns by which rows are kept together. */
  readonly clusterBy?: readonly ColumnNames<NoInfer<S>>[];
  /** What a changed statement may do to the columns of a table that keeps rows. Default `fail`; `table` and `view` replace them. */
  readonly schemaChange?: "extend" | "fail";
}

const OPTIONS: Shape<keyof SqlAssetOptions<Schema, z.ZodObject | undefined, Partitions>> = {
  ...rules.about,
  ...rules.work,
  sql: rules.statement,
  schema: optional(rules.zodObject),
  target: optional(rules.table),
  materialization: optional(rules.materialization),
  partitionBy: optional(text),
  clusterBy: optional(texts),
  schemaChange: optional(oneOf(["extend", "fail"])),
  maximumBytesBilled: optional(number),
};

/**
 * An asset by its SQL. Each run makes a staging table of the statement's rows, checks it and publishes it atomically, exactly
 * once. Throws `DefinitionError` for a table, column or placeholder that cannot be, and for an impossible materialization.
 */
export function sqlAsset<
  S extends Schema = Schema,
  C extends z.ZodObject | undefined = undefined,
  P extends Partitions = undefined,
>(options: SqlAssetOptions<S, C, P>): TypedAsset<S, None, C, P, None> {
  checkOptions(rules.assetName(options), options, OPTIONS);
  const key = assetKey(options.key);
  return within(key, () => definitionOf(key, options));
}

function definitionOf<S extends Schema, C extends z.ZodObject | undefined, P extends Partitions>(
  key: AssetKey,
  options: SqlAssetOptions<S, C, P>,
): AssetDefinition<S> {
  const { sql: statement, materialization, target, partitionBy, clusterBy, ...rest } = options;
  const { schemaChange, maximumBytesBilled, deps = [], ...common } = rest;
  const { partitions, schema, config } = options;
  checkValues(statement, partitions, config);
  const columns = schema === undefined ? undefined : columnsOf(schema);
  const previousKeys = options.previousKeys === undefined ? undefined : previousKeysOf(key, options.previousKeys);
  const resolved = sqlTarget(key, originOf({ key, previousKeys }), columns, options);
  const data = plainSql(statement);
  const limits = maximumBytesBilled === undefined ? {} : { maximumBytesBilled };
  const definition = defineAsset({
    ...common,
    key,
    sql: data,
    target: resolved,
    deps: [...assetsIn(statement), ...deps],
    resources: { bigquery: bigquery(limits) },
    materialize: (context: MaterializeContext<never, never>, resources: { readonly bigquery?: unknown }) =>
      // The one resource that is declared above.
      stage(resolved, data, columns, context, resources.bigquery as BigQueryResource | undefined),
  });
  // The schema that went in is the one that is there.
  return definition as AssetDefinition<S>;
}

function checkValues(
  statement: SqlTemplate,
  partitions: PartitionsDefinition | undefined,
  config: z.ZodObject | undefined,
): void {
  const fields = Object.keys(config?.shape ?? {});
  for (const value of valuesIn(statement)) {
    if (value !== null && typeof value === "object" && "kind" in value && value.kind === "placeholder")
      checkPlaceholder(value, { partitions, fields });
  }
}

type Layout = Pick<
  SqlAssetOptions<Schema, undefined, undefined>,
  "target" | "materialization" | "partitionBy" | "clusterBy" | "schemaChange" | "sql"
> & { readonly partitions?: Partitions };

function sqlTarget(key: AssetKey, origin: AssetKey, columns: readonly Column[] | undefined, options: Layout): Target {
  const { partitions, partitionBy, clusterBy, schemaChange } = options;
  const time = partitions?.kind === "time";
  const kind = materializationOf(key, options);
  const type = time ? timePartitioningType(partitions.interval) : "DAY";
  if (columns !== undefined) {
    if (clusterBy !== undefined) checkClustering(key, clusterBy, columns);
    if (partitionBy !== undefined) checkPartitioning(key, partitionBy, type, columns);
    if (typeof kind === "object") for (const name of kind.merge) checkKey(columnNamed(key, "merge", name, columns));
  }
  const partitioning: TimePartitioning | undefined =
    partitionBy !== undefined ? { type, column: partitionBy } : kind === "insert_overwrite" ? { type } : undefined;
  const replaced = kind === "table" || kind === "view";
  if (replaced && schemaChange !== undefined)
    throw new DefinitionError(`${key} is made anew by each run, columns and all, so schemaChange has no meaning`, {
      remedy: "leave it out",
    });
  return {
    table: tableNamed(options.target, origin, 'name the table by target: "dataset.table"'),
    slot: kind === "insert_overwrite" ? "partition" : "table",
    ...(kind === "table" || kind === "insert_overwrite" ? {} : { publish: kind }),
    ...(partitioning === undefined ? {} : { partitioning }),
    ...(clusterBy === undefined || clusterBy.length === 0
      ? {}
      : { clustering: clusterBy.map((name) => checkIdentifier(name, "column")) }),
    ...(replaced ? { schemaChange: "replace" } : schemaChange === undefined ? {} : { schemaChange }),
  };
}

const KINDS: readonly string[] = ["table", "insert_overwrite", "append", "view"];

/** The materialization as it works: `append` with time partitions is `insert_overwrite`. */
function materializationOf(key: AssetKey, options: Layout): Materialization {
  const { materialization, partitions } = options;
  const time = partitions?.kind === "time";
  if (materialization === undefined && partitions?.kind === "static")
    throw new DefinitionError(`${key} has static partitions, which a table cannot keep apart`, {
      remedy: 'merge them by a key, or let each run replace the table: materialization: "table"',
    });
  const kind = materialization ?? (time ? "insert_overwrite" : "table");
  // Code without types may say anything.
  if (typeof kind === "string" && !KINDS.includes(kind))
    throw new DefinitionError(`${key} has the unknown materialization ${JSON.stringify(kind)}`, {
      remedy: didYouMean(kind, KINDS) ?? `use ${KINDS.join(", ")} or { merge: [...] }`,
    });
  if (kind === "append" && time) return "insert_overwrite";
  if (kind === "insert_overwrite" && !time)
    throw new DefinitionError(`${key} has no time partitions that insert_overwrite could replace`, {
      remedy: 'give it partitions, or use materialization: "table"',
    });
  if (kind === "view") checkView(key, options);
  return kind;
}

/** A view is a statement without a run: it has no partition, no parameters and no rows of its own. */
function checkView(key: AssetKey, { sql: statement, partitions, partitionBy, clusterBy }: Layout): void {
  const refuse = (what: string, remedy: string): never => {
    throw new DefinitionError(`${key} is a view, which ${what}`, { remedy });
  };
  if (partitions !== undefined) refuse("has no partitions", 'leave them out, or use materialization: "table"');
  if (partitionBy !== undefined || clusterBy !== undefined)
    refuse("stores no rows", "leave partitionBy and clusterBy out");
  const isValue = (value: unknown): boolean =>
    value === null || typeof value !== "object" || !("kind" in value) || value.kind === "placeholder";
  if (valuesIn(statement).some(isValue)) refuse("takes no values", "write them as literals in its SQL");
}

/** What neither `=` nor GROUP BY takes, and FLOAT64, whose NaN never equals itself. */
const NO_KEYS: ReadonlySet<Column["type"]> = new Set(["FLOAT64", "JSON", "GEOGRAPHY", "STRUCT"]);

function checkKey({ name, type, mode }: Column): void {
  if (!NO_KEYS.has(type) && mode !== "REPEATED") return;
  throw new DefinitionError(`rows cannot be merged by ${name}, which is ${mode} ${type}`, {
    where: "merge",
    remedy: "use texts, whole numbers, decimals, booleans, dates and timestamps",
  });
}

async function stage(
  { publish, partitioning, clustering }: Target,
  statement: SqlTemplate,
  columns: readonly Column[] | undefined,
  { target }: Pick<MaterializeContext<never, never>, "target">,
  client: BigQueryResource | undefined,
): Promise<MaterializeResult> {
  if (client === undefined)
    throw new DefinitionError("a sqlAsset has no code that could run without a warehouse", {
      remedy: "try it with sluice materialize",
    });
  if (publish === "view") {
    await placed(client.run(sql`CREATE OR REPLACE VIEW ${target} AS\n${statement}`));
    return {};
  }
  let by = sql``;
  if (partitioning?.column !== undefined) {
    const { column, type } = partitioning;
    const named = (one: Column): boolean => one.name.toLowerCase() === column.toLowerCase();
    const found = columns?.find(named) ?? (await client.dryRun(statement)).schema.find(named);
    by = sql` PARTITION BY ${partitionExpression(column, type, found)}`;
  }
  if (clustering !== undefined) by = sql`${by} CLUSTER BY ${commas(clustering)}`;
  const { bytesBilled } = await placed(client.run(sql`CREATE OR REPLACE TABLE ${target}${by} AS\n${statement}`));
  return { metadata: { bytesBilled } };
}

/** The author's statement begins a line of its own, so that places which the warehouse names are one line too far, and no column. */
async function placed<T>(job: Promise<T>): Promise<T> {
  try {
    return await job;
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    const message = error.message.replace(
      /^(line )(\d+)(?=, column \d)|( at \[)(\d+)(?=:\d+\])/g,
      (_, engine?: string, there?: string, bigquery?: string, here?: string) =>
        `${engine ?? bigquery ?? ""}${Math.max(1, Number(there ?? here) - 1)}`,
    );
    throw new PermanentError(message, { code: error.code, cause: error });
  }
}

/** As BigQuery writes it. A column that is not there, or of no such type, is for the warehouse to name. */
function partitionExpression(name: string, by: TimePartitioning["type"], column: Column | undefined): SqlTemplate {
  const type = column?.type === "TIMESTAMP" || column?.type === "DATETIME" ? column.type : "DATE";
  if (type === "DATE" && by === "DAY") return sql`${sql.id(name)}`;
  // The unit is a keyword, and no value.
  return { kind: "sql", strings: [`${type}_TRUNC(`, `, ${by})`], values: [sql.id(name)] };
}

function commas(names: readonly string[]): SqlTemplate {
  return names.map((name) => sql`${sql.id(name)}`).reduce((list, name) => sql`${list}, ${name}`);
}
