/** Asset checks: what must hold of the data before it is published (blocking) or is worth a warning. */
import type { z } from "zod";
import { checkName } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { Branded } from "./definition.ts";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import { columnsOf } from "./columns.ts";
import type { CheckAnswer, CheckContext, CheckedRow, FunctionRule, TakenByCheck } from "./function-check.ts";
import { columnNamed } from "./column-named.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, fields, flag, number, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import type { ResourceClients, ResourceMap } from "./resources.ts";
import type { SqlTemplate } from "./sql.ts";
import { checkIdentifier } from "./table.ts";

/** How a check looks at the staged rows. */
export type CheckRule =
  /** Every returned row is a failure. The asset's own rows are the staged ones. */
  | { readonly kind: "no-rows"; readonly sql: SqlTemplate }
  /** Both bounds inclusive. Counted from the table's own metadata, without a query; of a view, by one. */
  | { readonly kind: "row-count"; readonly min?: number; readonly max?: number }
  /** Every row's value of `column` lies in the partition's window. */
  | { readonly kind: "in-partition"; readonly column: string }
  /** None of the columns is NULL in any row. */
  | { readonly kind: "not-null"; readonly columns: readonly string[] }
  /** No two rows agree in all of the columns. NULL agrees with NULL. */
  | { readonly kind: "unique"; readonly columns: readonly string[] }
  /** No two rows agree in all of the columns, and none of these is NULL in any row. */
  | { readonly kind: "key"; readonly columns: readonly string[] }
  /** Every value of `column` is one of `to` in the other asset's table. NULL is no value. */
  | { readonly kind: "references"; readonly column: string; readonly asset: AssetKey; readonly to: string }
  /** The newest value of `column` is not older than this, counted back from when the run was requested. */
  | { readonly kind: "fresh-within"; readonly column: string; readonly duration: Duration }
  /** Code says whether the rows are right. */
  | FunctionRule;

export interface InlineCheck {
  readonly name: string;
  /** A blocking check that fails keeps the data from being published. Default false. */
  readonly blocking: boolean;
  /** Default `error`. */
  readonly severity: "warn" | "error";
  readonly rule: CheckRule;
  readonly description?: string;
}

export interface AssetCheckDefinition extends Branded<"check">, InlineCheck {
  readonly asset: AssetKey;
}

interface Common<A> {
  readonly asset: A;
  readonly name: string;
  /** Default false. */
  readonly blocking?: boolean;
  readonly severity?: "warn" | "error";
  readonly description?: string;
}

type Checked = { readonly key: AssetKey };
type None = Record<never, never>;

/** Exactly one of `sql`, `rowCount` and `evaluate` is given. */
export interface AssetCheckOptions extends Common<Checked> {
  /** Rows returned are failures. */
  readonly sql?: SqlTemplate;
  readonly rowCount?: { readonly min?: number; readonly max?: number };
  readonly evaluate?: undefined;
}

export interface FunctionCheckOptions<
  A extends Checked = Checked,
  R extends ResourceMap = ResourceMap,
> extends Common<A> {
  readonly sql?: undefined;
  readonly rowCount?: undefined;
  /** What the check touches besides the rows. The asset's function gets what they need, because the check runs there. */
  readonly resources?: R;
  /**
   * Looks at the staged rows. A `PermanentError` that it throws is a failure of the check, and recorded as one; with any other
   * error the run is tried again. Called at least once for each run.
   */
  evaluate(context: CheckContext<CheckedRow<A>>, resources: ResourceClients<R>): CheckAnswer | Promise<CheckAnswer>;
}

