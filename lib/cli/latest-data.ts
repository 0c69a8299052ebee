/** What `show` tells of an asset's data: the newest materialization's rows, columns and metadata, and what its checks said last. */
import type { Metadata, StoredEvent } from "../core/events.ts";
import { namesOf } from "../core/previous-keys.ts";
import type { Named } from "../core/previous-keys.ts";
import type { Column } from "../core/table.ts";
import { metadataLines } from "./metadata-text.ts";
import type { Shell } from "./shell.ts";
import { countText, printTable, timeText } from "./tables.ts";
import type { ReadableStore } from "./workbench.ts";

export type Made = Extract<StoredEvent, { readonly type: "materialized" | "observed" }>;
export type Checked = Extract<StoredEvent, { readonly type: "check.evaluated" }>;

export interface LatestData {
  readonly made: Made | undefined;
  /** The newest result of each check, by its name. */
  readonly checked: ReadonlyMap<string, Checked>;
}

/** How far back results of checks are looked for. */
const RESULTS = 200;

/** `partition`: the key of the newest one; `undefined` for an asset that was never materialized. */
export async function latestData(
  store: ReadableStore,
  asset: Named,
  partition: string | undefined,
): Promise<LatestData> {
  const names = namesOf(asset);
  const { items: last } = await store.history({
    asset: names,
    types: ["materialized", "observed"],
    limit: 1,
    ...(partition === undefined || partition === "" ? {} : { partition }),
  });
  const { items: results } = await store.history({ asset: names, types: ["check.evaluated"], limit: RESULTS });
  const checked = new Map<string, Checked>();
  for (const event of results) {
    if (event.type === "check.evaluated" && !checked.has(event.result.check)) checked.set(event.result.check, event);
  }
  return { made: last.find((event) => event.type === "materialized" || event.type === "observed"), checked };
}

/** What is said of the data, as JSON. */
export function madeValue(made: Made | undefined): {
  readonly rows?: number;
  readonly schema?: readonly Column[];
  readonly metadata?: Metadata;
} {
  if (made === undefined) return {};
  const { metadata } = made;
  const { rows, schema } = made.type === "materialized" ? made : {};
  return {
    ...(rows === undefined ? {} : { rows }),
    ...(schema === undefined ? {} : { schema }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** What the check said last, in words. */
export function resultText(event: Checked | undefined): string {
  if (event === undefined) return "not evaluated yet";
  const { passed, message } = event.result;
  const where = event.partition === undefined ? "" : ` for ${event.partition}`;
  const why = passed || message === undefined ? "" : `: ${message}`;
  return `${passed ? "passed" : "failed"}${where} at ${timeText(event.at)} UTC${why}`;
}

/** A STRUCT is followed by its fields, each by its path. */
function columnRows(columns: readonly Column[], path = ""): readonly Column[] {
  return columns.flatMap((column) => {
    const name = `${path}${column.name}`;
    return [{ ...column, name }, ...columnRows(column.fields ?? [], `${name}.`)];
  });
}

/** The columns, and all metadata of the newest data and of the checks. Nothing where there is none. */
export function printLatestData(shell: Shell, { made, checked }: LatestData): void {
  const { paint } = shell;
  const { rows, schema, metadata = {} } = madeValue(made);
  if (schema !== undefined && schema.length > 0) {
    const count = rows === undefined ? "" : ` of ${countText(rows, "row")}`;
    shell.print();
    shell.print(paint("bold", `Columns${count}`));
    printTable(
      shell,
      columnRows(schema).map(({ name, type, mode }) => [
        name,
        type,
        { text: mode === "NULLABLE" ? "" : mode, style: "dim" },
      ]),
    );
  }
  const said: (readonly [string, Metadata])[] = [
    ["Metadata", metadata],
    ...[...checked].map(([name, { result }]) => [`Metadata of the check ${name}`, result.metadata ?? {}] as const),
  ];
  for (const [title, values] of said) {
    if (Object.keys(values).length === 0) continue;
    shell.print();
    shell.print(paint("bold", title));
    for (const line of metadataLines(values, paint)) shell.print(line);
  }
}
