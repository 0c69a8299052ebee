/** An asset's code, run in a test by itself: its inputs and resources are what the test gives, and nothing is stored. */
import type { z } from "zod";
import type { AssetDefinition, InputMap, PartitionOf, RowOf, RowsContext, TypedAsset } from "../core/asset.ts";
import { checkpointText } from "../core/checkpoint.ts";
import type { JsonValue } from "../core/checkpoint.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { materializeResult } from "../core/materialize-result.ts";
import { DefinitionError } from "../core/errors.ts";
import { onePartition } from "../core/single-run.ts";
import { parsePartition, partitionRange, rangeOfKeys } from "../core/partitions.ts";
import type { Partition, PartitionRange, PartitionsDefinition } from "../core/partitions.ts";
import type { ResourceClients, ResourceMap } from "../core/resources.ts";
import { rowCodec } from "../core/row-codec.ts";
import { rowGate } from "../core/row-gate.ts";
import type { DiscardedRow, RowGate } from "../core/row-gate.ts";
import { again, parsedConfig, surroundings } from "./surroundings.ts";
import type { Common, Given, GivenConfig, LogLine, Wanted } from "./surroundings.ts";

type Config = z.ZodObject | undefined;
type Partitions = PartitionsDefinition | undefined;

export type InMemory<R extends ResourceMap, C extends Config, P extends Partitions, I extends InputMap> = Wanted<
  "inputs",
  keyof I,
  { readonly [N in keyof I]: Given<RowOf<I[N]>> }
> &
  Wanted<"resources", keyof R, ResourceClients<R>> &
  Wanted<"partition", PartitionOf<P> extends undefined ? never : "partition", string> &
  (PartitionOf<P> extends undefined ? unknown : Through) &
  GivenConfig<C> &
  Common & {
    /** What `context.checkpoint.last` says, as if an earlier attempt had saved it. */
    readonly checkpoint?: JsonValue;
    /** The version that the partition shows already, for `context.skipUnchanged`. */
    readonly shown?: string;
  };

interface Through {
  /** The last partition of a range, for code that makes several in one run: `partition` is the first one. */
  readonly through?: string;
}

export interface InMemoryResult<Row> {
  /** The rows that would be stored, after the schema's defaults and transforms. */
  readonly rows: readonly Row[];
  /** What the code said of its materialization. */
  readonly metadata: Metadata;
  /** Every row that `onInvalidRow: "discard"` leaves out. */
  readonly discarded: readonly DiscardedRow[];
  /** What was saved by `context.checkpoint`, in this order. */
  readonly checkpoints: readonly JsonValue[];
  /** The lines that the code has written into its log, in this order. */
  readonly logs: readonly LogLine[];
  readonly dataVersion?: string;
  /** Set when the code has left it at `skipUnchanged`. */
  readonly skipped?: "unchanged";
}

/**
 * Runs `materialize` once, with the rows checked as they are on their way into the table. Throws what the code throws, and
 * `PermanentError` (`invalid-row`, `bad-config`) where a run would fail. Asset, inputs and clients are used as they are given.
 */
export async function materializeInMemory<
  S extends z.ZodObject,
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap,
>(asset: TypedAsset<S, R, C, P, I>, given: InMemory<R, C, P, I>): Promise<InMemoryResult<z.output<S>>> {
  const { inputs, resources, config, checkpoint: last, shown } = given;
  const { partition, through }: { readonly partition?: string | undefined } & Through = given;
  const range = rangeOf(asset, partition, through);
  const several = range !== undefined && range.keys.length > 1;
  const { context: base, logs } = surroundings(given);
  const checkpoints: JsonValue[] = [];
  let said: { readonly dataVersion?: string } = {};
  const unchanged = new Error("the version is shown already");
  const metadata: Record<string, Metadata[string]> = {};
  const context: RowsContext<unknown, Partition | undefined, z.ZodObject> = {
    ...base,
    asset: asset.key,
    get partition() {
      return onePartition(asset.key, partitionOf(asset.partitions, partition), range);
    },
    partitionRange: range,
    config: parsedConfig(asset.config, config),
    target: asset.ioManager === undefined ? asset.target?.table : undefined,
    inputs: [],
    idempotencyKey: shortHash([asset.key, partition ?? ""], 32),
    metadata: (values) => Object.assign(metadata, values),
    checkpoint: {
      last,
      save: async (value) => void checkpoints.push(JSON.parse(checkpointText(value)) as JsonValue), // it was made of one
    },
    skipUnchanged: (version) => {
      said = {};
      if (several) return;
      if (version === null || version === undefined || version === "") return;
      said = { dataVersion: version };
      if (version === shown) throw unchanged;
    },
    row: (value) => value,
  };
  const streams = Object.fromEntries(
    // The types above say of which names the inputs consist, and that each can be gone through.
    Object.entries((inputs ?? {}) as Readonly<Record<string, Given<unknown>>>).map(([name, rows]) => [
      name,
      again(rows),
    ]),
  );
  const code = asset.materialize as (context: unknown, resources: unknown) => unknown;
  try {
    const produced = await code(context, { ...resources, ...streams });

    const { schema, ioManager } = asset;
    if (schema === undefined || ioManager === undefined) {
      const { metadata: more, dataVersion } = materializeResult(asset.key, produced);
      const version = several || dataVersion === undefined ? said : { dataVersion };
      return { rows: [], metadata: { ...metadata, ...more }, discarded: [], checkpoints, logs, ...version };
    }
    const rows: z.output<S>[] = [];
    const gate: RowGate<z.output<S>> = rowGate(rowCodec(schema), {
      asset: asset.key,
      onInvalidRow: ioManager.onInvalidRow,
      samples: Infinity,
    });
    // The asset's type lets it return nothing else.
    for await (const some of produced as Given<unknown>) {
      for (const row of Array.isArray(some) ? (some as readonly unknown[]) : [some]) {
        const stored = gate.take(row);
        if (stored !== undefined) rows.push(stored);
      }
    }
    return { rows, metadata, discarded: gate.end().samples, checkpoints, logs, ...said };
  } catch (error) {
    if (error !== unchanged) throw error;
    return { rows: [], metadata, discarded: [], checkpoints, logs, ...said, skipped: "unchanged" };
  }
}

function partitionOf(definition: Partitions, key: string | undefined): Partition | undefined {
  return definition === undefined ? undefined : parsePartition(definition, key ?? "");
}

function rangeOf(
  { key, partitions, backfill }: Pick<AssetDefinition, "key" | "partitions" | "backfill">,
  first = "",
  last = first,
): PartitionRange | undefined {
  if (partitions === undefined) return undefined;
  if (last !== first && backfill === undefined)
    throw new DefinitionError(`${key} takes one partition a run`, {
      remedy: 'leave through out, or say backfill: "single-run"',
    });
  return rangeOfKeys(
    partitions,
    [...partitionRange(partitions, first, last)].map((each) => each.key),
  );
}
