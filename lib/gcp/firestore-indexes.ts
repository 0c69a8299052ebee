/**
 * The indexes and deletion rules that the event store's queries need in the cloud, as data that a deployment carries out. The
 * emulator answers without them, so a test derives what is needed from the queries and compares.
 *
 * A query on several fields is served by an index on exactly these fields, or by several that each cover some of them
 * and end in the same order, which Firestore merges. What people ask often has an index of its own.
 */
import { COLLECTIONS, WITH_MANIFESTS } from "./firestore-documents.ts";
import type { StoredKind } from "./firestore-documents.ts";

export interface CompositeIndex {
  readonly collectionGroup: string;
  readonly queryScope: "COLLECTION";
  readonly fields: readonly { readonly fieldPath: string; readonly order: "ASCENDING" | "DESCENDING" }[];
}

/**
 * How a field deviates from Firestore's default, which indexes every field by itself. The path `*` stands for every field of the
 * collection that has no indexes of its own here.
 */
export type FieldOverride = { readonly collectionGroup: string; readonly fieldPath: string } & (
  | { readonly indexes: readonly { readonly queryScope: "COLLECTION"; readonly arrayConfig: "CONTAINS" }[] }
  /** Documents are deleted when this time has passed. */
  | { readonly ttl: true }
);

function index(
  kind: StoredKind,
  equal: readonly string[],
  order: readonly string[],
  direction: "ASCENDING" | "DESCENDING",
): CompositeIndex {
  return {
    collectionGroup: COLLECTIONS[kind],
    queryScope: "COLLECTION",
    fields: [
      ...equal.map((fieldPath) => ({ fieldPath, order: "ASCENDING" as const })),
      ...order.map((fieldPath) => ({ fieldPath, order: direction })),
    ],
  };
}

const HISTORY_FILTERS: readonly (readonly string[])[] = [
  ["run"],
  ["asset"],
  ["asset", "type"],
  ["asset", "partition"],
  ["shard"],
  ["shard", "type"],
  ["shard", "partition"],
];

const RUN_FILTERS: readonly (readonly string[])[] = [
  ["name"],
  ["name", "status"],
  ["name", "partition"],
  ["shard"],
  ["shard", "kind"],
  ["shard", "status"],
  ["shard", "partition"],
];

export const COMPOSITE_INDEXES: readonly CompositeIndex[] = [
  ...HISTORY_FILTERS.flatMap((equal) => [
    index("event", equal, ["t", "n"], "DESCENDING"),
    index("event", equal, ["t", "n"], "ASCENDING"),
  ]),
  ...RUN_FILTERS.map((equal) => index("run", equal, ["createdAt"], "DESCENDING")),
  index("partition", ["name"], ["partition"], "ASCENDING"),
  index("due", ["shard"], ["dueAt"], "ASCENDING"),
];

const WITH_EXPIRY: readonly StoredKind[] = ["run", "due", "event"];

// The keys of COLLECTIONS are the kinds.
const KINDS = Object.keys(COLLECTIONS) as StoredKind[];

/** No field is asked for by itself but the manifests, and an index of what only grows would be one hot range. */
export const FIELD_OVERRIDES: readonly FieldOverride[] = KINDS.flatMap((kind) => {
  const collectionGroup = COLLECTIONS[kind];
  const contains = [{ queryScope: "COLLECTION" as const, arrayConfig: "CONTAINS" as const }];
  return [
    { collectionGroup, fieldPath: "*", indexes: [] },
    ...(WITH_MANIFESTS.includes(kind) ? [{ collectionGroup, fieldPath: "manifests", indexes: contains }] : []),
    ...(WITH_EXPIRY.includes(kind) ? [{ collectionGroup, fieldPath: "expireAt", ttl: true as const }] : []),
  ];
});
