/** Who may do what: all bindings of one resource are one policy, read and written once. */
import type { Binding, Manifest } from "../manifest.ts";
import { APIS, bq, gcloud, idOf, policyName } from "./item.ts";
import type { Item, Place } from "./item.ts";
import type { Grant, Recorded } from "./state.ts";
import type { Call, PolicyCall, ResourceKind, Step, ToolCall } from "./step.ts";

export interface PolicyOptions {
  /** By the policy's id: grants that have to stay beside those that are wanted. */
  readonly kept: ReadonlyMap<string, readonly Grant[]>;
  /** Members that may have nothing but what is granted here. */
  readonly owned: readonly string[];
}

type Kind = Binding["resource"]["kind"];

/** What is made by the deployment, by the kind that bindings call it; secrets and the project are not. */
const ITEMS: Readonly<Partial<Record<Kind, ResourceKind>>> = {
  bucket: "bucket",
  dataset: "dataset",
  topic: "topic",
  subscription: "subscription",
  queue: "queue",
  account: "account",
  function: "function",
  trigger: "trigger",
};

/** Without these, a function cannot do its work; what it announces may wait. */
const WORK: readonly Kind[] = ["project", "bucket", "dataset", "secret", "queue", "account"];

/** By the account's email: the ids of what has to be there before the first message comes to a function that runs as it. */
export function neededForWork({ bindings, firestore }: Manifest): (account: string) => readonly string[] {
  const ids = new Map<string, Set<string>>();
  for (const { resource, member } of bindings) {
    if (!WORK.includes(resource.kind)) continue;
    const own = ids.get(member) ?? new Set([idOf("database", firestore.database)]);
    ids.set(member, own.add(idOf("policy", policyName(resource.kind, resource.name))));
  }
  return (account) => [...(ids.get(`serviceAccount:${account}`) ?? [])];
}

/** Google makes the account by which Pub/Sub acts in a project when that is first used there. */
const PUBSUB_AGENT = "@gcp-sa-pubsub.";

export function policyItems(manifest: Manifest, options: PolicyOptions): Item[] {
  const { environment, bindings } = manifest;
  const accounts = new Map(manifest.accounts.map(({ name, email }) => [`serviceAccount:${email}`, name]));
  const groups = Map.groupBy(bindings, ({ resource }) => policyName(resource.kind, resource.name));
  return [...groups].flatMap(([name, [first, ...others]]) => {
    if (first === undefined) return [];
    const { resource } = first;
    const id = idOf("policy", name);
    const grants = mergedGrants([first, ...others].map(grantOf), options.kept.get(id) ?? []);
    const made = ITEMS[resource.kind];
    const members = new Set(grants.flatMap(({ member }) => accounts.get(member) ?? []));
    const on = [
      ...(made === undefined ? [] : [idOf(made, resource.name)]),
      ...[...members].map((account) => idOf("account", account)),
    ];
    const isAgents = grants.some(({ member }) => member.includes(PUBSUB_AGENT));
    const agent = isAgents ? [idOf("topic", manifest.delivery.deadLetterTopic)] : [];
    const call = policyCall(environment, resource.kind, resource.name, grants, options.owned);
    return [
      {
        id,
        kind: "policy",
        name,
        form: grants,
        needs: [APIS, ...on, ...agent],
        on,
        create: freshCalls(environment, resource.kind, resource.name, grants) ?? [call],
        update: [call],
        policy: { grants, call },
      },
    ];
  });
}

export function grantOf({ role, member, condition }: Binding): Grant {
  return { role, member, ...(condition === undefined ? {} : { condition }) };
}

/**
 * What a step changes: of `bindings`, all of its policy, those that were not granted before; and what was and is not `wanted` any more.
 * Where nothing of it differs, somebody else has changed the policy, and all that it is to hold is put right.
 */
export function changedGrants(
  bindings: readonly Binding[] = [],
  wanted: readonly Grant[],
  record: Recorded | undefined,
): NonNullable<Step["grants"]> {
  const before = new Set(record?.grants?.map(grantKey));
  const after = new Set(wanted.map(grantKey));
  const added = bindings.filter((binding) => !before.has(grantKey(binding)));
  const removed = (record?.grants ?? []).filter((grant) => !after.has(grantKey(grant)));
  return { added: added.length + removed.length === 0 ? bindings : added, removed };
}

