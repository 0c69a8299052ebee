/** Metadata values that are more than JSON to whoever shows them: Markdown, links and tables. Each is plain JSON all the same. */
import { PermanentError } from "./errors.ts";
import type { MetadataValue } from "./events.ts";

/** `text` is Markdown. It is shown as text, or rendered without its HTML. */
export type MarkdownValue = { readonly $kind: "markdown"; readonly text: string };

/** `url` begins with `http://` or `https://`. */
export type LinkValue = { readonly $kind: "link"; readonly url: string; readonly label: string };

/** Every row has a value for each of its columns by the column's name; one that it lacks is empty. */
export type TableValue = {
  readonly $kind: "table";
  readonly columns: readonly string[];
  readonly rows: readonly { readonly [column: string]: MetadataValue }[];
};

export type RichValue = MarkdownValue | LinkValue | TableValue;

export const METADATA_LIMITS = Object.freeze({
  markdownChars: 20_000,
  urlChars: 2_000,
  labelChars: 200,
  tableRows: 100,
  tableColumns: 50,
  /** Of the table as JSON. */
  tableChars: 50_000,
});

/**
 * Values for `metadata({ … })`, for what code returns as metadata, for a check's metadata and for the fields of a line in the log:
 * `metadata({ report: meta.link("https://…", "the report"), worst: meta.table(rows) })`. In an event they are the plain JSON of
 * `MarkdownValue`, `LinkValue` and `TableValue`, which is what a viewer goes by. Each throws `PermanentError` (`bad-metadata`)
 * for what is larger than an event should be, and for an address that is no web address.
 */
export const meta = Object.freeze({
  /** At most 20,000 characters. */
  markdown(text: string): MarkdownValue {
    requireSize("a Markdown text", text.length, METADATA_LIMITS.markdownChars, "characters");
    return { $kind: "markdown", text };
  },
  /** An `http` or `https` address of at most 2,000 characters, kept as it is given; the label is at most 200, and by default the address. */
  link(url: string, label: string = url): LinkValue {
    if (!isWebAddress(url) || !URL.canParse(url)) {
      throw bad(`${JSON.stringify(url.slice(0, 80))} is no address for a link: write https://…`);
    }
    requireSize("a link's address", url.length, METADATA_LIMITS.urlChars, "characters");
    if (label !== url) requireSize("a link's label", label.length, METADATA_LIMITS.labelChars, "characters");
    return { $kind: "link", url, label };
  },
  /**
   * At most 100 rows with together 50 columns, the columns in the order in which they turn up. Dates, wide integers and numbers
   * that JSON does not have become text.
   */
  table(rows: Iterable<Readonly<Record<string, unknown>>>): TableValue {
    const columns = new Set<string>();
    const plain: Record<string, MetadataValue>[] = [];
    for (const row of rows) {
      if (plain.length === METADATA_LIMITS.tableRows)
        throw bad(`a table in metadata has at most ${METADATA_LIMITS.tableRows} rows: show the first of them`);
      const names = Object.keys(row).filter((name) => row[name] !== undefined);
      names.forEach((name) => columns.add(name));
      plain.push(Object.fromEntries(names.map((name) => [name, plainValue(row[name])])));
    }
    requireSize("a table", columns.size, METADATA_LIMITS.tableColumns, "columns");
    const table: TableValue = { $kind: "table", columns: [...columns], rows: plain };
    requireSize("a table", JSON.stringify(table).length, METADATA_LIMITS.tableChars, "characters as JSON");
    return table;
  },
});

/**
 * The value as one of the kinds, or `undefined` for any other: whoever shows metadata asks this, and need not trust what an
 * event holds. A link's address is a web address, and a table's columns and rows are what their types say.
 */
export function richValue(value: MetadataValue): RichValue | undefined {
  if (typeof value !== "object" || value === null || !("$kind" in value)) return undefined;
  const { $kind, text, url, label, columns, rows } = value;
  if ($kind === "markdown" && typeof text === "string") return { $kind, text };
  if ($kind === "link" && typeof url === "string" && isWebAddress(url))
    return { $kind, url, label: typeof label === "string" ? label : url };
  if ($kind !== "table" || !isList(columns) || !isList(rows)) return undefined;
  if (!columns.every((column) => typeof column === "string") || !rows.every(isRow)) return undefined;
  return { $kind, columns, rows };
}

/** No blank or control character, and no other scheme, so that it is an address wherever it is put. */
function isWebAddress(url: string): boolean {
  return /^https?:\/\/[^\s\p{C}]+$/iu.test(url);
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(value: MetadataValue | undefined): value is readonly MetadataValue[] {
  return Array.isArray(value);
}

function isRow(value: MetadataValue): value is { readonly [key: string]: MetadataValue } {
  return typeof value === "object" && value !== null && !isList(value);
}

function plainValue(value: unknown): MetadataValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (Array.isArray(value)) return value.map((item: unknown) => (item === undefined ? null : plainValue(item)));
  if (typeof value === "object" && !ArrayBuffer.isView(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return Object.fromEntries(entries.map(([name, item]) => [name, plainValue(item)]));
  }
  throw bad(
    `a value in a table is no JSON, but ${typeof value === "object" ? "bytes" : `a ${typeof value}`}: write it as a text`,
  );
}

function requireSize(what: string, size: number, limit: number, unit: string): void {
  if (size > limit) throw bad(`${what} in metadata has ${size} ${unit}, and may have ${limit}: shorten it`);
}

function bad(message: string): PermanentError {
  return new PermanentError(message, { code: "bad-metadata" });
}
