/**
 * Least privilege: a service account may do what the needs of its functions say, and no more. Each binding carries its reasons.
 * Nothing is ever granted to `allUsers`.
 */
import type { Definitions } from "../lib/core/definitions.ts";
import type { Unit } from "../lib/core/units.ts";
import { accessOf, wakingTopics } from "./iam/access.ts";
import type { Access } from "./iam/access.ts";
import type { Account, Accounts } from "./iam/accounts.ts";
import { objectBindings } from "./iam/objects.ts";
import type { ObjectRight } from "./iam/objects.ts";
import type { Environment } from "./environments.ts";
import type { Binding, Manifest, Resource } from "./manifest.ts";
import { deployedNameOf } from "./names.ts";

export interface IamOptions {
  readonly definitions: Definitions;
  readonly environment: Environment;
  readonly units: readonly Unit[];
  readonly accounts: Accounts;
  /** What else the deployment consists of, and the agents of Google's services have a part in. */
  readonly parts: Pick<Manifest, "functions" | "subscriptions" | "deadLetters" | "notifications" | "queues">;
}

export interface Iam {
  readonly bindings: Binding[];
  readonly foreignBindings: Binding[];
  readonly withheld: Manifest["withheld"];
  /** By the unit's id: the names of the secrets that it reads. */
  readonly secrets: ReadonlyMap<string, string[]>;
}

/** Where the event store keeps what is too large for a document. */
const MANIFESTS = "manifests/";

export function iamOf(options: IamOptions): Iam {
  const { definitions, environment, units, accounts } = options;
  const grants: Binding[] = [];
  const objects: ObjectRight[] = [];
  const withheld: Manifest["withheld"] = [];
  const secrets = new Map<string, string[]>();
  for (const unit of units) {
    const account = accounts.of.get(unit.id);
    if (account === undefined) continue;
    const all = accessOf(definitions, unit);
    const names = all.flatMap((access) => (access.kind === "secret" ? [access.name] : []));
    secrets.set(unit.id, [...new Set(names)].sort());
    for (const access of all) {
      const refused = refusedAccess(environment, access);
      if (refused !== undefined) withheld.push({ unit: unit.id, access: refused, reason: access.reason });
      else {
        objects.push(...objectRights(environment, account, access));
        grants.push(...grantsOf(environment, account, accounts, access, options.parts));
      }
    }
  }
  grants.push(...objectBindings(objects), ...platformGrants(options));
  const merged = mergedBindings(grants);
  const isForeign = ({ resource: { project } }: Binding): boolean =>
    project !== undefined && project !== environment.project;
  return {
    bindings: merged.filter((binding) => !isForeign(binding)),
    foreignBindings: merged.filter(isForeign),
    withheld: [...new Map(withheld.map((entry) => [JSON.stringify(entry), entry])).values()].sort(byText),
    secrets,
  };
}

/** What an environment that stands beside another one may not do to what they share; in words. */
function refusedAccess({ buckets, datasetSuffix }: Environment, access: Access): string | undefined {
  if (access.kind !== "write-objects" && access.kind !== "delete-objects") return undefined;
  const writable = buckets[access.bucket]?.writable ?? datasetSuffix === "";
  return writable ? undefined : `${access.kind} gs://${access.bucket}/${access.prefix}`;
}

function objectRights({ stagingBucket, buckets }: Environment, account: Account, access: Access): ObjectRight[] {
  const member = memberOf(account);
  const { reason } = access;
  switch (access.kind) {
    case "read-objects":
    case "write-objects":
    case "delete-objects": {
      const { bucket, prefix } = access;
      const level = access.kind === "read-objects" ? "read" : "change";
      return [{ member, ...placeOf(buckets, bucket), prefix, level, reason }];
    }
    case "list-objects":
      return [{ member, ...placeOf(buckets, access.bucket), prefix: "", level: "list", reason }];
    case "stage-objects": {
      const staging = { member, bucket: stagingBucket, reason };
      return [
        { ...staging, prefix: access.prefix, level: "change" },
        { ...staging, prefix: "", level: "list" },
      ];
    }
    case "sweep-staging":
      return [{ member, bucket: stagingBucket, prefix: "", level: "change", reason }];
    // Whoever may not list is told that an object which is not there is forbidden.
    case "event-store":
      return [
        { member, bucket: stagingBucket, prefix: MANIFESTS, level: "change", reason },
        { member, bucket: stagingBucket, prefix: "", level: "list", reason },
      ];
    default:
      return [];
  }
}