function grantKey({ role, member, condition }: Pick<Grant, "role" | "member" | "condition">): string {
  return `${role} ${member} ${condition?.expression ?? ""}`;
}

function mergedGrants(wanted: readonly Grant[], kept: readonly Grant[]): Grant[] {
  const all = new Map([...wanted, ...kept].map((grant) => [grantKey(grant), grant]));
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, grant]) => grant);
}

/** The policy's resource by its kind and name, as a policy's own name has them. */
export function policyCall(
  place: Place,
  kind: string,
  name: string,
  wanted: readonly Grant[],
  owned: readonly string[],
): PolicyCall {
  if (kind === "dataset") {
    const full = `${place.project}:${name}`;
    return {
      read: bq(place, ["show", "--dataset", full]),
      write: bq(place, ["update", "--dataset", "--source={file:policy.json}", "--etag={etag:policy}", full]),
      edit: { form: "dataset", wanted, owned },
    };
  }
  const { group, target, more } = subjectOf(place, kind, name);
  return {
    read: iam(place, [...group, "get-iam-policy", target, ...more, "--format=json"]),
    write: iam(place, [...group, "set-iam-policy", target, "{file:policy.json}", ...more, "--format=json"]),
    edit: { form: "iam", wanted, owned },
  };
}

function subjectOf(
  place: Place,
  kind: string,
  name: string,
): { readonly group: readonly string[]; readonly target: string; readonly more: readonly string[] } {
  switch (kind) {
    case "project":
      return { group: ["projects"], target: name, more: [] };
    case "bucket":
      return { group: ["storage", "buckets"], target: `gs://${name}`, more: [] };
    case "topic":
      return { group: ["pubsub", "topics"], target: name, more: [] };
    case "subscription":
      return { group: ["pubsub", "subscriptions"], target: name, more: [] };
    case "trigger":
      return { group: ["pubsub", "subscriptions"], target: `{trigger-subscription:${name}}`, more: [] };
    case "queue":
      return { group: ["tasks", "queues"], target: name, more: [`--location=${place.region}`] };
    case "function":
      return { group: ["run", "services"], target: name, more: [`--region=${place.region}`] };
    case "account":
      return {
        group: ["iam", "service-accounts"],
        target: `${name}@${place.project}.iam.gserviceaccount.com`,
        more: [],
      };
    default:
      return { group: ["secrets"], target: name, more: [] };
  }
}

function iam(place: Place, args: readonly string[]): ToolCall {
  return gcloud(place, args);
}

/** What was just made has no policy yet: one grant is one call. */
function freshCalls(place: Place, kind: Kind, name: string, grants: readonly Grant[]): readonly Call[] | undefined {
  const [grant, ...others] = grants;
  const isOurs = kind === "topic" || kind === "subscription" || kind === "function" || kind === "queue";
  if (!isOurs || grant === undefined || others.length > 0 || grant.condition !== undefined) return undefined;
  return [grantCall(place, kind, name, grant)];
}

/** One grant by one call, beside whatever was granted. */
export function grantCall(place: Place, kind: string, name: string, { role, member, condition }: Grant): ToolCall {
  if (kind === "dataset") {
    return bq(place, [
      "add-iam-policy-binding",
      `--member=${member}`,
      `--role=${role}`,
      "--dataset",
      `${place.project}:${name}`,
    ]);
  }
  const { group, target, more } = subjectOf(place, kind, name);
  // Another separator than the comma, which conditions may hold.
  const when = condition === undefined ? "None" : `^|^title=${condition.title}|expression=${condition.expression}`;
  const takesCondition = kind === "project" || kind === "bucket" || kind === "secret" || kind === "account";
  return iam(place, [
    ...group,
    "add-iam-policy-binding",
    target,
    ...more,
    `--member=${member}`,
    `--role=${role}`,
    ...(takesCondition ? [`--condition=${when}`] : []),
    "--format=json",
  ]);
}
