/** A decision as the writes that Firestore gets. */
import type { DocumentData, DocumentReference, DocumentSnapshot, WriteBatch } from "@google-cloud/firestore";
import { checkDocumentId } from "../core/document-id.ts";
import type { Decision } from "../core/documents.ts";
import type { OpenFirestore } from "./firestore-client.ts";
import { COLLECTIONS, documentName, encode } from "./firestore-documents.ts";
import type { EncodeOptions, Stored, StoredKind } from "./firestore-documents.ts";

export interface Change {
  readonly at: DocumentReference;
  /** `undefined` deletes. */
  readonly data: DocumentData | undefined;
}

export interface NewEvent {
  readonly at: DocumentReference;
  readonly data: DocumentData;
}

export interface Changes {
  readonly documents: readonly Change[];
  readonly events: readonly NewEvent[];
  /** What has to lie outside of the documents before they are written, by hash. */
  readonly texts: ReadonlyMap<string, string>;
}

export interface ChangeOptions extends EncodeOptions {
  /** The number of the first event within its commit. */
  readonly firstEvent: number;
}

/** Throws `PermanentError` for what Firestore cannot hold. */
export function changesOf(open: OpenFirestore, decision: Decision<unknown>, options: ChangeOptions): Changes {
  const texts = new Map<string, string>();
  const dataOf = <K extends StoredKind>(kind: K, id: string, value: Stored[K]): DocumentData => {
    const encoded = encode(kind, id, value, options);
    for (const [key, text] of encoded.texts) texts.set(key, text);
    return encoded.fields;
  };
  // The last write to a document counts, and the first event of an id.
  const documents = new Map<string, Change>();
  for (const write of decision.writes) {
    const { kind, id } = "delete" in write ? write.delete : write.put;
    const at = placeOf(open, kind, id);
    const data = "delete" in write ? undefined : dataOf(kind, id, write.value);
    documents.set(at.path, { at, data });
  }
  const events = new Map<string, NewEvent>();
  for (const [index, event] of decision.events.entries()) {
    const at = placeOf(open, "event", event.id);
    if (events.has(at.path)) continue;
    // Firestore's own time of the commit orders history; no counter could take every event of a project.
    const t = open.sdk.FieldValue.serverTimestamp();
    events.set(at.path, { at, data: { ...dataOf("event", event.id, event), t, n: options.firstEvent + index } });
  }
  return { documents: [...documents.values()], events: [...events.values()], texts };
}

/**
 * Puts everything into one batch that Firestore takes only if every document that was read is still as it was then. Events
 * are created, so that a commit with an event that is there already changes nothing and fails.
 *
 * A document that was only read is guarded by a write that changes nothing, and leaves its time of update as it was: two
 * that guard the same document are not in each other's way.
 */
export function applyChanges(
  { sdk }: Pick<OpenFirestore, "sdk">,
  batch: WriteBatch,
  { documents, events }: Pick<Changes, "documents" | "events">,
  read: readonly DocumentSnapshot[],
): void {
  const onlyRead = new Map(read.map((snapshot) => [snapshot.ref.path, snapshot]));
  for (const { at, data } of documents) {
    const before = onlyRead.get(at.path);
    onlyRead.delete(at.path);
    if (before !== undefined) replace(sdk, batch, before, data);
    else if (data === undefined) batch.delete(at);
    else batch.set(at, data);
  }
  for (const snapshot of onlyRead.values()) {
    const { ref, updateTime } = snapshot;
    if (updateTime === undefined) batch.delete(ref, { exists: false });
    else batch.update(ref, { v: snapshot.get("v") as unknown }, { lastUpdateTime: updateTime });
  }
  for (const { at, data } of events) batch.create(at, data);
}

/** A write that fails when the document is not any more what it was `before`. */
function replace(
  { FieldValue }: OpenFirestore["sdk"],
  batch: WriteBatch,
  before: DocumentSnapshot,
  data: DocumentData | undefined,
): void {
  const { ref, updateTime } = before;
  if (updateTime === undefined) {
    if (data === undefined) batch.delete(ref, { exists: false });
    else batch.create(ref, data);
  } else if (data === undefined) batch.delete(ref, { lastUpdateTime: updateTime });
  else {
    // Of the writes that replace, only an update takes a condition, and it leaves the fields that it does not name.
    const gone = Object.keys(before.data() ?? {}).filter((field) => !(field in data));
    const removed = Object.fromEntries(gone.map((field) => [field, FieldValue.delete()]));
    batch.update(ref, { ...data, ...removed }, { lastUpdateTime: updateTime });
  }
}

/** Where a document lies; throws `PermanentError` for an id that no store takes. */
export function placeOf({ db }: Pick<OpenFirestore, "db">, kind: StoredKind, id: string): DocumentReference {
  checkDocumentId(kind, id);
  return db.collection(COLLECTIONS[kind]).doc(documentName(id));
}
