/** Several assets that one code makes: each with a table, checks and runs of its own, all of them from one pass over the source. */
import { z } from "zod";
import { assetKey, checkName, topicOf } from "./asset-key.ts";
import { inputNeeds } from "./asset-inputs.ts";
import type { InputMap, InputStreams } from "./asset-inputs.ts";
import { defineAsset } from "./asset.ts";
import type {
  AssetDefinition,
  CommonOptions,
  ConfigOf,
  MaterializeContext,
  PartitionOf,
  Produced,
  TypedAsset,
} from "./asset.ts";
import type { InlineCheck } from "./check.ts";
import { DefinitionError, PermanentError } from "./errors.ts";
import type { AssetFactoryResponse } from "./factory-response.ts";
import type { BigqueryTable } from "./io-manager.ts";
import { job } from "./job.ts";
import type { JobDefinition } from "./job.ts";
import type { Need } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, fields, optional, record, text } from "./options.ts";
import type { Shape } from "./options.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import type { ResourceClients, ResourceMap } from "./resources.ts";

type Schema = z.ZodObject;
type Config = z.ZodObject | undefined;
type Partitions = PartitionsDefinition | undefined;
type None = Record<never, never>;
/** The schema of each output's rows, by the names that the code gives the outputs. */
type Schemas = Readonly<Record<string, Schema>>;

/** One of the assets: what is its own. All else it has from the multi-asset. */
export interface OutputOptions<S extends Schema> extends Pick<
  CommonOptions<ResourceMap, Config, Partitions, InputMap>,
  "key" | "previousKeys" | "description" | "owners" | "group" | "tags" | "kinds" | "automation" | "freshness"
> {
  readonly schema: S;
  readonly ioManager: BigqueryTable<NoInfer<Extract<keyof z.output<S>, string>>>;
  readonly checks?: readonly InlineCheck[];
}

/** A row with the output that it is for; made by `context.row`. */
export interface OutputRow {
  readonly output: string;
  readonly row: unknown;
}

/** What the shared code gets. */
export interface MultiContext<C, P, A extends Schemas> extends Omit<
  MaterializeContext<C, P>,
  "asset" | "target" | "inputs"
> {
  /** The outputs that are wanted this time. Rows of others are passed over, so looking at it only saves work. */
  readonly selected: ReadonlySet<keyof A>;
  /** `yield row.projects({ … })`: typed by that output's schema. */
  readonly row: { readonly [N in keyof A]: (row: z.input<A[N]>) => OutputRow };
}

export interface MultiAssetOptions<
  A extends Schemas,
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap,
> extends Pick<
  CommonOptions<R, C, P, I>,
  | "partitions"
  | "deps"
  | "inputs"
  | "resources"
  | "config"
  | "automation"
  | "retry"
  | "pool"
  | "freshness"
  | "maxEventAge"
  | "codeVersion"
  | "group"
  | "owners"
> {
  /** Of the job that makes several outputs at once. */
  readonly name: string;
  readonly description?: string;
  readonly assets: { readonly [N in keyof A]: OutputOptions<A[N]> };
  materialize(
    context: MultiContext<ConfigOf<C>, PartitionOf<P>, A>,
    resources: ResourceClients<R> & InputStreams<I>,
  ): Produced<OutputRow>;
}

export interface MultiAsset<
  A extends Schemas,
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap,
> extends AssetFactoryResponse {
  /** Each output as an asset, for whoever reads it. */
  readonly outputs: { readonly [N in keyof A]: TypedAsset<A[N], R, C, P, I> };
  readonly jobs: readonly JobDefinition[];
}

/** What the runtime makes several outputs by. */
export interface MultiDefinition {
  readonly outputs: Readonly<Record<string, AssetDefinition>>;
  materialize(context: unknown, resources: unknown): unknown;
}

