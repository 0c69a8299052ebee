/** Asset checks: what must hold of the data before it is published (blocking) or is worth a warning. */
import { checkName } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { Branded } from "./definition.ts";
import { DefinitionError } from "./errors.ts";
import type { SqlTemplate } from "./sql.ts";

/** How a check looks at the staged rows. */
export type CheckRule =
  /** Every returned row is a failure. The asset's own rows are the staged ones. */
  | { readonly kind: "no-rows"; readonly sql: SqlTemplate }
  /** Both bounds inclusive. Counted from the table's own metadata, without a query. */
  | { readonly kind: "row-count"; readonly min?: number; readonly max?: number }
  /** Every row's value of `column` lies in the partition's window. */
  | { readonly kind: "in-partition"; readonly column: string };

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

function ruleOf(options: AssetCheckOptions): CheckRule {
  const { sql, rowCount } = options;
  if ((sql === undefined) === (rowCount === undefined)) {
    throw new DefinitionError(`the check ${options.name} needs exactly one of sql and rowCount`, {
      remedy: "give one",
    });
  }
  if (sql !== undefined) return { kind: "no-rows", sql };
  const { min, max } = rowCount ?? {};
  if ((min === undefined && max === undefined) || (min ?? 0) < 0 || (max ?? Infinity) < (min ?? 0)) {
    throw new DefinitionError(`the check ${options.name} has no usable bounds`, {
      remedy: "give rowCount a min, a max, or both",
    });
  }
  return { kind: "row-count", ...rowCount };
}