const SETTINGS: Shape<keyof CheckSettings> = {
  name: optional(text),
  blocking: optional(flag),
  severity: rules.severity,
  description: optional(text),
};
const CUSTOM: Shape<keyof CustomCheckSettings> = {
  ...withoutName(SETTINGS),
  resources: rules.hands.resources,
  schema: optional(rules.zodObject),
};
const BOUNDS = fields({ min: optional(number), max: optional(number) });
const OPTIONS: Shape<keyof AssetCheckOptions | keyof FunctionCheckOptions> = {
  ...SETTINGS,
  name: text,
  asset: rules.keyed,
  sql: optional(rules.statement),
  rowCount: optional(BOUNDS),
  evaluate: optional(code),
  resources: rules.hands.resources,
};

function withoutName({ name, ...rest }: typeof SETTINGS): Omit<typeof SETTINGS, "name"> {
  return rest;
}

/** A check of an asset's rows, defined beside the asset or in another file. Throws `DefinitionError`. */
export function assetCheck<A extends Checked, const R extends ResourceMap = None>(
  options: FunctionCheckOptions<A, R>,
): AssetCheckDefinition & TakenByCheck<R, CheckedRow<A>>;
export function assetCheck(options: AssetCheckOptions): AssetCheckDefinition;
export function assetCheck(options: AssetCheckOptions | FunctionCheckOptions): AssetCheckDefinition {
  checkOptions(rules.nameIn("check", options), options, OPTIONS);
  const rule = ruleOf(options);
  return Object.freeze({
    [brand]: true as const,
    kind: "check" as const,
    asset: options.asset.key,
    ...inline({ ...options, rule }),
  });
}

/** An inline check with its defaults filled in. */
export function inline(options: {
  readonly name: string;
  readonly blocking?: boolean;
  readonly severity?: "warn" | "error";
  readonly description?: string;
  readonly rule: CheckRule;
}): InlineCheck {
  return {
    name: checkName(options.name, "check"),
    blocking: options.blocking ?? false,
    severity: options.severity ?? "error",
    rule: options.rule,
    ...(options.description === undefined ? {} : { description: options.description }),
  };
}

interface Looks {
  readonly name: string;
  readonly sql?: SqlTemplate | undefined;
  readonly rowCount?: { readonly min?: number; readonly max?: number } | undefined;
  readonly resources?: ResourceMap;
  readonly evaluate?: FunctionRule["evaluate"] | undefined;
}

function ruleOf({ name, sql, rowCount, evaluate, resources = {} }: Looks): CheckRule {
  if ([sql, rowCount, evaluate].filter((given) => given !== undefined).length !== 1) {
    throw new DefinitionError(`the check ${name} needs exactly one of sql, rowCount and evaluate`, {
      remedy: "give one",
    });
  }
  if (sql !== undefined) return { kind: "no-rows", sql };
  if (evaluate !== undefined) return { kind: "function", resources, evaluate };
  const { min, max } = rowCount ?? {};
  const bounds = [min, max].filter((bound) => bound !== undefined);
  const usable = bounds.length > 0 && bounds.every((bound) => Number.isSafeInteger(bound) && bound >= 0);
  if (!usable || (max ?? Infinity) < (min ?? 0)) {
    throw new DefinitionError(`the check ${name} has no usable bounds`, {
      remedy: "give rowCount a min, a max, or both, as whole numbers",
    });
  }
  return { kind: "row-count", ...rowCount };
}

/** What every `check.…` takes besides what it looks at. */
export interface CheckSettings {
  /** Default: after what it looks at, e.g. `unique_day`. */
  readonly name?: string;
  /** Default true, or false with `severity: "warn"`. */
  readonly blocking?: boolean;
  /** Default `error`. */
  readonly severity?: "warn" | "error";
  readonly description?: string;
}

export interface CustomCheckSettings<
  R extends ResourceMap = ResourceMap,
  S extends z.ZodObject = z.ZodObject,
> extends Omit<CheckSettings, "name"> {
  /** What the check touches besides the rows; the asset's function gets what they need. */
  readonly resources?: R;
  /** What `rows()` are decoded by, and typed. Default: the asset's own schema, untyped. */
  readonly schema?: S;
}

