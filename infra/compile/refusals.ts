/** What the cloud would refuse later, or nobody would want: each with its number and the remedy. */
import { bucketTopicOf } from "../../lib/core/asset-key.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { allNeeds } from "../../lib/core/definitions.ts";
import { writtenDatasets } from "../../lib/core/dataset-suffix.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { watchedBuckets } from "../../lib/core/subscriptions.ts";
import type { Unit } from "../../lib/core/units.ts";
import { didYouMean } from "../../lib/core/suggest.ts";
import type { Environment } from "../environments.ts";
import type { Accounts } from "../iam/accounts.ts";
import { MAX_CONDITIONS } from "../iam/objects.ts";
import type { Manifest } from "../manifest.ts";
import { deployedNameOf, pubsubFault } from "../names.ts";
import { canLoad } from "./locations.ts";
import { tooManyPartitions } from "./partitions.ts";

/** Eventarc's, for one location. */
const MAX_TRIGGERS = 500;

/** IAM's, for one policy: every member of every role counts. */
const MAX_MEMBERS = 1_500;
/** Cloud Storage's, for a name without dots. */
const MAX_BUCKET_NAME = 63;

/** As the author wrote them, and as the environment makes them. */
export interface RefusalOptions {
  readonly authored: Definitions;
  readonly environment: Environment;
  readonly units: readonly Unit[];
  readonly accounts: Accounts;
}

export function definitionRefusals(options: RefusalOptions): DefinitionError[] {
  return [
    ...collisions(options),
    ...tooManyPartitions(options.authored),
    ...[...options.authored.assets.values()].flatMap((asset) => farAway(options, asset)),
    ...crossWrites(options),
    ...strangeSizes(options),
    ...triggerPlaces(options),
  ];
}

/** Of what the manifest holds. */
export function manifestRefusals(manifest: Manifest, environment: Environment): DefinitionError[] {
  const { quotas, name, project, region } = environment;
  const where = `environment ${name}`;
  const tooMany = (have: number, most: number, what: string, remedy: string): DefinitionError[] =>
    have <= most
      ? []
      : [
          new DefinitionError(
            `it has ${have.toLocaleString("en")} ${what}, and ${most.toLocaleString("en")} are the most`,
            {
              where,
              remedy,
            },
          ),
        ];
  const triggers = manifest.functions.filter(({ trigger }) => trigger !== undefined).length;
  const conditional = Map.groupBy(
    [...manifest.bindings, ...manifest.foreignBindings].filter(
      ({ resource, condition }) => resource.kind === "bucket" && condition !== undefined,
    ),
    ({ resource, role, member }) => `${member} has ${role} on gs://${resource.name}`,
  );
  const policies = Map.groupBy(manifest.bindings, ({ resource }) => `${resource.kind} ${resource.name}`);
  const longBuckets = manifest.buckets.filter(
    ({ name: bucket }) => bucket.length > MAX_BUCKET_NAME && !bucket.includes("."),
  );
  const names = [
    ...manifest.topics.map((topic) => ["topic", topic.name] as const),
    ...manifest.subscriptions.map((subscription) => ["subscription", subscription.name] as const),
  ];
  return [
    ...tooMany(
      manifest.functions.length,
      quotas.functions,
      `functions in ${region}`,
      "make assets together by multiAsset, split the project, or raise the quota of Cloud Run services and say so in quotas.functions",
    ),
    ...tooMany(
      manifest.accounts.length,
      quotas.serviceAccounts,
      `service accounts in ${project}`,
      'use accounts: "file" or "group", or raise the quota and say so in quotas.serviceAccounts',
    ),
    ...tooMany(
      manifest.schedules.length,
      quotas.schedulerJobs,
      `scheduler jobs in ${region}`,
      "let assets follow their upstreams by eager(), or raise the quota (up to 5,000) and say so in quotas.schedulerJobs",
    ),
    ...tooMany(triggers, MAX_TRIGGERS, `Eventarc triggers in ${region}`, 'use triggers: "push"'),
    ...[...conditional].flatMap(([who, bindings]) =>
      tooMany(
        bindings.length,
        MAX_CONDITIONS,
        `prefixes for which ${who}`,
        'put them below one prefix, or use accounts: "asset"',
      ),
    ),
    ...[...policies].flatMap(([resource, bindings]) =>
      tooMany(
        bindings.length,
        MAX_MEMBERS,
        `roles in the policy of the ${resource}`,
        'use accounts: "file" or "group"',
      ),
    ),
    ...longBuckets.map(
      ({ name: bucket }) =>
        new DefinitionError(
          `the bucket ${bucket} has ${bucket.length} characters, and Cloud Storage takes ${MAX_BUCKET_NAME}`,
          { where, remedy: "use a shorter name for the environment, or say stagingBucket and deploymentBucket" },
        ),
    ),
    ...names.flatMap(([what, text]) => {
      const fault = pubsubFault(text);
      if (fault === undefined) return [];
      return [new DefinitionError(`the ${what} ${text} ${fault}`, { where, remedy: "give it a shorter name" })];
    }),
  ];
}

