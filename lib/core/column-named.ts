import type { AssetKey } from "./asset-key.ts";
import { DefinitionError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";
import type { Column } from "./table.ts";

/** The column of the asset's schema, letter case aside. Throws `DefinitionError`, at `where`, with the nearest one. */
export function columnNamed(key: AssetKey, where: string, name: string, columns: readonly Column[]): Column {
  const found = columns.find((column) => column.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  const remedy = didYouMean(
    name,
    columns.map((column) => column.name),
  );
  throw new DefinitionError(`the schema of ${key} has no column ${JSON.stringify(name)}`, {
    where,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
