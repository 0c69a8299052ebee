/**
 * How a document, or an event, lies in Firestore: its value as one JSON text that no index reads, beside it the few fields
 * that queries need. A document's name is the hash of its id, so that names spread evenly over the key range and every
 * text may be an id; the id itself is a field, for people.
 */
import type { Documents } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import type { EventType, SluiceEvent } from "../core/events.ts";
import { hash } from "../core/hash.ts";
import { DUE_SHARDS } from "../core/run-identity.ts";

/** What is stored: every kind of document, and events. */
export interface Stored extends Documents {
  readonly event: SluiceEvent;
}
export type StoredKind = keyof Stored;

export const COLLECTIONS: Readonly<Record<StoredKind, string>> = Object.freeze({
  run: "sluice_runs",
  partition: "sluice_partitions",
  slot: "sluice_slots",
  asset: "sluice_assets",
  sensor: "sluice_sensors",
  due: "sluice_due",
  cursor: "sluice_cursors",
  backfill: "sluice_backfills",
  pause: "sluice_pauses",
  freshness: "sluice_freshness",
  alert: "sluice_alerts",
  event: "sluice_events",
});

/** The version of this layout, in every document. A reader knows all versions up to its own. */
export const LAYOUT = 1;

/** What grows with time is spread over as many ranges of its index, because one range takes about 500 writes a second. */
export const SHARDS: readonly number[] = Array.from({ length: DUE_SHARDS }, (_, shard) => shard);

export function documentName(id: string): string {
  return hash(id).slice(0, 32);
}

/** How long what is of no use to any rule is kept, in ms. Heads, slots and materializations are kept for ever. */
export interface Keep {
  /** Ended runs, from their end, and the events that tell of runs. Default 90 days. */
  readonly runsMs: number;
  /** Events of type `log`. Default 30 days. */
  readonly logsMs: number;
}

const DAY_MS = 86_400_000;
export const defaultKeep: Keep = Object.freeze({ runsMs: 90 * DAY_MS, logsMs: 30 * DAY_MS });

/** Events that tell how things went; all others tell what was done to data, and stay. */
const PASSING: ReadonlySet<EventType> = new Set<EventType>([
  "run.started",
  "run.coalesced",
  "run.parked",
  "run.restarted",
  "run.succeeded",
  "run.skipped",
  "run.failed",
  "run.cancel-requested",
  "run.canceled",
  "check.evaluated",
  "sensor.ticked",
  "object.kept",
  "object.refused",
  "message.refused",
  "alert.sent",
  "alert.delayed",
  "alert.failed",
]);

type Fields = Readonly<Record<string, unknown>>;
type Columns = { readonly [K in StoredKind]: (value: Stored[K], name: string) => Fields };

/** What queries ask by. The place of an event in history is added when it is written. */
const COLUMNS: Columns = {
  run: ({ kind, name, partition, status, createdAt }, id) => ({
    kind,
    name: indexable(name),
    partition: indexable(partition),
    status,
    createdAt,
    shard: shardOf(id),
  }),
  partition: ({ name, partition }) => ({ name: indexable(name), partition: indexable(partition) }),
  due: ({ shard, dueAt }) => ({ shard: shard % SHARDS.length, dueAt }),
  event: ({ type, asset, partition, run }, id) => ({
    type,
    ...(asset === undefined ? {} : { asset: indexable(asset) }),
    ...(partition === undefined ? {} : { partition: indexable(partition) }),
    ...(run === undefined ? {} : { run: indexable(run) }),
    shard: shardOf(id),
  }),
  slot: () => ({}),
  asset: () => ({}),
  sensor: () => ({}),
  cursor: () => ({}),
  backfill: () => ({}),
  pause: () => ({}),
  freshness: () => ({}),
  alert: () => ({}),
};

/** Characters of a text that an index holds in every case: four bytes each are less than the 1,500 that it takes. */
const INDEXED_CHARS = 300;

/** A text as it is indexed and asked for. A very long one is cut, and told from others of the same beginning by a hash. */
export function indexable(text: string): string {
  if (text.length <= INDEXED_CHARS) return text;
  return `${text.slice(0, INDEXED_CHARS).toWellFormed()}#${hash(text)}`;
}

type Expiry = { readonly [K in StoredKind]?: (value: Stored[K], keep: Keep) => number | undefined };

/** When Firestore may delete the document (ms), if ever. */
const EXPIRY: Expiry = {
  run: ({ endedAt, outbox }, { runsMs }) => (endedAt === undefined || outbox.length > 0 ? undefined : endedAt + runsMs),
  // A deadline that nobody has looked at for so long has no sweep any more, and its run's lease is long over.
  due: ({ dueAt }, { runsMs }) => dueAt + runsMs,
  event: ({ type, at }, { runsMs, logsMs }) =>
    type === "log" ? at + logsMs : PASSING.has(type) ? at + runsMs : undefined,
};

