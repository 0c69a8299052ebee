/** What the watchers look at, and how rows are compared. */
import type { MemoryDocuments } from "../support/memory-documents.ts";
import type { Buckets, Row } from "./buckets.ts";
import type { Project } from "./projects.ts";
import type { MemoryWarehouse } from "./warehouse.ts";

export interface Surroundings {
  readonly project: Project;
  readonly documents: MemoryDocuments;
  readonly warehouse: MemoryWarehouse;
  readonly buckets: Buckets;
  now(): number;
  /** How far the clock of a process may be ahead of that, in ms. */
  readonly ahead: number;
  /** Records what is wrong; the first word counts. */
  readonly fail: (message: string) => void;
}

type Rows = readonly Row[];

export function sameRows(one: Rows, other: Rows): boolean {
  if (one === other) return true;
  if (one.length !== other.length) return false;
  if (one.length === 1) return textOf(one[0]) === textOf(other[0]);
  const texts = other.map(textOf).sort();
  return one
    .map(textOf)
    .sort()
    .every((text, index) => text === texts[index]);
}

function textOf(row: Row | undefined): string {
  return row === undefined ? "" : `${row.file}#${row.version}`;
}

export function show(rows: Rows | undefined): string {
  return rows === undefined ? "nothing" : `[${rows.map(textOf).sort().join(" ")}]`;
}
