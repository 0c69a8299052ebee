/** Which partitions of a range a backfill requests: looked up in slices, so that no range is ever held in memory. */
import type { BackfillChoice, PartitionDocument } from "../core/documents.ts";
import { isWanted } from "../core/backfill.ts";
import type { PartitionSpan } from "../core/partition-span.ts";
import type { PartitionsDefinition } from "../core/partitions.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { EventStore } from "../ports/event-store.ts";

export interface Range {
  readonly store: Pick<EventStore, "partitions" | "get">;
  readonly asset: string;
  readonly partitions: PartitionsDefinition;
  /** In the order in which they are asked for. */
  readonly span: PartitionSpan;
  readonly which: BackfillChoice;
}

export interface Found {
  /** Partition keys, in the order of the span. */
  readonly wanted: readonly string[];
  /** The number of the first partition that was not looked at. */
  readonly next: number;
}

/** Partitions that one look goes past; many that need nothing may lie between two that do. */
const LOOK_LIMIT = 10_000;
const FIRST_SLICE = 50;
const LARGEST_SLICE = 1_000;

/** At most `room` partitions that are wanted, from number `first` on. */
export async function lookAhead(range: Range, first: number, room: number): Promise<Found> {
  const { span, which } = range;
  const wanted: string[] = [];
  let next = first;
  const end = Math.min(span.total, first + LOOK_LIMIT);
  for (let size = Math.max(FIRST_SLICE, room); next < end && wanted.length < room; size *= 2) {
    const slice = Math.min(size, LARGEST_SLICE, end - next);
    const known = which === "all" ? new Map<string, PartitionDocument>() : await documentsOf(range, next, slice);
    for (const last = next + slice; next < last && wanted.length < room; next++) {
      const key = span.at(next);
      if (isWanted(which, known.get(key))) wanted.push(key);
    }
  }
  return { wanted, next };
}

/** How many partitions of the range are wanted, with the first and the last of them. */
export async function countWanted(
  range: Range,
): Promise<{ readonly wanted: number; readonly first?: string; readonly last?: string }> {
  const { span, which } = range;
  if (which === "all") return { wanted: span.total, first: span.from, last: span.to };
  let wanted = 0;
  let first: string | undefined;
  let last: string | undefined;
  for (let at = 0; at < span.total; at += LARGEST_SLICE) {
    const slice = Math.min(LARGEST_SLICE, span.total - at);
    const known = await documentsOf(range, at, slice);
    for (let n = at; n < at + slice; n++) {
      const key = span.at(n);
      if (!isWanted(which, known.get(key))) continue;
      wanted += 1;
      first ??= key;
      last = key;
    }
  }
  return { wanted, ...(first === undefined || last === undefined ? {} : { first, last }) };
}

/** How many partitions of the asset have data and would not be requested; counted up to `enough`. */
export async function countOthers(range: Range, enough: number): Promise<number> {
  const { store, asset, span, which, partitions } = range;
  let others = 0;
  for (let after: string | undefined; ;) {
    const page = await store.partitions({ name: asset, limit: 1_000, ...(after === undefined ? {} : { after }) });
    for (const document of page.items) {
      const { partition, head } = document;
      const inside =
        partitions.kind === "time"
          ? partition >= span.from && partition <= span.to
          : partitions.keys.includes(partition);
      if (head !== undefined && !(inside && isWanted(which, document))) others += 1;
    }
    after = page.next;
    if (after === undefined || others >= enough) return others;
  }
}

/** The documents of `count` partitions from number `first` on, those that have one. */
async function documentsOf(
  { store, asset, partitions, span }: Range,
  first: number,
  count: number,
): Promise<ReadonlyMap<string, PartitionDocument>> {
  const known = new Map<string, PartitionDocument>();
  if (partitions.kind === "static") {
    // Their order is the definition's own, which no store knows.
    const keys = Array.from({ length: count }, (_, n) => span.at(first + n));
    for (const document of await Promise.all(keys.map((key) => store.get("partition", partitionRef(asset, key).id)))) {
      if (document !== undefined) known.set(document.partition, document);
    }
    return known;
  }
  const [from = "", to = ""] = [span.at(first), span.at(first + count - 1)].sort();
  // Nothing that is a key lies between a key and the same with a blank.
  const query = { name: asset, from, to: `${to} `, limit: LARGEST_SLICE };
  for (let after: string | undefined; ;) {
    const page = await store.partitions({ ...query, ...(after === undefined ? {} : { after }) });
    for (const document of page.items) known.set(document.partition, document);
    after = page.next;
    if (after === undefined) return known;
  }
}
