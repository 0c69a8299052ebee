/**
 * A backfill by a single run. The run of the range's first partition makes all of it; when that has succeeded, each of the
 * others gets a run of its own that calls no code and only records what was made, so that heads, history and announcements are as
 * ever. These are the rules of who may, and of which range.
 */
import type { AssetDefinition } from "./asset.ts";
import type { BackfillStart } from "./backfill-message.ts";
import { DefinitionError, PermanentError } from "./errors.ts";
import { canonicalJson, shortHash } from "./hash.ts";
import { partitionSpan } from "./partition-span.ts";
import type { PartitionSpan } from "./partition-span.ts";
import type { Partition, PartitionRange, PartitionsDefinition } from "./partitions.ts";

/** The run's document keeps a few characters for each of them. */
export const MAX_SINGLE_RUN = 2_000;

/** Throws `DefinitionError` for an asset whose runs are about one partition whatever its code does. */
export function checkTakesRange(
  key: string,
  {
    partitions,
    target,
    ioManager,
    source,
    inputs = {},
  }: { readonly [N in "partitions" | "target" | "ioManager" | "source"]?: AssetDefinition[N] | undefined } & {
    readonly inputs?: object;
  },
): void {
  const refuse = (what: string, remedy: string): never => {
    throw new DefinitionError(`${key} ${what}, so it cannot take a range in a single run`, { remedy });
  };
  const leave = 'leave backfill: "single-run" out';
  if (partitions === undefined) refuse("has no partitions", `give it some, or ${leave}`);
  if (target !== undefined || ioManager !== undefined)
    refuse("has its rows published one partition at a time", `${leave}, or write by yourself and say target: "none"`);
  if (source !== undefined) refuse("is loaded from the files of one partition", leave);
  if (Object.keys(inputs).length > 0)
    refuse("gets the rows that one partition is made from", "name its inputs in deps, and read them in materialize");
}

/**
 * The range that a single run makes: from the first wanted partition to the last; `undefined` where none is wanted. A text says
 * in one line why it cannot be: the run makes every partition of its range, so that none in between may be unwanted.
 */
export function singleSpan(
  { key, backfill }: { readonly key: string; readonly backfill?: "single-run" | undefined },
  partitions: PartitionsDefinition,
  { which, maxConcurrent, perDay }: Pick<BackfillStart, "which" | "maxConcurrent" | "perDay">,
  { wanted, first, last }: { readonly wanted: number; readonly first?: string; readonly last?: string },
): PartitionSpan | string | undefined {
  if (backfill === undefined)
    return `${key} cannot take a range in a single run: leave --single-run out, or let its code make all of context.partitionRange and say so by backfill: "single-run"`;
  if (which === "failed")
    return "a single run fails as a whole and marks its first partition alone: leave --failed out, or say --all";
  if (maxConcurrent !== undefined || perDay !== undefined)
    return "there is but one run: leave --max-concurrent and --per-day out";
  if (first === undefined || last === undefined) return undefined;
  const span = partitionSpan(partitions, first, last);
  const { from, to, total } = span;
  if (total > wanted)
    return `${total - wanted} of the ${total} partitions from ${from} to ${to} have data, and a single run makes its whole range: make them again by --all, or choose a range without them`;
  if (total > MAX_SINGLE_RUN)
    return `a single run makes ${MAX_SINGLE_RUN} partitions at most, and from ${from} to ${to} there are ${total}: choose a shorter range, or leave --single-run out`;
  return span;
}

/** What `context.partition` is. Throws `PermanentError` where the run makes several. */
export function onePartition<P extends Partition | undefined>(
  asset: string,
  partition: P,
  range: PartitionRange | undefined,
): P {
  if (range === undefined || range.keys.length === 1) return partition;
  throw new PermanentError(
    `this run of ${asset} makes ${range.keys.length} partitions, so there is no context.partition: use context.partitionRange`,
    { code: "several-partitions" },
  );
}

/** Equal for equal versions of a partition's upstreams. No version ever comes back, so equal then and now is equal all along. */
export function upstreamsDigest(versions: Readonly<Record<string, string>>): string {
  return Object.keys(versions).length === 0 ? "" : shortHash([canonicalJson(versions)]);
}