/** Documents of these kinds may have a part that lies in an object, and are asked which objects they need. */
export const WITH_MANIFESTS: readonly StoredKind[] = ["run", "partition", "slot", "event"];
/** Lists of inputs that are longer lie in an object beside the database. */
export const MAX_INPUTS = 200;
/** Firestore takes 1 MiB; the rest is for the fields beside the text. */
export const MAX_BYTES = 900_000;

export interface Encoded {
  readonly fields: Fields;
  /** What lies outside of the document, by the hash that stands for it. */
  readonly texts: ReadonlyMap<string, string>;
}

export interface EncodeOptions {
  readonly keep: Keep;
  /** Whether there is a place for what is too long. */
  readonly outside: boolean;
  /** Says which write this was, so that one whose answer was lost is recognised. */
  readonly mark: string;
}

/** Throws `PermanentError` (`too-large`) for a document that Firestore cannot hold. */
export function encode<K extends StoredKind>(kind: K, id: string, value: Stored[K], options: EncodeOptions): Encoded {
  const { keep, mark } = options;
  const outside = options.outside && WITH_MANIFESTS.includes(kind);
  const texts = new Map<string, string>();
  const putOutside = (text: string): { $manifest: string } => {
    const key = hash(text);
    texts.set(key, text);
    return { $manifest: key };
  };
  let json = JSON.stringify(value, (key, inner: unknown) =>
    outside && key === "inputs" && Array.isArray(inner) && inner.length > MAX_INPUTS
      ? putOutside(JSON.stringify(inner))
      : inner,
  );
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_BYTES) {
    if (!outside) throw tooLarge(kind, id, bytes);
    json = JSON.stringify(putOutside(json));
  }
  const expireAt = EXPIRY[kind]?.(value, keep);
  const fields = {
    v: LAYOUT,
    id,
    mark,
    json,
    ...COLUMNS[kind](value, documentName(id)),
    ...(texts.size === 0 ? {} : { manifests: [...texts.keys()] }),
    ...(expireAt === undefined ? {} : { expireAt: new Date(expireAt) }),
  };
  return { fields, texts };
}

/** The hashes of what lies outside of a stored document. */
export function manifestsOf({ manifests }: Fields): readonly string[] {
  return Array.isArray(manifests) ? manifests.filter((key) => typeof key === "string") : [];
}

/** The value of a stored document; `texts` holds at least what `manifestsOf` names. Throws `PermanentError` (`bad-store`). */
export function decode<K extends StoredKind>(kind: K, fields: Fields, texts: ReadonlyMap<string, string>): Stored[K] {
  const { v, json } = fields;
  if (typeof v !== "number" || v < 1 || v > LAYOUT || typeof json !== "string") {
    throw new PermanentError(
      `a ${kind} document has layout ${String(v)}, and this Sluice knows layouts up to ${LAYOUT}; deploy the newer Sluice that wrote it`,
      { code: "bad-store" },
    );
  }
  // Only what the document itself lists stands for something else; an author's value that looks alike stays as it is.
  const known = new Set(manifestsOf(fields));
  const textOf = (inner: unknown): string | undefined => {
    if (typeof inner !== "object" || inner === null || !("$manifest" in inner)) return undefined;
    const { $manifest: key } = inner;
    if (typeof key !== "string" || !known.has(key)) return undefined;
    const text = texts.get(key);
    if (text === undefined) throw new PermanentError(`the manifest ${key} was not loaded`, { code: "bad-store" });
    return text;
  };
  const revive = (key: string, inner: unknown): unknown => {
    const text = key === "inputs" ? textOf(inner) : undefined;
    return text === undefined ? inner : (JSON.parse(text) as unknown);
  };
  const whole = known.size === 0 ? undefined : textOf(JSON.parse(json));
  // The text was written by `encode`, from a value of this kind.
  return JSON.parse(whole ?? json, known.size === 0 ? undefined : revive) as Stored[K];
}

function shardOf(name: string): number {
  return parseInt(name.slice(0, 2), 16) % SHARDS.length;
}

function tooLarge(kind: StoredKind, id: string, bytes: number): PermanentError {
  const remedy = WITH_MANIFESTS.includes(kind)
    ? "give the event store a bucket for manifests, or store a reference"
    : "store a reference";
  return new PermanentError(
    `the ${kind} document ${JSON.stringify(id.slice(0, 80))} has ${bytes} bytes, and Firestore holds 1 MiB; ${remedy}`,
    { code: "too-large" },
  );
}
