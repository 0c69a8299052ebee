/** Tables without borders, and how times, counts and durations are written. */
import Table from "cli-table3";
import type { Paint, Shell } from "./shell.ts";
import { plain } from "./shell.ts";

/** A cell that may hold text from outside is made plain here; colours are put around it by `style`. */
export interface Cell {
  readonly text: string;
  readonly style?: Parameters<Paint>[0];
  readonly align?: "right";
}
export type Row = readonly (Cell | string)[];

export interface TableOptions {
  readonly paint: Paint;
  readonly head?: readonly string[];
  /** Fixed widths, so that a long table can be written in parts; longer texts are cut. */
  readonly widths?: readonly number[];
}

/** Prints the table; the last column is cut where the terminal is too narrow for it. */
export function printTable(shell: Shell, rows: readonly Row[], head?: readonly string[]): void {
  for (const line of fittingLines(shell, rows, head)) shell.print(line);
}

/** The lines that `printTable` prints: one for the head, if there is one, and one for each row. */
export function fittingLines({ paint, columns }: Shell, rows: readonly Row[], head?: readonly string[]): string[] {
  const fitting = columns === undefined ? rows : fit(rows, head ?? [], columns);
  return tableLines(fitting, { paint, ...(head === undefined ? {} : { head }) });
}

const NARROWEST = 20;

function fit(rows: readonly Row[], head: readonly string[], columns: number): readonly Row[] {
  const last = Math.max(0, ...rows.map((row) => row.length - 1));
  const widths = Array.from({ length: last }, (_, at) =>
    rows.reduce((widest, row) => Math.max(widest, textOf(row[at]).length), head[at]?.length ?? 0),
  );
  const room = Math.max(NARROWEST, columns - widths.reduce((sum, width) => sum + width + GAP, 0));
  return rows.map((row) => {
    const cell = row[last];
    const text = textOf(cell);
    if (cell === undefined || text.length <= room) return row;
    const cut = `${text.slice(0, room - 1)}…`;
    return [...row.slice(0, last), typeof cell === "string" ? cut : { ...cell, text: cut }];
  });
}

export function textOf(cell: Cell | string | undefined): string {
  return typeof cell === "object" ? cell.text : (cell ?? "");
}

/** The table's lines, without blanks at their ends. */
export function tableLines(rows: readonly Row[], { paint, head, widths }: TableOptions): string[] {
  if (rows.length === 0 && head === undefined) return [];
  const table = new Table({
    chars: Object.fromEntries(BORDERS.map((border) => [border, ""])),
    style: { head: [], border: [], "padding-left": 0, "padding-right": GAP },
    ...(widths === undefined ? {} : { colWidths: widths.map((width) => width + GAP) }),
    wordWrap: false,
  });
  if (head !== undefined) table.push(head.map((title) => paint("dim", title)));
  for (const row of rows) table.push(row.map((cell) => shown(cell, paint)));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
}

const GAP = 2;
const BORDERS = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
  "left",
  "left-mid",
  "mid",
  "mid-mid",
  "right",
  "right-mid",
  "middle",
] as const;

function shown(cell: Cell | string, paint: Paint): { content: string; hAlign: "left" | "right" } {
  const { text, style, align = "left" } = typeof cell === "string" ? { text: cell } : cell;
  const content = plain(text);
  return { content: style === undefined ? content : paint(style, content), hAlign: align };
}

/** `2024-05-01 13:14:15`, UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** `13:14:15`, UTC. */
export function clockText(ms: number): string {
  return timeText(ms).slice(11);
}

/** `42 ms`, `1.4 s`, `3 min 20 s`, `2 h 5 min`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** `1,234 rows`; `1 row`. */
export function countText(count: number, what: string, plural = `${what}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? what : plural}`;
}

/** `3 kB`, as people count bytes. */
export function bytesText(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit] ?? ""}`;
}
