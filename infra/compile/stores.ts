/** Where data is kept: datasets, the staging bucket, the Firestore database, the images; and the APIs behind all of it. */
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Environment } from "../environments.ts";
import type { Manifest } from "../manifest.ts";

/** The indexes and fields of the event store, as lib/gcp declares them. */
export interface FirestoreSchema {
  readonly indexes: readonly {
    readonly collectionGroup: string;
    readonly queryScope: "COLLECTION";
    readonly fields: readonly { readonly fieldPath: string; readonly order: "ASCENDING" | "DESCENDING" }[];
  }[];
  readonly fields: readonly ({ readonly collectionGroup: string; readonly fieldPath: string } & (
    | { readonly indexes: readonly { readonly queryScope: "COLLECTION"; readonly arrayConfig: "CONTAINS" }[] }
    | { readonly ttl: true }
  ))[];
}

const DAY_S = 86_400;

/** Every dataset of the environment's own project that is written. One that only holds staging and raw tables empties itself. */
export function datasetsOf(definitions: Definitions, environment: Environment): Manifest["datasets"] {
  const { location, stagingTableDays, project } = environment;
  const staging = new Set<string>();
  const visible = new Set<string>();
  const reasons = new Map<string, Set<string>>();
  const add = (dataset: string, reason: string): void => {
    const known = reasons.get(dataset) ?? new Set();
    reasons.set(dataset, known.add(reason));
  };
  const isOwn = (owner: string | undefined): boolean => owner === undefined || owner === project;
  for (const { key, target, external, needs } of definitions.assets.values()) {
    if (external !== true && target !== undefined && isOwn(target.table.project)) {
      visible.add(target.table.dataset);
      add(target.table.dataset, `${key} is published in it`);
      if (target.stagingDataset !== undefined) staging.add(target.stagingDataset);
    }
    for (const need of external === true ? [] : needs)
      if (need.kind === "write-dataset" && isOwn(need.project)) add(need.dataset, need.reason);
  }
  const declared = [...definitions.jobs.values(), ...definitions.sensors.values()].flatMap(({ needs }) => needs);
  for (const need of declared)
    if (need.kind === "write-dataset" && isOwn(need.project)) {
      visible.add(need.dataset);
      add(need.dataset, need.reason);
    }
  return [...reasons]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, why]) => ({
      name,
      location,
      ...(staging.has(name) && !visible.has(name) ? { defaultTableExpirationSeconds: stagingTableDays * DAY_S } : {}),
      reasons: [...why].sort(),
    }));
}

/** Google copies a function's source when it is deployed. */
const SOURCE_DAYS = 30;

/** The staging bucket's lifecycle is a net behind the sweep, for staged files alone: what the history needs has no age. */
export function bucketsOf(environment: Environment): Manifest["buckets"] {
  const { stagingBucket, deploymentBucket, location, stagedObjectDays } = environment;
  return [
    {
      name: deploymentBucket,
      location,
      uniformAccess: true,
      publicAccessPrevention: true,
      softDeleteDays: 7,
      lifecycle: [{ action: "Delete", ageDays: SOURCE_DAYS, matchesSuffix: [".zip"] }],
      reasons: ["functions are deployed from it", "what was deployed last is kept there"],
    },
    {
      name: stagingBucket,
      location,
      uniformAccess: true,
      publicAccessPrevention: true,
      softDeleteDays: 0,
      lifecycle: [
        { action: "Delete", ageDays: stagedObjectDays, matchesSuffix: [".parquet", "/progress.json", "/receipt.json"] },
        { action: "AbortIncompleteMultipartUpload", ageDays: 7 },
      ],
      reasons: [
        "the event store keeps there what is too large for a document",
        "rows lie there on their way into tables",
      ],
    },
  ];
}

export function firestoreOf(environment: Environment, { indexes, fields }: FirestoreSchema): Manifest["firestore"] {
  const text = (value: unknown): string => JSON.stringify(value);
  return {
    database: environment.database,
    location: environment.firestoreLocation,
    indexes: indexes
      .map(({ collectionGroup, queryScope, fields: parts }) => ({ collectionGroup, queryScope, fields: [...parts] }))
      .sort((a, b) => (text(a) < text(b) ? -1 : 1)),
    fields: fields
      .map((field) => ("ttl" in field ? field : { ...field, indexes: [...field.indexes] }))
      .sort((a, b) => (`${a.collectionGroup} ${a.fieldPath}` < `${b.collectionGroup} ${b.fieldPath}` ? -1 : 1)),
  };
}

/** Every deployment builds images, and nobody needs the old ones: a redeployment builds anew. */
export function imagesOf({ region }: Environment): Manifest["images"] {
  return {
    repository: "gcf-artifacts",
    location: region,
    policies: [
      { name: "sluice-keep-recent", action: { type: "Keep" }, mostRecentVersions: { keepCount: 2 } },
      { name: "sluice-delete-old", action: { type: "Delete" }, condition: { tagState: "ANY", olderThan: "7d" } },
    ],
  };
}

const APIS: readonly string[] = [
  "artifactregistry.googleapis.com",
  "bigquery.googleapis.com",
  "cloudbuild.googleapis.com",
  "cloudfunctions.googleapis.com",
  "cloudresourcemanager.googleapis.com",
  "cloudscheduler.googleapis.com",
  "cloudtasks.googleapis.com",
  "firestore.googleapis.com",
  "iam.googleapis.com",
  "logging.googleapis.com",
  "pubsub.googleapis.com",
  "run.googleapis.com",
  "serviceusage.googleapis.com",
  "storage.googleapis.com",
];

export function apisOf({ triggers }: Environment, secrets: boolean): string[] {
  return [
    ...APIS,
    ...(triggers === "eventarc" ? ["eventarc.googleapis.com"] : []),
    ...(secrets ? ["secretmanager.googleapis.com"] : []),
  ].sort();
}
