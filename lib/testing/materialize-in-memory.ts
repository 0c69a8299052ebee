/** An asset's code, run in a test by itself: its inputs and resources are what the test gives, and nothing is stored. */
import type { z } from "zod";
import type { InputMap, MaterializeResult, PartitionOf, RowOf, RowsContext, TypedAsset } from "../core/asset.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { parsePartition } from "../core/partitions.ts";
import type { PartitionsDefinition } from "../core/partitions.ts";
import type { ResourceClients, ResourceMap } from "../core/resources.ts";
import { rowCodec } from "../core/row-codec.ts";
import { rowGate } from "../core/row-gate.ts";
import type { DiscardedRow, RowGate } from "../core/row-gate.ts";

type Config = z.ZodObject | undefined;
type Partitions = PartitionsDefinition | undefined;

/** The rows of an input. */
type Given<Row> = Iterable<Row> | AsyncIterable<Row>;

/** `name` must be given where there is something to give. */
type Wanted<Name extends string, Keys, Value> = [Keys] extends [never]
  ? { readonly [N in Name]?: undefined }
  : { readonly [N in Name]: Value };

/** As a request carries it: defaults may be left out. */
type GivenConfig<C> = C extends z.ZodType
  ? Record<never, never> extends z.input<C>
    ? { readonly config?: z.input<C> }
    : { readonly config: z.input<C> }
  : { readonly config?: undefined };

export type InMemory<R extends ResourceMap, C extends Config, P extends Partitions, I extends InputMap> = Wanted<
  "inputs",
  keyof I,
  { readonly [N in keyof I]: Given<RowOf<I[N]>> }
> &
  Wanted<"resources", keyof R, ResourceClients<R>> &
  Wanted<"partition", PartitionOf<P> extends undefined ? never : "partition", string> &
  GivenConfig<C> & {
    /** What `context.requestedAt` says. Default 0. */
    readonly requestedAt?: number;
    readonly signal?: AbortSignal;
  };

export interface InMemoryResult<Row> {
  /** The rows that would be stored, after the schema's defaults and transforms. */
  readonly rows: readonly Row[];
  /** What the code said of its materialization. */
  readonly metadata: Metadata;
  /** Every row that `onInvalidRow: "discard"` leaves out. */
  readonly discarded: readonly DiscardedRow[];
  readonly dataVersion?: string;
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
  const { inputs, resources, partition, config, requestedAt = 0, signal } = given;
  const metadata: Record<string, Metadata[string]> = {};
  const quiet = (): void => undefined;
  const context: RowsContext<unknown, unknown, z.ZodObject> = {
    runId: "0000000000000000",
    asset: asset.key,
    partition: partitionOf(asset.partitions, partition),
    config: configOf(asset.config, config),
    target: asset.ioManager === undefined ? asset.target?.table : undefined,
    inputs: [],
    idempotencyKey: shortHash([asset.key, partition ?? ""], 32),
    requestedAt,
    signal: signal ?? new AbortController().signal,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    metadata: (values) => Object.assign(metadata, values),
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
  const produced = await code(context, { ...resources, ...streams });

  const { schema, ioManager } = asset;
  if (schema === undefined || ioManager === undefined) {
    // Without an I/O manager, this is what the asset's type lets it return.
    const { metadata: more, ...result } = (produced ?? {}) as MaterializeResult;
    return { rows: [], metadata: { ...metadata, ...more }, discarded: [], ...result };
  }
  const rows: z.output<S>[] = [];
  const gate: RowGate<z.output<S>> = rowGate(rowCodec(schema), {
    asset: asset.key,
    onInvalidRow: ioManager.onInvalidRow,
    samples: Infinity,
  });
  // The asset's type lets it return nothing else.
  for await (const row of produced as Given<unknown>) {
    const stored = gate.take(row);
    if (stored !== undefined) rows.push(stored);
  }
  return { rows, metadata, discarded: gate.end().samples };
}

/** What is given as an array can be read again, as an input can. */
async function* once(rows: Given<unknown>): AsyncGenerator<unknown, void, void> {
  yield* rows;
}

function again(rows: Given<unknown>): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => once(rows) };
}

function partitionOf(definition: Partitions, key: string | undefined): unknown {
  return definition === undefined ? undefined : parsePartition(definition, key ?? "");
}

function configOf(schema: Config, given: unknown): unknown {
  if (schema === undefined) return given ?? {};
  const parsed = schema.safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PermanentError(`the config does not fit: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`, {
    code: "bad-config",
  });
}