/** The usual checks, for an asset's `checks`. Each throws `DefinitionError` for an illegal column, bound or duration. */
export const check = Object.freeze({
  /** Rows that the query returns are failures; the asset itself is referred to by its definition. */
  noRows: (name: string, sql: SqlTemplate, settings: CheckSettings = {}): InlineCheck =>
    usual(name, { kind: "no-rows", sql: statementOf(name, sql) }, settings),
  notNull: (columns: string | readonly string[], settings: CheckSettings = {}): InlineCheck =>
    usual(`not_null_${joined(columns)}`, { kind: "not-null", columns: columnsIn(columns) }, settings),
  unique: (columns: string | readonly string[], settings: CheckSettings = {}): InlineCheck =>
    usual(`unique_${joined(columns)}`, { kind: "unique", columns: columnsIn(columns) }, settings),
  /** Both bounds inclusive. */
  rowCount: (rowCount: { readonly min?: number; readonly max?: number }, settings: CheckSettings = {}): InlineCheck =>
    usual("row_count", ruleOf({ name: settings.name ?? "row_count", rowCount }), settings),
  /** `check.references("address", scores.asset, "address")`: the other asset must be a dependency. */
  references: (
    column: string,
    asset: { readonly key: AssetKey; readonly schema?: z.ZodObject },
    to = column,
    settings: CheckSettings = {},
  ): InlineCheck => {
    checkOptions(`check references_${column}`, { asset }, { asset: rules.keyed });
    if (asset.schema !== undefined) columnNamed(asset.key, `references_${column}`, to, columnsOf(asset.schema));
    const rule = {
      kind: "references" as const,
      column: checkIdentifier(column, "column"),
      asset: asset.key,
      to: checkIdentifier(to, "column"),
    };
    return usual(`references_${column}`, rule, settings);
  },
  freshWithin: (column: string, duration: Duration, settings: CheckSettings = {}): InlineCheck => {
    durationMs(duration);
    return usual(
      `fresh_${column}`,
      { kind: "fresh-within", column: checkIdentifier(column, "column"), duration },
      settings,
    );
  },
  /** Code that looks at the staged rows: `assetCheck`'s `evaluate`, where the asset is not defined yet. */
  custom: <const R extends ResourceMap = None, S extends z.ZodObject = z.ZodObject>(
    name: string,
    evaluate: (context: CheckContext<z.output<S>>, resources: ResourceClients<R>) => CheckAnswer | Promise<CheckAnswer>,
    settings: CustomCheckSettings<R, S> = {},
  ): InlineCheck & TakenByCheck<R, z.output<S>> => {
    checkOptions(`check ${name}`, settings, CUSTOM);
    checkOptions(`check ${name}`, { evaluate }, { evaluate: code });
    const { resources = {}, schema, ...rest } = settings;
    // The runtime hands in the rows of the schema and the clients that the resources describe; the types meet again there.
    const asked = evaluate as FunctionRule["evaluate"];
    return usual(name, { kind: "function", resources, schema, evaluate: asked }, rest);
  },
});

function statementOf(name: string, sql: SqlTemplate): SqlTemplate {
  checkOptions(`check ${name}`, { sql }, { sql: rules.statement });
  return sql;
}

function usual(name: string, rule: CheckRule, settings: CheckSettings): InlineCheck {
  checkOptions(`check ${name}`, settings, SETTINGS);
  const blocking = settings.blocking ?? settings.severity !== "warn";
  return inline({ name, ...settings, blocking, rule });
}

function columnsIn(columns: string | readonly string[]): readonly string[] {
  const list = typeof columns === "string" ? [columns] : columns;
  if (list.length === 0) throw new DefinitionError("a check needs at least one column", { remedy: "name it" });
  return list.map((column) => checkIdentifier(column, "column"));
}

function joined(columns: string | readonly string[]): string {
  return typeof columns === "string" ? columns : columns.join("_");
}
