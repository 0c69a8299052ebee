/**
 * A request for a run, as a message carries it, and as the claim freezes it.
 */
import { z } from "zod";
import { shortHash } from "./hash.ts";

/** Why a run was asked for. Kept with the run, shown in events, never used to choose a table or a path. */
export const causeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("manual") }),
  z.strictObject({ kind: z.literal("object"), uri: z.string(), generation: z.string() }),
  z.strictObject({ kind: z.literal("schedule"), at: z.number().optional() }),
  z.strictObject({ kind: z.literal("sensor"), sensor: z.string(), tick: z.string() }),
  z.strictObject({ kind: z.literal("materialization"), asset: z.string(), id: z.string() }),
  z.strictObject({ kind: z.literal("reconcile") }),
  z.strictObject({ kind: z.literal("backfill"), id: z.string() }),
  /** A source is looked at for the run of an asset that depends on it. */
  z.strictObject({ kind: z.literal("dependent"), asset: z.string(), run: z.string() }),
  /** The same as an earlier run was asked for, by hand. */
  z.strictObject({ kind: z.literal("replay"), run: z.string() }),
  /** A job that makes several outputs of a multi-asset has made the rows of this one. */
  z.strictObject({ kind: z.literal("job"), job: z.string(), run: z.string() }),
]);
export type Cause = z.infer<typeof causeSchema>;

/** The body of a message on `asset.*` or `job.*`. Everything is optional: `{}` means "the latest partition, by hand". */
export const requestSchema = z.strictObject({
  partition: z.string().max(200).optional(),
  runKey: z.string().max(2000).optional(),
  cause: causeSchema.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
  /** Run although nothing changed. The order of slots still holds. */
  force: z.boolean().optional(),
  /** Publish an older interval over a newer one (overwrite mode). */
  rollback: z.boolean().optional(),
  /** Publish although objects that were loaded before are gone from the listing. */
  allowMissing: z.boolean().optional(),
  /** Open a partition again that a clean-up has sealed. */
  unseal: z.boolean().optional(),
  /** The run of the multi-asset's job that has staged the rows for this one. */
  multi: z
    .string()
    .regex(/^[0-9a-f]{16}$/, "a run id has 16 hexadecimal digits")
    .optional(),
  tags: z.record(z.string(), z.string()).optional(),
});
export type RequestBody = z.infer<typeof requestSchema>;

/** What only data can hold is among them, and refused with the request instead of being overlooked. */
const WORDS = ["partition", "runKey", "config"] as const satisfies readonly (keyof RequestBody)[];
const FLAGS = ["force", "rollback", "allowMissing", "unseal"] as const satisfies readonly (keyof RequestBody)[];

/**
 * What a message asks: its data, or where that is `{}` or missing, what its attributes say by the names of a request's fields, as
 * who publishes by hand may write it. All other attributes are somebody else's, as those that Google adds to dead letters.
 */
export function requestIn({
  data,
  attributes,
}: {
  readonly data: unknown;
  readonly attributes: Readonly<Record<string, string>>;
}): unknown {
  if (typeof data !== "object" || data === null || Array.isArray(data) || Object.keys(data).length > 0) return data;
  const words = WORDS.map((name) => [name, own(attributes, name)] as const);
  const flags = FLAGS.map((name) => [name, flagOf(own(attributes, name))] as const);
  return Object.fromEntries([...words, ...flags].filter(([, value]) => value !== undefined));
}

function own(attributes: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

/** Any other text stays, and is refused with the request. */
function flagOf(text: string | undefined): boolean | string | undefined {
  return text === "true" ? true : text === "false" ? false : text;
}

/** The body of a message on `materialized.*`. */
export const materializationSchema = z.object({
  asset: z.string(),
  /** Empty for an asset without partitions. */
  partition: z.string(),
  materializationId: z.string(),
  runId: z.string(),
});

/** A request whose partition and run key are settled: what a claim works on. */
export interface RunRequest extends Omit<RequestBody, "partition" | "runKey" | "cause"> {
  readonly partition: string;
  readonly runKey: string;
  readonly cause: Cause;
  /** When the trigger was published; relative windows are taken from it. */
  readonly requestedAt: number;
}

/** A request with wishes of its own must not be folded into another one. */
export function isPlain(request: RunRequest): boolean {
  return (
    request.config === undefined &&
    request.force !== true &&
    request.rollback !== true &&
    request.allowMissing !== true &&
    request.multi === undefined &&
    request.unseal !== true
  );
}

/** The same trigger gives the same run, whatever its message id. 16 hexadecimal digits. */
export function runIdOf(kind: string, name: string, partition: string, runKey: string): string {
  return shortHash([kind, name, partition, runKey]);
}

/** A message that a commit decided on. Delivered at least once; its receiver recognises it by the run key within. */
export interface OutboxMessage {
  readonly topic: string;
  readonly data: unknown;
}
