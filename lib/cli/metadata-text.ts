/** Metadata for people: values on one line, and Markdown and tables on lines of their own. */
import type { Metadata, MetadataValue } from "../core/events.ts";
import { richValue } from "../core/metadata.ts";
import type { RichValue } from "../core/metadata.ts";
import type { Paint } from "./shell.ts";
import { plain } from "./shell.ts";
import { countText, tableLines } from "./tables.ts";

/** On one line, if its own text is: ` rows=5 report=the report <https://…>`, or nothing. */
export function metadataText(metadata: Metadata | undefined): string {
  return Object.entries(metadata ?? {})
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join("");
}

/** Only what takes lines of its own. */
export function longMetadata(metadata: Metadata | undefined): Metadata {
  return Object.fromEntries(Object.entries(metadata ?? {}).filter(([, value]) => isLong(richValue(value))));
}

/** A line for each value, and below those of Markdown and tables their lines. None of them can move a cursor. */
export function metadataLines(metadata: Metadata, paint: Paint): readonly string[] {
  return Object.entries(metadata).flatMap(([name, value]) => {
    const rich = richValue(value);
    const title = paint("dim", plain(name));
    if (!isLong(rich)) return [`${title}  ${plain(valueText(value))}`];
    return [title, ...longLines(rich, paint).map((line) => `  ${line}`.trimEnd())];
  });
}

function valueText(value: MetadataValue): string {
  const rich = richValue(value);
  if (rich === undefined) return typeof value === "string" ? value : JSON.stringify(value);
  switch (rich.$kind) {
    case "link":
      return rich.label === rich.url ? rich.url : `${rich.label} <${rich.url}>`;
    case "markdown": {
      const [first = "", ...more] = linesOf(rich.text);
      return more.length === 0 ? first : `${first}…`;
    }
    case "table":
      return `table of ${countText(rich.rows.length, "row")}`;
  }
}

type Long = Exclude<RichValue, { readonly $kind: "link" }>;

function isLong(rich: RichValue | undefined): rich is Long {
  return rich?.$kind === "table" || (rich?.$kind === "markdown" && linesOf(rich.text).length > 1);
}

/** How much of a cell is shown. */
const CELL = 60;

function longLines(rich: Long, paint: Paint): readonly string[] {
  if (rich.$kind === "markdown") return linesOf(rich.text).map(plain);
  if (rich.rows.length === 0) return ["no rows"];
  const head = rich.columns.map(plain);
  const rows = rich.rows.map((row) => rich.columns.map((column) => cut(cellText(row[column]))));
  return tableLines(rows, { paint, head });
}

function cellText(value: MetadataValue | undefined): string {
  return value === undefined || value === null ? "" : valueText(value);
}

function cut(text: string): string {
  return text.length <= CELL ? text : `${text.slice(0, CELL - 1)}…`;
}

function linesOf(text: string): readonly string[] {
  return text
    .trimEnd()
    .replaceAll("\t", "    ")
    .split(/\r\n|\r|\n/);
}