function placeOf(buckets: Environment["buckets"], bucket: string): Pick<ObjectRight, "bucket" | "project"> {
  const project = buckets[bucket]?.project;
  return { bucket, ...(project === undefined ? {} : { project }) };
}

function grantsOf(
  environment: Environment,
  account: Account,
  accounts: Accounts,
  access: Access,
  { queues }: IamOptions["parts"],
): Binding[] {
  const { project, database, namePrefix } = environment;
  const grant = (resource: Resource, role: string, more: Partial<Binding> = {}): Binding => ({
    resource,
    role,
    member: memberOf(account),
    ...more,
    reasons: [access.reason],
  });
  switch (access.kind) {
    case "read-dataset":
    case "write-dataset": {
      const where = access.project === undefined || access.project === project ? {} : { project: access.project };
      const binding = grant({ kind: "dataset", name: access.dataset, ...where }, datasetRole(access));
      return [access.replaces === true ? { ...binding, reasons: [`${access.reason}, ${LOOKS}`] } : binding];
    }
    // Jobs run, and are billed, in the environment's own project, wherever their tables are.
    case "run-jobs":
      return [grant({ kind: "project", name: project }, "roles/bigquery.jobUser")];
    case "publish":
      return [grant({ kind: "topic", name: `${namePrefix}${access.topic}` }, "roles/pubsub.publisher")];
    case "secret":
      return [grant({ kind: "secret", name: access.name }, "roles/secretmanager.secretAccessor")];
    case "event-store": {
      const expression = `resource.name == ${JSON.stringify(`projects/${project}/databases/${database}`)}`;
      const condition = { title: `the database ${database}`, expression };
      return [grant({ kind: "project", name: project }, "roles/datastore.user", { condition })];
    }
    case "delay":
      return [
        ...queues.map(({ name }) => grant({ kind: "queue", name }, "roles/cloudtasks.enqueuer")),
        grant({ kind: "account", name: accounts.tasks.name }, "roles/iam.serviceAccountUser"),
      ];
    default:
      return [];
  }
}

