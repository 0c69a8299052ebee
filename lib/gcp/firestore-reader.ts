/** Reads what lies in Firestore: single documents, and the answers of queries. */
import type { DocumentSnapshot, Query } from "@google-cloud/firestore";
import { placeOf } from "./firestore-changes.ts";
import { firestoreError } from "./firestore-client.ts";
import type { FirestoreClient, OpenFirestore } from "./firestore-client.ts";
import { COLLECTIONS, WITH_MANIFESTS, decode, indexable, manifestsOf } from "./firestore-documents.ts";
import type { Stored, StoredKind } from "./firestore-documents.ts";
import type { Manifests } from "./firestore-manifests.ts";
import type { StoreQuery } from "./firestore-queries.ts";

/** A document that was found, with its name, which places it behind others of the same order. */
export interface Row<K extends StoredKind> {
  readonly value: Stored[K];
  readonly name: string;
  readonly snapshot: DocumentSnapshot;
}

export interface Reader {
  get<K extends StoredKind>(kind: K, id: string): Promise<Stored[K] | undefined>;
  /** Every document of a kind, in no order. */
  all<K extends StoredKind>(kind: K): Promise<readonly Row<K>[]>;
  /** The answer of one query. */
  rows<K extends StoredKind>(kind: K, query: StoreQuery): Promise<readonly Row<K>[]>;
  /** Whether any document needs the object of this hash. */
  needsManifest(key: string): Promise<boolean>;
}

export function firestoreReader(client: FirestoreClient, manifests: Manifests): Reader {
  const reach = async <T>(work: (open: OpenFirestore) => Promise<T>): Promise<T> => {
    const open = await client.open();
    try {
      return await work(open);
    } catch (error) {
      throw firestoreError(client, error);
    }
  };

  async function decodeAll<K extends StoredKind>(
    kind: K,
    snapshots: readonly DocumentSnapshot[],
  ): Promise<readonly Row<K>[]> {
    const found = snapshots.flatMap((snapshot) => {
      const fields = snapshot.data();
      return fields === undefined ? [] : [{ snapshot, fields }];
    });
    const texts = await manifests.load(found.flatMap(({ fields }) => manifestsOf(fields)));
    return found.map(({ snapshot, fields }) => ({ value: decode(kind, fields, texts), name: snapshot.id, snapshot }));
  }

  return {
    get: async (kind, id) => {
      const snapshot = await reach((open) => placeOf(open, kind, id).get());
      return (await decodeAll(kind, [snapshot]))[0]?.value;
    },
    all: async (kind) => await decodeAll(kind, (await reach(({ db }) => db.collection(COLLECTIONS[kind]).get())).docs),
    rows: async (kind, query) => await decodeAll(kind, (await reach((open) => queryOf(open, query).get())).docs),
    needsManifest: async (key) => {
      for (const kind of WITH_MANIFESTS) {
        const found = await reach(({ db }) =>
          db.collection(COLLECTIONS[kind]).where("manifests", "array-contains", key).limit(1).select().get(),
        );
        if (!found.empty) return true;
      }
      return false;
    },
  };
}

function queryOf({ db, sdk }: OpenFirestore, { kind, equal, range = [], order, after, limit }: StoreQuery): Query {
  let query: Query = db.collection(COLLECTIONS[kind]);
  for (const [field, values] of equal) {
    const wanted = values.map(asIndexed);
    query = wanted.length === 1 ? query.where(field, "==", wanted[0]) : query.where(field, "in", wanted);
  }
  for (const [field, operator, value] of range) query = query.where(field, operator, asIndexed(value));
  for (const [field, direction] of order) query = query.orderBy(field, direction);
  query = query.orderBy(sdk.FieldPath.documentId(), order.at(-1)?.[1] ?? "asc").limit(limit);
  if (after === undefined) return query;
  if (!("seconds" in after)) return query.startAfter(...after.map(asIndexed));
  return query.startAfter(new sdk.Timestamp(after.seconds, after.nanoseconds), after.n, after.name);
}

function asIndexed(value: string | number): string | number {
  return typeof value === "string" ? indexable(value) : value;
}