/** What a request of the job may say, as its config. */
export interface MultiWish {
  /** The wanted outputs, by their names. Default: all. */
  readonly select?: readonly string[] | undefined;
  /** Default: the latest. */
  readonly partition?: string | undefined;
  /** Make them although nothing changed. */
  readonly force?: boolean | undefined;
  /** What the outputs' own requests would carry. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
}

const OUTPUT: Shape<keyof OutputOptions<Schema>> = {
  ...rules.about,
  automation: rules.work.automation,
  schema: rules.zodObject,
  ioManager: rules.tableManager,
};
const OPTIONS: Shape<keyof MultiAssetOptions<Schemas, ResourceMap, Config, Partitions, InputMap>> = {
  ...rules.work,
  ...rules.hands,
  name: text,
  description: optional(text),
  freshness: rules.about.freshness,
  group: rules.about.group,
  owners: rules.about.owners,
  assets: record(fields(OUTPUT), "outputs"),
};

/**
 * Defines assets that are made together. Its result is a factory response: the assets, and a job of the given name that
 * makes a selection of them by calling the code once. Throws `DefinitionError` as `asset` does.
 */
export function multiAsset<
  A extends Schemas,
  const R extends ResourceMap = None,
  C extends Config = undefined,
  P extends Partitions = undefined,
  const I extends InputMap = None,
>(options: MultiAssetOptions<A, R, C, P, I>): MultiAsset<A, R, C, P, I> {
  checkOptions(rules.nameIn("multi-asset", options), options, OPTIONS);
  const { name, assets, description, materialize, ...shared } = options;
  checkName(name, "multi-asset");
  // The mapped type above, seen without its names.
  const own = Object.entries(assets as Readonly<Record<string, OutputOptions<Schema>>>);
  const names = own.map(([output]) => checkName(output, "output"));
  if (names.length === 0)
    throw new DefinitionError(`the multi-asset ${name} has no assets`, { remedy: "name at least one in `assets`" });
  const stage: Need = { kind: "stage-objects", prefix: multiPrefix(name), reason: `${name} stages its rows` };
  const code = materialize as MultiDefinition["materialize"]; // each definition hands in what it itself describes
  const outputs = Object.fromEntries(
    own.map(([output, given]) => {
      const definition = defineAsset({
        ...shared,
        ...given,
        multi: { name, output },
        materialize: (context, resources) =>
          rowsOf(output, code(contextFor(context, names, new Set([output])), resources)),
      });
      return [output, Object.freeze({ ...definition, needs: [...definition.needs, stage] })];
    }),
  );
  const keys = Object.values(outputs).map(({ key }) => key);
  const multi: MultiDefinition = { outputs, materialize: code };
  const made: JobDefinition = job({
    name,
    ...(description === undefined ? {} : { description }),
    resources: shared.resources ?? {},
    config: wishSchema(names),
    ...(shared.retry === undefined ? {} : { retry: shared.retry }),
    ...(shared.pool === undefined ? {} : { pool: shared.pool }),
    run: () => Promise.reject(new PermanentError(`${name} is run by its outputs`)),
  });
  const needs: readonly Need[] = [
    ...made.needs,
    stage,
    ...inputNeeds(assetKey(name), shared.inputs ?? {}),
    ...keys.map((key): Need => ({ kind: "publish", topic: topicOf(key), reason: `${name} has made rows of ${key}` })),
  ];
  return Object.freeze({
    assets: Object.values(outputs),
    jobs: [Object.freeze({ ...made, needs, multi })],
    // By the very names and schemas of the options.
    outputs: outputs as unknown as MultiAsset<A, R, C, P, I>["outputs"],
  });
}

/** Where the job stages rows. No asset's key has a dot, so no asset stages there. */
export function multiPrefix(name: string): string {
  return `multi.${name}/`;
}

/** The run key of the outputs' own runs, which publish what a run of the job has made. */
export function multiRunKey(jobRun: string): string {
  return `multi:${jobRun}`;
}

/** The context of the shared code, from that of an asset. */
export function contextFor(context: object, names: readonly string[], selected: ReadonlySet<string>): object {
  const row = Object.fromEntries(names.map((output) => [output, (value: unknown) => tagged(output, value)]));
  return { ...context, selected, row };
}

const TAG: unique symbol = Symbol.for("sluice.output-row") as never;

function tagged(output: string, row: unknown): OutputRow & { readonly [TAG]: true } {
  return { [TAG]: true, output, row };
}

/** What the code has yielded. Throws `PermanentError` (`invalid-row`) for what `context.row` has not made. */
export function outputRowOf(value: unknown): OutputRow {
  if (typeof value === "object" && value !== null && TAG in value) return value as unknown as OutputRow; // made by `tagged`
  throw new PermanentError("a multi-asset yields rows that say what they are of: yield row.<output>({ … })", {
    code: "invalid-row",
  });
}

/** The rows of one output; those of others are passed over. */
async function* rowsOf(output: string, produced: unknown): AsyncGenerator<unknown, void, void> {
  // The options' type lets the code return nothing else.
  for await (const some of (await produced) as AsyncIterable<unknown> | Iterable<unknown>) {
    for (const value of Array.isArray(some) ? (some as readonly unknown[]) : [some]) {
      const made = outputRowOf(value);
      if (made.output === output) yield made.row;
    }
  }
}

function wishSchema(names: readonly string[]) {
  return z.strictObject({
    select: z.array(z.enum(names)).min(1).optional(),
    partition: z.string().max(200).optional(),
    force: z.boolean().optional(),
    config: z.record(z.string(), z.unknown()).optional(),
  });
}