/** What the account of the pushes, that of the tasks, and the agents of Google's own services need. */
function platformGrants({ definitions, environment, units, accounts, parts }: IamOptions): Binding[] {
  const { project, namePrefix, triggers } = environment;
  const give = (resource: Resource, role: string, member: string, reason: string): Binding => ({
    resource,
    role,
    member,
    reasons: [reason],
  });
  const push = memberOf(accounts.push);
  const pubsub = agentOf(project, "gcp-sa-pubsub");
  const called = new Set([
    ...parts.subscriptions.map((subscription) => subscription.push.function),
    ...parts.functions.filter(({ trigger }) => trigger !== undefined).map(({ name }) => name),
    ...units.filter(({ kind }) => kind === "reconcile").map((unit) => deployedNameOf(namePrefix, unit)),
  ]);
  const triggered = parts.functions.filter(({ trigger }) => trigger !== undefined);
  const laidAside = "messages that were delivered in vain are moved to the dead letters";
  return [
    ...[...called].map((name) =>
      give({ kind: "function", name }, "roles/run.invoker", push, "messages are pushed to it"),
    ),
    ...wakingTopics(definitions).map((topic) =>
      give(
        { kind: "topic", name: `${namePrefix}${topic}` },
        "roles/pubsub.publisher",
        memberOf(accounts.tasks),
        "delayed messages come by it",
      ),
    ),
    give(
      { kind: "project", name: project },
      "roles/cloudbuild.builds.builder",
      memberOf(accounts.build),
      "builds the functions' images",
    ),
    give(
      { kind: "account", name: accounts.push.name },
      "roles/iam.serviceAccountTokenCreator",
      pubsub,
      "Pub/Sub signs its pushes in the name of this account",
    ),
    ...parts.deadLetters.map(({ topic }) =>
      give({ kind: "topic", name: topic }, "roles/pubsub.publisher", pubsub, laidAside),
    ),
    ...parts.subscriptions
      .filter(({ lastStop }) => lastStop !== true)
      .map(({ name }) => give({ kind: "subscription", name }, "roles/pubsub.subscriber", pubsub, laidAside)),
    ...triggered.map(({ name }) => give({ kind: "trigger", name }, "roles/pubsub.subscriber", pubsub, laidAside)),
    ...parts.notifications.map(({ bucket, topic, project: owner = project }) =>
      give(
        { kind: "topic", name: topic },
        "roles/pubsub.publisher",
        agentOf(owner, "gs-project-accounts"),
        `gs://${bucket} announces its objects there`,
      ),
    ),
    ...(triggers === "eventarc" ? eventarcGrants(environment, push, parts) : []),
  ];
}

function eventarcGrants(
  { project, buckets }: Environment,
  push: string,
  { functions }: IamOptions["parts"],
): Binding[] {
  const resource: Resource = { kind: "project", name: project };
  const watched = functions.flatMap(({ trigger }) => (trigger?.kind === "finalize" ? [trigger.filters.bucket] : []));
  return [
    { resource, role: "roles/eventarc.eventReceiver", member: push, reasons: ["triggers hand events on in its name"] },
    ...watched.map((bucket) => ({
      resource,
      role: "roles/pubsub.publisher",
      member: agentOf(buckets[bucket]?.project ?? project, "gs-project-accounts"),
      reasons: [`gs://${bucket} announces its objects to a topic that Eventarc makes`],
    })),
  ];
}

function memberOf({ email }: Account): string {
  return `serviceAccount:${email}`;
}

/** The account by which one of Google's services acts in a project. */
function agentOf(project: string, service: string): string {
  return `serviceAccount:service-{number:${project}}@${service}.iam.gserviceaccount.com`;
}

const VIEWER = "roles/bigquery.dataViewer";
const EDITOR = "roles/bigquery.dataEditor";
/** The least role of a dataset that has `bigquery.rowAccessPolicies.list`. */
const OWNER = "roles/bigquery.dataOwner";
const LOOKS = "after a look for row policies";

function datasetRole({ kind, replaces }: { readonly kind: string; readonly replaces?: true }): string {
  return kind === "read-dataset" ? VIEWER : replaces === true ? OWNER : EDITOR;
}

/** The roles that include this one. */
const WIDER: Readonly<Record<string, readonly string[]>> = { [VIEWER]: [EDITOR, OWNER], [EDITOR]: [OWNER] };

/** Equal bindings become one, with all their reasons; and whoever has the wider role for a dataset needs no other. */
function mergedBindings(all: readonly Binding[]): Binding[] {
  const groups = Map.groupBy(all, ({ resource, role, member, condition }) =>
    [resource.kind, resource.project ?? "", resource.name, role, member, condition?.expression ?? ""].join(" "),
  );
  const isIncluded = (key: string, role = ""): boolean =>
    (WIDER[role] ?? []).some((wider) => groups.has(key.replace(` ${role} `, ` ${wider} `)));
  return [...groups]
    .filter(([key, [first]]) => !isIncluded(key, first?.role))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, [first, ...others]]) => {
      if (first === undefined) return [];
      const reasons = new Set([first, ...others].flatMap((binding) => binding.reasons));
      return [{ ...first, reasons: [...reasons].sort() }];
    });
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