function collisions({ authored, environment, units, accounts }: RefusalOptions): DefinitionError[] {
  const named = Map.groupBy(units, (unit) => deployedNameOf(environment.namePrefix, unit));
  const functions = [...named].flatMap(([name, [first, ...others]]) =>
    first === undefined || others.length === 0
      ? []
      : [
          new DefinitionError(`${[first, ...others].map(({ id }) => id).join(" and ")} would both be called ${name}`, {
            where: placeOf(authored, others[0]?.id ?? "", environment),
            remedy: "rename one of them; /, _ and - are the same there",
          }),
        ],
  );
  const clashes = [...accounts.collisions].map(
    ([name, [one = "", other = ""]]) =>
      new DefinitionError(`the service account ${name} is one that ${one}, and one that ${other}`, {
        where: `environment ${environment.name}`,
        remedy: "rename one of them",
      }),
  );
  return [...functions, ...clashes];
}

function placeOf({ places }: Definitions, unit: string, { name }: Environment): string {
  return places.get(unit) ?? `environment ${name}`;
}

/** Only what is said of a bucket can be compared. */
function farAway({ authored, environment }: RefusalOptions, asset: AssetDefinition): DefinitionError[] {
  const { source, target, key } = asset;
  if (source === undefined || target === undefined) return [];
  const bucket = environment.buckets[source.bucket]?.location;
  if (bucket === undefined || canLoad(bucket, environment.location)) return [];
  return [
    new DefinitionError(
      `${key} is loaded from gs://${source.bucket} in ${bucket} into a dataset in ${environment.location}, which BigQuery cannot do`,
      {
        where: placeOf(authored, `asset ${key}`, environment),
        remedy: `copy the objects to a bucket in ${environment.location}, or keep the datasets in ${bucket}`,
      },
    ),
  ];
}

/** With a suffix, everything that is written has to be the environment's own: code that names a dataset itself cannot follow. */
function crossWrites({ authored, environment }: RefusalOptions): DefinitionError[] {
  if (environment.datasetSuffix === "") return [];
  const written = writtenDatasets(authored);
  const all = [
    ...[...authored.assets.values()].map((asset) => [`asset ${asset.key}`, allNeeds(authored, asset)] as const),
    ...[...authored.jobs.values()].map(({ name, needs }) => [`job ${name}`, needs] as const),
    ...[...authored.sensors.values()].map(({ name, needs }) => [`sensor ${name}`, needs] as const),
  ];
  return all.flatMap(([who, needs]) =>
    needs.flatMap((need) => {
      if (need.kind !== "write-dataset" || written.has(`${need.project ?? ""}.${need.dataset}`)) return [];
      return [
        new DefinitionError(
          `${who} writes the dataset ${need.dataset} by its own code (${need.reason}), which other environments write too`,
          {
            where: placeOf(authored, who, environment),
            remedy: "write to its target, or deploy it only where there is no datasetSuffix",
          },
        ),
      ];
    }),
  );
}

function strangeSizes({ units, environment }: RefusalOptions): DefinitionError[] {
  const ids = units.map(({ id }) => id);
  return Object.keys(environment.sizes)
    .filter((id) => !ids.includes(id))
    .map(
      (id) =>
        new DefinitionError(`there is no function of ${JSON.stringify(id)}`, {
          where: `environment ${environment.name} sizes`,
          remedy: didYouMean(id, ids) ?? "leave it out",
        }),
    );
}

/** A trigger is made where its bucket is, and nothing but the environment says where that is. */
function triggerPlaces({ authored, environment }: RefusalOptions): DefinitionError[] {
  if (environment.triggers === "push") return [];
  return watchedBuckets(authored)
    .filter((bucket) => environment.buckets[bucket]?.location === undefined)
    .map(
      (bucket) =>
        new DefinitionError(`a trigger for ${bucketTopicOf(bucket)} has to be where the bucket is`, {
          where: `environment ${environment.name} buckets.${bucket}`,
          remedy: 'say where it is: { "location": "EU" }',
        }),
    );
}

/** Environments that would replace each other's rows. */
export function sharedDatasets(
  authored: Definitions,
  environment: Environment,
  others: readonly Environment[],
): DefinitionError[] {
  const own = placesWritten(authored, environment);
  return others.flatMap((other) => {
    if (other.name === environment.name) return [];
    const shared = [...placesWritten(authored, other)].filter((dataset) => own.has(dataset)).sort();
    if (shared.length === 0) return [];
    const shown = `${shared.slice(0, 3).join(", ")}${shared.length > 3 ? ` and ${shared.length - 3} more` : ""}`;
    return [
      new DefinitionError(`${environment.name} and ${other.name} both write ${shown}`, {
        where: `environment ${other.name}`,
        remedy: `give one of them a datasetSuffix such as "_${other.name.replaceAll("-", "_")}"`,
      }),
    ];
  });
}

/** In full: `project.dataset`. With a suffix, in the environment's own project. */
function placesWritten(authored: Definitions, { project, datasetSuffix }: Environment): ReadonlySet<string> {
  return new Set(
    [...writtenDatasets(authored)].map((name) => {
      const [owner = "", dataset = ""] = name.split(".");
      return `${owner === "" || datasetSuffix !== "" ? project : owner}.${dataset}${datasetSuffix}`;
    }),
  );
}
