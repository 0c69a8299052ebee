/** Values that are known only when a run starts, and stand in a definition's SQL until then. */
import { DefinitionError } from "./errors.ts";
import type { Partition, PartitionsDefinition } from "./partitions.ts";
import { placeholderName } from "./sql.ts";
import type { SqlPlaceholder, SqlScalar } from "./sql.ts";
import { didYouMean } from "./suggest.ts";

const ofPartition = <N extends string>(name: N): SqlPlaceholder & { readonly name: N } =>
  Object.freeze({ kind: "placeholder" as const, of: "partition" as const, name });

/**
 * The partition of the run, in the SQL of a `sqlAsset` or of a check: `` sql`WHERE day = ${partition.key}` ``. All three are texts,
 * which GoogleSQL takes for a DATE, DATETIME or TIMESTAMP wherever it expects one: a parameter of type STRING is coerced as a
 * literal is. So `key` of a day or a week's Monday compares with a column of either type, and so do `start` (inclusive) and
 * `end` (exclusive): a date, `2024-05-01`, and for hours `2024-05-01 13:00:00`, in UTC.
 */
export const partition = Object.freeze({
  key: ofPartition("key"),
  start: ofPartition("start"),
  end: ofPartition("end"),
});

/** What the placeholders of a run stand for. Throws `DefinitionError` for one that has no value in it. */
export function placeholderValues(
  of: Partition | undefined,
  config: unknown,
): (placeholder: SqlPlaceholder) => SqlScalar | readonly SqlScalar[] {
  return (placeholder) => {
    const value =
      placeholder.of === "partition" ? partitionValue(of, placeholder.name) : field(config, placeholder.name);
    if (value !== undefined) return value;
    throw new DefinitionError(`${placeholderName(placeholder)} has no value in this run`, {
      remedy: "use a value that the asset's partitions or config have",
    });
  };
}

const DAY_MS = 86_400_000;

function partitionValue(of: Partition | undefined, name: string): string | undefined {
  if (of === undefined || name === "key") return of?.key;
  const { start, end } = of;
  const at = name === "start" ? start : end;
  if (start === undefined || end === undefined || at === undefined) return undefined;
  const iso = new Date(at).toISOString();
  return end - start < DAY_MS ? iso.slice(0, 19).replace("T", " ") : iso.slice(0, 10);
}

function field(config: unknown, name: string): SqlScalar | readonly SqlScalar[] | undefined {
  // The config was parsed by its schema, and an object that is no value is refused where the statement is rendered.
  return (config as Readonly<Record<string, SqlScalar>> | undefined)?.[name];
}

/** Throws `DefinitionError` for a placeholder that no run of such an asset has a value for. */
export function checkPlaceholder(
  placeholder: SqlPlaceholder,
  asset: { readonly partitions: PartitionsDefinition | undefined; readonly fields: readonly string[] },
): void {
  const { of, name } = placeholder;
  const shown = placeholderName(placeholder);
  if (of === "config") {
    if (asset.fields.includes(name)) return;
    const remedy = didYouMean(name, asset.fields) ?? "declare it by config: z.object({ … })";
    throw new DefinitionError(`the SQL asks for ${shown}, which the config does not have`, { remedy });
  }
  if (asset.partitions === undefined)
    throw new DefinitionError(`the SQL asks for ${shown}, but the asset has no partitions`, {
      remedy: "give it partitions, such as daily()",
    });
  if (name !== "key" && asset.partitions.kind !== "time")
    throw new DefinitionError(`the SQL asks for ${shown}, but only time partitions have one`, {
      remedy: "use partition.key",
    });
}
