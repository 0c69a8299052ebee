/** Asset checks: what must hold of the data before it is published (blocking) or is worth a warning. */
import { checkName } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { Branded } from "./definition.ts";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { SqlTemplate } from "./sql.ts";
import { checkIdentifier } from "./table.ts";

/** How a check looks at the staged rows. */
export type CheckRule =
  /** Every returned row is a failure. The asset's own rows are the staged ones. */
  | { readonly kind: "no-rows"; readonly sql: SqlTemplate }
  /** Both bounds inclusive. Counted from the table's own metadata, without a query. */
  | { readonly kind: "row-count"; readonly min?: number; readonly max?: number }
  /** Every row's value of `column` lies in the partition's window. */
  | { readonly kind: "in-partition"; readonly column: string }
  /** None of the columns is NULL in any row. */
  | { readonly kind: "not-null"; readonly columns: readonly string[] }
  /** No two rows agree in all of the columns. NULL agrees with NULL. */
  | { readonly kind: "unique"; readonly columns: readonly string[] }
  /** Every value of `column` is one of `to` in the other asset's table. NULL is no value. */
  | { readonly kind: "references"; readonly column: string; readonly asset: AssetKey; readonly to: string }
  /** The newest value of `column` is not older than this, counted back from when the run was requested. */
  | { readonly kind: "fresh-within"; readonly column: string; readonly duration: Duration };

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

export interface AssetCheckOptions {
  readonly asset: { readonly key: AssetKey };
  readonly name: string;
  readonly blocking?: boolean;
  readonly severity?: "warn" | "error";
  readonly description?: string;
  /** Rows returned are failures. Exactly one of `sql` and `rowCount` is given. */
  readonly sql?: SqlTemplate;
  readonly rowCount?: { readonly min?: number; readonly max?: number };
}

/** A check of an asset's rows, defined beside the asset or in another file. Throws `DefinitionError`. */
export function assetCheck(options: AssetCheckOptions): AssetCheckDefinition {
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

function ruleOf(options: Pick<AssetCheckOptions, "name" | "sql" | "rowCount">): CheckRule {
  const { sql, rowCount } = options;
  if ((sql === undefined) === (rowCount === undefined)) {
    throw new DefinitionError(`the check ${options.name} needs exactly one of sql and rowCount`, {
      remedy: "give one",
    });
  }
  if (sql !== undefined) return { kind: "no-rows", sql };
  const { min, max } = rowCount ?? {};
  const bounds = [min, max].filter((bound) => bound !== undefined);
  const usable = bounds.length > 0 && bounds.every((bound) => Number.isSafeInteger(bound) && bound >= 0);
  if (!usable || (max ?? Infinity) < (min ?? 0)) {
    throw new DefinitionError(`the check ${options.name} has no usable bounds`, {
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

/** The usual checks, for an asset's `checks`. Each throws `DefinitionError` for an illegal column, bound or duration. */
export const check = Object.freeze({
  /** Rows that the query returns are failures; the asset itself is referred to by its definition. */
  noRows: (name: string, sql: SqlTemplate, settings: CheckSettings = {}): InlineCheck =>
    usual(name, { kind: "no-rows", sql }, settings),
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
    asset: { readonly key: AssetKey },
    to = column,
    settings: CheckSettings = {},
  ): InlineCheck => {
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
});

function usual(name: string, rule: CheckRule, settings: CheckSettings): InlineCheck {
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
