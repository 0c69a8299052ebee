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
  return Object.fromEntries(Object.entries(metadata ?? {}).filter(([, value]) => isLong(shown(value))));
}

/** A line for each value, and below those of Markdown and tables their lines. None of them can move a cursor. */
export function metadataLines(metadata: Metadata, paint: Paint): readonly string[] {
  return Object.entries(metadata).flatMap(([name, value]) => {
    const rich = shown(value);
    const title = paint("dim", plain(name));
    if (!isLong(rich)) return [`${title}  ${plain(valueText(value))}`];
    const widest = richValue(value) === undefined ? OWN_CELL : CELL;
    return [title, ...longLines(rich, paint, widest).map((line) => `  ${line}`.trimEnd())];
  });
}

/** What it says of how it is shown; a list of records is a table, though it does not say so. */
function shown(value: MetadataValue): RichValue | undefined {
  const rich = richValue(value);
  if (rich !== undefined || !Array.isArray(value) || value.length === 0 || !value.every(isRecord)) return rich;
  return { $kind: "table", columns: [...new Set(value.flatMap((row) => Object.keys(row)))], rows: value };
}

function isRecord(value: MetadataValue): value is { readonly [name: string]: MetadataValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueText(value: MetadataValue): string {
  const rich = shown(value);
  if (rich === undefined) return plainText(value);
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

/** A list of texts and numbers needs no brackets. */
function plainText(value: MetadataValue): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value) || value.some((item) => typeof item === "object")) return JSON.stringify(value);
  return value.length === 0 ? "none" : value.map(String).join(", ");
}

type Long = Exclude<RichValue, { readonly $kind: "link" }>;

function isLong(rich: RichValue | undefined): rich is Long {
  return rich?.$kind === "table" || (rich?.$kind === "markdown" && linesOf(rich.text).length > 1);
}

/** How much of a cell is shown: of an author's table, and of a list whose texts nobody has made for a table. */
const CELL = 60;
const OWN_CELL = 200;

function longLines(rich: Long, paint: Paint, widest: number): readonly string[] {
  if (rich.$kind === "markdown") return linesOf(rich.text).map(plain);
  if (rich.rows.length === 0) return ["no rows"];
  const head = rich.columns.map(plain);
  const rows = rich.rows.map((row) => rich.columns.map((column) => cut(cellText(row[column]), widest)));
  return tableLines(rows, { paint, head });
}

function cellText(value: MetadataValue | undefined): string {
  return value === undefined || value === null ? "" : valueText(value);
}

function cut(text: string, widest: number): string {
  return text.length <= widest ? text : `${text.slice(0, widest - 1)}…`;
}

function linesOf(text: string): readonly string[] {
  return text
    .trimEnd()
    .replaceAll("\t", "    ")
    .split(/\r\n|\r|\n/);
}
