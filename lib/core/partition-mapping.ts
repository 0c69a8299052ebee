/**
 * Which partitions of an upstream asset a partition is made from, and, the other way round, which partitions a new
 * upstream partition affects. Windows of different intervals meet where they overlap.
 */
import { DefinitionError } from "./errors.ts";
import { addWindows, parseWindow, windowAt } from "./interval.ts";
import type { Window } from "./interval.ts";
import { latestPartition, parsePartition } from "./partitions.ts";
import type { PartitionsDefinition, TimePartitions } from "./partitions.ts";

export type PartitionMapping =
  /** The partition of the same key. */
  | { readonly kind: "same" }
  /** Everything the upstream has, whatever partition is made. */
  | { readonly kind: "all" }
  /** The upstream's newest partition. */
  | { readonly kind: "last" }
  /** Every upstream window that overlaps this partition's. */
  | { readonly kind: "windows" }
  /** The window `by` windows away (negative: earlier), and, up to `through`, all between. */
  | { readonly kind: "offset"; readonly by: number; readonly through?: number };

/** A set of partitions: some keys, or the upstream as a whole. */
export type MappedPartitions =
  | { readonly kind: "keys"; readonly keys: readonly string[] }
  | { readonly kind: "whole" }
  | { readonly kind: "newest" };

type Partitions = PartitionsDefinition | undefined;

/** More windows than this in one partition are not listed one by one. A month has at most 744 hours. */
const MAX_KEYS = 1_000;

/** The mapping that a dependency has when its author names none. */
export function defaultMapping(upstream: Partitions, downstream: Partitions): PartitionMapping {
  if (upstream === undefined || downstream === undefined) return { kind: "all" };
  if (upstream.kind === "time" && downstream.kind === "time") {
    return upstream.interval === downstream.interval ? { kind: "same" } : { kind: "windows" };
  }
  if (upstream.kind === "static" && downstream.kind === "static") return { kind: "same" };
  return { kind: "all" };
}

/** Throws `DefinitionError` for a mapping that these two cannot have. */
export function checkMapping(mapping: PartitionMapping, upstream: Partitions, downstream: Partitions): void {
  const refuse = (why: string, remedy: string): never => {
    throw new DefinitionError(`a mapping by ${mapping.kind} ${why}`, { remedy });
  };
  const time = upstream?.kind === "time" && downstream?.kind === "time";
  switch (mapping.kind) {
    case "all":
    case "last":
      return;
    case "same": {
      const alike =
        (upstream === undefined && downstream === undefined) ||
        (upstream?.kind === "static" && downstream?.kind === "static") ||
        (time && upstream.interval === downstream.interval);
      if (!alike) refuse("needs two assets with the same kind of partitions", "map by windows, all or last");
      return;
    }
    case "windows":
      if (!time) refuse("needs time partitions on both sides", "map by all or last");
      return;
    case "offset":
      if (!time || upstream.interval !== downstream.interval) {
        refuse("needs the same interval on both sides", "map by windows, all or last");
      }
      if (!Number.isInteger(mapping.by) || (mapping.through !== undefined && mapping.through < mapping.by)) {
        refuse("needs whole numbers, the smaller one first", "write offset(-6, 0) for the last seven windows");
      }
  }
}

/** What the downstream partition is made from. Keys beyond the upstream's own bounds are left out. */
export function upstreamOf(
  mapping: PartitionMapping,
  upstream: Partitions,
  downstream: Partitions,
  partition: string,
): MappedPartitions {
  if (upstream === undefined) return { kind: "keys", keys: [""] };
  switch (mapping.kind) {
    case "all":
      return { kind: "whole" };
    case "last":
      return { kind: "newest" };
    case "same":
      return { kind: "keys", keys: existing(upstream, [partition]) };
    case "windows": {
      const window = windowOf(downstream, partition);
      return { kind: "keys", keys: existing(upstream, overlapping(upstream, window)) };
    }
    case "offset": {
      const { interval, start } = timeOf(downstream, partition);
      const keys: string[] = [];
      for (let by = mapping.by; by <= (mapping.through ?? mapping.by); by++) {
        keys.push(windowAt(interval, addWindows(interval, start, by)).key);
      }
      return { kind: "keys", keys: existing(upstream, keys) };
    }
  }
}

/**
 * The downstream partitions that a new upstream partition affects, as of `now`. A partitioned asset that depends on the
 * whole of its upstream is affected in its latest partition only: its past was made from what there was then.
 */
export function downstreamOf(
  mapping: PartitionMapping,
  upstream: Partitions,
  downstream: Partitions,
  partition: string,
  now: number,
): readonly string[] {
  if (downstream === undefined) return [""];
  const latest = (): readonly string[] => {
    const last = latestPartition(downstream, now);
    return last === undefined ? [] : [last.key];
  };
  if (upstream === undefined) return downstream.kind === "static" ? downstream.keys : latest();
  switch (mapping.kind) {
    case "all":
    case "last":
      return downstream.kind === "static" ? downstream.keys : latest();
    case "same":
      return existing(downstream, [partition]);
    case "windows":
      return existing(downstream, overlapping(downstream, windowOf(upstream, partition)));
    case "offset": {
      const { interval, start } = timeOf(upstream, partition);
      const keys: string[] = [];
      for (let by = mapping.by; by <= (mapping.through ?? mapping.by); by++) {
        keys.push(windowAt(interval, addWindows(interval, start, -by)).key);
      }
      return existing(downstream, keys.reverse());
    }
  }
}

function overlapping(definition: Partitions, window: Pick<Window, "start" | "end">): string[] {
  if (definition?.kind !== "time") return [];
  const keys: string[] = [];
  for (
    let at = windowAt(definition.interval, window.start);
    at.start < window.end;
    at = windowAt(definition.interval, at.end)
  ) {
    keys.push(at.key);
    if (keys.length > MAX_KEYS)
      throw new DefinitionError(`a window holds more than ${MAX_KEYS} windows of its upstream`, {
        remedy: "map by all",
      });
  }
  return keys;
}

/** The keys that a definition has; for windows, those within its bounds. */
function existing(definition: PartitionsDefinition, keys: readonly string[]): string[] {
  if (definition.kind === "static") return keys.filter((key) => definition.keys.includes(key));
  const { start, end } = definition;
  return keys.filter((key) => (start === undefined || key >= start) && (end === undefined || key < end));
}

function windowOf(definition: Partitions, partition: string): Window {
  const { interval } = timeOf(definition, partition);
  return parseWindow(interval, partition);
}

function timeOf(
  definition: Partitions,
  partition: string,
): { readonly interval: TimePartitions["interval"]; readonly start: number } {
  if (definition?.kind !== "time")
    throw new DefinitionError("only time partitions have windows", { remedy: "map by all or last" });
  const { start } = parsePartition({ kind: "time", interval: definition.interval }, partition);
  return { interval: definition.interval, start: start ?? 0 };
}
