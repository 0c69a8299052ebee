/**
 * The partitions of an asset: time windows, or a fixed list of keys. An asset without partitions has one,
 * whose key is the empty text.
 */
import { DefinitionError } from "./errors.ts";
import { addWindows, latestWindow, parseWindow, windowAt } from "./interval.ts";
import type { Interval, Window } from "./interval.ts";
import { checkOptions, oneOf, optional, text, texts } from "./options.ts";
import type { Shape } from "./options.ts";
import { didYouMean } from "./suggest.ts";

export interface TimePartitions {
  readonly kind: "time";
  readonly interval: Interval;
  /** The first partition's key; without it, time has no beginning. */
  readonly start?: string;
  /** The key of the first partition that is *not* there any more. */
  readonly end?: string;
}

export interface StaticPartitions {
  readonly kind: "static";
  readonly keys: readonly string[];
}

/** The partitions that one run makes: one, but for a backfill's single run. */
export interface PartitionRange {
  /** Partition keys, both inclusive. */
  readonly from: string;
  readonly to: string;
  /** All of them, the oldest first. */
  readonly keys: readonly string[];
  /** Milliseconds UTC, for time partitions only: of the first one, and exclusive, of the last one. */
  readonly start?: number;
  readonly end?: number;
}

export type PartitionsDefinition = TimePartitions | StaticPartitions;

export interface Partition {
  readonly key: string;
  /** Milliseconds UTC, for time partitions only. `end` is exclusive. */
  readonly start?: number;
  readonly end?: number;
}

export interface TimePartitionsOptions {
  readonly start?: string;
  readonly end?: string;
}

const BOUNDS: Shape<keyof TimePartitionsOptions> = { start: optional(text), end: optional(text) };
const INTERVAL = { interval: oneOf(["hourly", "daily", "weekly", "monthly"]) };

/**
 * Windows of one interval, from `start` (inclusive) up to `end` (exclusive), both written as partition keys.
 * Throws `DefinitionError` for keys that are not of the interval, and when nothing lies between them.
 */
export function timePartitions(interval: Interval, options: TimePartitionsOptions = {}): TimePartitions {
  checkOptions("timePartitions", { interval }, INTERVAL);
  checkOptions(interval, options, BOUNDS);
  const start = options.start === undefined ? undefined : parseWindow(interval, options.start).key;
  const end = options.end === undefined ? undefined : parseWindow(interval, options.end).key;
  if (start !== undefined && end !== undefined && end <= start) {
    throw new DefinitionError(`partitions from ${start} to before ${end} are none at all`, {
      remedy: "end is exclusive and must lie after start",
    });
  }
  return { kind: "time", interval, ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) };
}

/** Hours: keys such as `2024-05-01T13`. As `timePartitions` has it. */
export function hourly(options?: TimePartitionsOptions): TimePartitions {
  return timePartitions("hourly", options);
}

/** Days: keys such as `2024-05-01`. As `timePartitions` has it. */
export function daily(options?: TimePartitionsOptions): TimePartitions {
  return timePartitions("daily", options);
}

/** ISO weeks, each by its Monday: keys such as `2024-04-29`. As `timePartitions` has it. */
export function weekly(options?: TimePartitionsOptions): TimePartitions {
  return timePartitions("weekly", options);
}

/** Months: keys such as `2024-05`. As `timePartitions` has it. */
export function monthly(options?: TimePartitionsOptions): TimePartitions {
  return timePartitions("monthly", options);
}

/** A fixed list of keys, in the order given. Keys are 1 to 100 characters; throws `DefinitionError` for bad ones. */
export function staticPartitions(keys: readonly string[]): StaticPartitions {
  checkOptions("staticPartitions", { keys }, { keys: texts });
  if (keys.length === 0) throw new DefinitionError("static partitions need at least one key", { remedy: "list them" });
  const seen = new Set<string>();
  for (const key of keys) {
    const fault = seen.has(key) ? "is there twice" : keyFault(key);
    if (fault !== undefined) {
      throw new DefinitionError(`the partition key ${JSON.stringify(key.slice(0, 100))} ${fault}`, {
        remedy: "use distinct keys of 1 to 100 characters without slashes, .. or control characters",
      });
    }
    seen.add(key);
  }
  return { kind: "static", keys: [...keys] };
}

