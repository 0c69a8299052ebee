/** The control server's requests: `POST /api/<operation>` with a JSON body. Both sides go by these schemas. */
import { z } from "zod";
import { EVENT_TYPES } from "./event-lines.ts";
import { catalogSchema } from "./catalog.ts";
import type { DocumentKind, Documents, PartitionDocument, RunDocument, SensorDocument } from "../core/documents.ts";
import type { StoredEvent } from "../core/events.ts";
import type { Page } from "../ports/event-store.ts";

const text = z.string();
const page = { after: text.exactOptional(), limit: z.int().positive().exactOptional() };
// The table has every kind once, which is what the check on its type says.
const KINDS = [
  "run",
  "partition",
  "slot",
  "asset",
  "sensor",
  "due",
  "cursor",
  "backfill",
  "pause",
  "freshness",
  "alert",
] as const satisfies DocumentKind[];

export const requests = {
  catalog: z.strictObject({}),
  get: z.strictObject({ kind: z.enum(KINDS), id: text }),
  history: z.strictObject({
    ...page,
    asset: z.union([text, z.array(text)]).exactOptional(),
    partition: text.exactOptional(),
    run: text.exactOptional(),
    types: z.array(z.enum(EVENT_TYPES)).exactOptional(),
    order: z.enum(["newest", "oldest"]).exactOptional(),
  }),
  runs: z.strictObject({
    ...page,
    kind: z.enum(["asset", "job", "sensor"]).exactOptional(),
    name: text.exactOptional(),
    partition: text.exactOptional(),
    status: z.enum(["running", "parked", "succeeded", "failed", "skipped", "canceled"]).exactOptional(),
  }),
  partitions: z.strictObject({
    ...page,
    name: text,
    from: text.exactOptional(),
    to: text.exactOptional(),
  }),
  sensors: z.strictObject({}),
  publish: z.strictObject({ topic: text, data: text, attributes: z.record(text, text) }),
  switchSensor: z.strictObject({ name: text, status: z.enum(["running", "stopped"]) }),
  operate: z.discriminatedUnion("what", [
    z.strictObject({ what: z.literal("cancel"), run: text, reason: text.exactOptional() }),
    z.strictObject({ what: z.literal("pause"), asset: text, reason: text.exactOptional() }),
    z.strictObject({ what: z.literal("resume"), asset: text }),
    z.strictObject({ what: z.literal("replay-dead-letter"), deadLetter: text }),
  ]),
  changes: z.strictObject({ project: text.exactOptional(), dataset: text, table: text }),
  settle: z.strictObject({}),
} as const;

export type Operation = keyof typeof requests;
export type RequestOf<O extends Operation> = z.infer<(typeof requests)[O]>;

/** Documents and events are this version's own, as its store returned them: only their outline is looked at. */
const outline = <T>(shape: z.ZodType): z.ZodType<T> => z.custom<T>((value) => shape.safeParse(value).success);
const pageOf = <T>(shape: z.ZodType): z.ZodType<Page<T>> =>
  outline<Page<T>>(z.object({ items: z.array(shape), next: text.optional() }));

export const answers = {
  catalog: catalogSchema,
  get: outline<Documents[DocumentKind] | null>(z.looseObject({}).nullable()),
  history: pageOf<StoredEvent>(z.looseObject({ type: text, id: text, at: z.number(), position: text })),
  runs: pageOf<RunDocument>(z.looseObject({ id: text, name: text, status: text })),
  partitions: pageOf<PartitionDocument>(z.looseObject({ name: text, partition: text })),
  sensors: outline<readonly SensorDocument[]>(z.array(z.looseObject({ name: text }))),
  publish: z.object({ messageId: text }),
  switchSensor: z.object({}),
  /** What the operation of that name returns. */
  operate: z.object({ answer: z.unknown() }),
  changes: z.object({
    changes: z.object({ at: z.number(), partitions: z.record(text, z.number()).exactOptional() }).nullable(),
  }),
  /** False when it is time to ask again: no request waits for long. */
  settle: z.object({ settled: z.boolean() }),
} as const satisfies Readonly<Record<Operation, z.ZodType>>;

export type AnswerOf<O extends Operation> = z.infer<(typeof answers)[O]>;

export const objectAnswer = z.object({
  bucket: text,
  name: text,
  generation: text,
  size: z.number(),
  updated: z.number(),
});

export const failure = z.object({ error: z.object({ message: text, code: text.exactOptional() }) });

/** A query's answer, line by line: the columns, the rows, and either the end or what went wrong. */
export const queryLine = z.union([
  z.strictObject({ columns: z.array(text) }),
  z.strictObject({ row: z.record(text, z.unknown()) }),
  z.strictObject({ end: z.literal(true) }),
  failure,
]);
