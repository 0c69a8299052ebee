/** A range of partitions by number: how many there are and which is the n-th, without a list of them. */
import { DefinitionError } from "./errors.ts";
import { addWindows, parseWindow, windowKey, windowsBetween } from "./interval.ts";
import { parsePartition } from "./partitions.ts";
import type { PartitionsDefinition } from "./partitions.ts";

export interface PartitionSpan {
  /** Partition keys, both inclusive, in their own spelling. */
  readonly from: string;
  readonly to: string;
  /** At least 1. */
  readonly total: number;
  /** The key of partition `n`, from 0, the oldest one, to `total - 1`. */
  at(n: number): string;
}

/** Throws `DefinitionError` when one of the two is unknown or `from` comes after `to`. */
export function partitionSpan(definition: PartitionsDefinition, from: string, to: string): PartitionSpan {
  const first = parsePartition(definition, from).key;
  const last = parsePartition(definition, to).key;
  const span = spanOf(definition, first, last);
  if (span.total < 1) {
    throw new DefinitionError(`the range from ${first} to ${last} runs backwards`, { remedy: `write ${last} first` });
  }
  return { from: first, to: last, ...span };
}

/** Throws `DefinitionError` for a range that ends with a window which has not begun at `now`. */
export function checkBegun(definition: PartitionsDefinition, { to }: PartitionSpan, now: number): void {
  if (definition.kind !== "time" || parseWindow(definition.interval, to).start <= now) return;
  throw new DefinitionError(`the partition ${to} has not begun yet`, {
    remedy: `the newest is ${windowKey(definition.interval, now)}`,
  });
}

function spanOf(definition: PartitionsDefinition, first: string, last: string): Pick<PartitionSpan, "total" | "at"> {
  if (definition.kind === "static") {
    const { keys } = definition;
    const start = keys.indexOf(first);
    return { total: keys.indexOf(last) - start + 1, at: (n) => keys[start + n] ?? "" };
  }
  const { interval } = definition;
  const start = parseWindow(interval, first).start;
  const total = windowsBetween(interval, start, parseWindow(interval, last).start) + 1;
  return { total, at: (n) => windowKey(interval, addWindows(interval, start, n)) };
}