function keyFault(key: string): string | undefined {
  if (key === "") return "is empty";
  if (key.length > 100) return `has ${key.length} characters`;
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(key)) return "has a control character";
  if (key.includes("/")) return "has a slash";
  if (key === "." || key.includes("..")) return "could be taken for a path or a range";
  if (key !== key.trim()) return "begins or ends with a blank";
  return undefined;
}

/**
 * The partition that a text names. For an asset without partitions only the empty text is one.
 * Throws `DefinitionError` with the nearest key, or with the bounds, when there is no such partition.
 */
export function parsePartition(definition: PartitionsDefinition | undefined, text: string): Partition {
  if (definition === undefined) {
    if (text === "") return { key: "" };
    throw new DefinitionError(`the asset has no partitions, but ${JSON.stringify(text)} was asked for`, {
      remedy: "leave the partition out",
    });
  }
  if (definition.kind === "static") {
    if (definition.keys.includes(text)) return { key: text };
    const remedy = didYouMean(text, definition.keys);
    throw new DefinitionError(`unknown partition ${JSON.stringify(text)}`, remedy === undefined ? {} : { remedy });
  }
  const window = parseWindow(definition.interval, text);
  if (definition.start !== undefined && window.key < definition.start) {
    throw new DefinitionError(`the partition ${window.key} is before the first one`, {
      remedy: `partitions start at ${definition.start}`,
    });
  }
  if (definition.end !== undefined && window.key >= definition.end) {
    throw new DefinitionError(`the partition ${window.key} is after the last one`, {
      remedy: `partitions end before ${definition.end}`,
    });
  }
  return window;
}

/**
 * The partition that "latest" means at `now`: the last window that is over, as far as the bounds go, or the only
 * partition of an asset without any. `undefined` when no window is over yet, and for static partitions.
 */
export function latestPartition(definition: PartitionsDefinition | undefined, now: number): Partition | undefined {
  if (definition === undefined) return { key: "" };
  if (definition.kind === "static") return undefined;
  const last = latestWindow(definition.interval, now);
  const capped =
    definition.end === undefined || last.key < definition.end ? last : windowBefore(definition, definition.end);
  return definition.start !== undefined && capped.key < definition.start ? undefined : capped;
}

function windowBefore(definition: TimePartitions, key: string): Window {
  const { interval } = definition;
  return windowAt(interval, addWindows(interval, parseWindow(interval, key).start, -1));
}

/**
 * All partitions from `from` to `to`, both inclusive, one at a time. Throws `DefinitionError` (at the first step)
 * when one of them is unknown or `from` comes after `to`.
 */
export function* partitionRange(
  definition: PartitionsDefinition | undefined,
  from: string,
  to: string,
): Generator<Partition, void, undefined> {
  const first = parsePartition(definition, from);
  const last = parsePartition(definition, to);
  if (partitionOrder(definition, first.key) > partitionOrder(definition, last.key)) {
    throw new DefinitionError(`the range from ${first.key} to ${last.key} runs backwards`, {
      remedy: `write ${last.key} first`,
    });
  }
  if (definition?.kind === "static") {
    const keys = definition.keys.slice(definition.keys.indexOf(first.key), definition.keys.indexOf(last.key) + 1);
    for (const key of keys) yield { key };
    return;
  }
  yield first;
  if (definition === undefined || first.key === last.key) return;
  let window = parseWindow(definition.interval, first.key);
  while (window.key !== last.key) {
    window = windowAt(definition.interval, window.end);
    yield window;
  }
}

/** The range that these keys are, which must be in order and without a hole. Throws `DefinitionError` for an unknown one. */
export function rangeOfKeys(definition: PartitionsDefinition, keys: readonly string[]): PartitionRange {
  const first = parsePartition(definition, keys[0] ?? "");
  const last = parsePartition(definition, keys.at(-1) ?? "");
  return {
    from: first.key,
    to: last.key,
    keys,
    ...(first.start === undefined ? {} : { start: first.start }),
    ...(last.end === undefined ? {} : { end: last.end }),
  };
}

/** How a partition is shown to people: its key, or `all` for an asset without partitions. */
export function formatPartition(partition: Pick<Partition, "key">): string {
  return partition.key === "" ? "all" : partition.key;
}

/** Text that sorts as the partitions do: time for windows, position for static keys. Throws for unknown ones. */
export function partitionOrder(definition: PartitionsDefinition | undefined, key: string): string {
  const partition = parsePartition(definition, key);
  if (definition?.kind !== "static") return partition.key;
  return String(definition.keys.indexOf(partition.key)).padStart(8, "0");
}
