/**
 * Tables that go by themselves, whoever dies: none of them lives for a moment without saying when it goes.
 *
 * - A statement says it in the options of what it creates.
 * - A copy job says it itself.
 * - A load job cannot. So its table is made before, blank, and the load must not make another one: a load that runs after its
 *   table was dropped fails, and leaves nothing.
 */
import type { Column, TimePartitioning } from "../core/table.ts";
import type { LoadSpec } from "./bigquery-config.ts";
import type { TableResource } from "./bigquery-resources.ts";
import { readStatements } from "./bigquery-targets.ts";

/** The statement or script with this end of life in the options of every table and view that it creates and gives no other. */
export function expiring(sql: string, expiresAt: number): string {
  const option = `expiration_timestamp=TIMESTAMP '${new Date(expiresAt).toISOString().replace("T", " ").replace("Z", "+00")}'`;
  const places = readStatements(sql).targets.flatMap(({ option: place, parts }) =>
    // A name without a dataset is a temporary table's.
    place === undefined || parts.length === 1 || place.list?.includes("EXPIRATION_TIMESTAMP") === true ? [] : [place],
  );
  let text = "";
  let from = 0;
  for (const { at, list } of places.sort((a, b) => a.at - b.at)) {
    const before = sql.slice(from, at);
    const space = /\s$/.test(before) ? "" : " ";
    text +=
      list === undefined
        ? `${before}${space}OPTIONS(${option}) `
        : `${before}${option}${list.length === 0 ? "" : ", "}`;
    from = at;
  }
  return text + sql.slice(from);
}

const said = String.raw`expiration_timestamp=TIMESTAMP '[\d :.-]+\+00'`;
/** At the end of a statement, in front of its query, and in a list that is there. */
const inserted = new RegExp(String.raw` OPTIONS\(${said}\) (?=;|$)|OPTIONS\(${said}\) |${said}(?:, |(?=\)))`, "g");

/** BigQuery's message about `sql`, with the places as they are without what `expiring` has put there. */
export function placedWithout(message: string, sql: string): string {
  const lines = sql.split("\n");
  return message.replaceAll(/( at \[)(\d+):(\d+)(?=\])/g, (_, before: string, line: string, column: string) => {
    const found = [...(lines[Number(line) - 1] ?? "").matchAll(inserted)];
    const passed = found.filter(({ 0: text, index }) => index + text.length < Number(column));
    return `${before}${line}:${Number(column) - passed.reduce((sum, [text]) => sum + text.length, 0)}`;
  });
}

/** How a table is made that only awaits its load. */
export interface Blank {
  readonly columns: readonly Column[];
  readonly partitioning?: TimePartitioning;
  readonly clustering?: readonly string[];
  readonly expiresAt: number;
}

/** No load has such a column, and the load of a whole table takes it away. */
const awaiting: Column = { name: "sluice_awaits_its_load", type: "BOOL", mode: "NULLABLE" };

/**
 * The blank table for a load whose table expires: one without columns, which the load brings. Where columns are needed to say how the table
 * is partitioned and clustered, it has these. `undefined` where nobody knows their types beforehand, or where the load would not
 * take the blank's own column away, because it replaces one partition alone.
 */
export function blankFor({ expiresAt, schema, partition, partitioning, clustering = [] }: LoadSpec): Blank | undefined {
  if (expiresAt === undefined) return undefined;
  const parts = partitioning === undefined ? {} : { partitioning };
  const names = [...(partitioning?.column === undefined ? [] : [partitioning.column]), ...clustering];
  if (names.length === 0) return { columns: [], ...parts, expiresAt };
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const columns = (schema ?? []).filter(({ name }) => wanted.has(name.toLowerCase()));
  if (partition !== undefined || columns.length < wanted.size) return undefined;
  return { columns: [...columns, awaiting], ...parts, ...(clustering.length === 0 ? {} : { clustering }), expiresAt };
}

/** Whether the table only awaits its load: to everybody but the load, it is not there. */
export function isBlank({ type = "TABLE", schema }: TableResource): boolean {
  const fields = schema?.fields ?? [];
  return type === "TABLE" && (fields.length === 0 || fields.some(({ name }) => name === awaiting.name));
}
