/** What all APIs of the fake cloud share: its state, time, long work, and who exists and may do what. */
import { CloudError, errorInfo, invalid, missing } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Operations } from "./operations.ts";
import type { CloudState, Kind, Project } from "./state.ts";

export interface Quotas {
  /** Creates, updates and deletes of functions a minute. */
  functionWritesPerMinute: number;
  functions: number;
  serviceAccounts: number;
  schedules: number;
}

export interface World {
  readonly state: CloudState;
  /** ms. */
  now(): number;
  readonly operations: Operations;
  readonly quotas: Quotas;
  /** What the caller may not do: `pubsub.topics.create`, or with a space and a resource behind it. */
  readonly denied: Set<string>;
  /** A fresh service account cannot be seen for so long, and for so many looks at it. */
  readonly freshAccounts: { ms: number; looks: number };
  readonly bridge: Bridge;
}

/** Where the state becomes something that runs. All of it may be asked again for what is there already. */
export interface Bridge {
  /** `undefined` when it was deleted. */
  changed(kind: Kind, name: string, value: Json | undefined): Promise<void>;
  /** The ids of the messages. */
  publish(topic: string, messages: readonly Json[]): Promise<readonly string[]>;
  /** Makes a bucket tell a topic of its new objects, as Eventarc does it by itself; or takes that back. */
  announce(bucket: string, topic: string): Promise<void>;
  unannounce(topic: string): Promise<void>;
  /** A call of Cloud Scheduler's: `uri`, `httpMethod`, `body`. */
  request(target: Json): Promise<void>;
}

/** Writes a resource, and lets it become something that runs. */
export async function put(world: World, kind: Kind, name: string, value: Json): Promise<Json> {
  world.state.resources[kind].set(name, value);
  await world.bridge.changed(kind, name, value);
  return value;
}

/** Takes a resource and its policy away; throws where there is none. */
export async function remove(world: World, kind: Kind, name: string, message: string): Promise<void> {
  if (!world.state.resources[kind].delete(name)) throw missing(message);
  world.state.policies.delete(`${kind} ${name}`);
  await world.bridge.changed(kind, name, undefined);
}

export function need(world: World, kind: Kind, name: string, message: string): Json {
  const found = world.state.resources[kind].get(name);
  if (found === undefined) throw missing(message);
  return found;
}

/** Those whose names begin so, in order of their names. */
export function listed(world: World, kind: Kind, prefix: string): readonly Json[] {
  const found = [...world.state.resources[kind]].filter(([name]) => name.startsWith(prefix));
  return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

/** A project by its id or number. */
export function projectOf({ state }: World, name: string): Project {
  const found = state.projects.get(name) ?? [...state.projects.values()].find(({ number }) => number === name);
  if (found !== undefined) return found;
  throw new CloudError("PERMISSION_DENIED", `Permission denied on resource project ${name}.`, {
    details: [errorInfo("CONSUMER_INVALID", "googleapis.com", { consumer: `projects/${name}` })],
  });
}

export function checkMay({ denied }: World, permission: string, resource: string): void {
  if (permission === "" || (!denied.has(permission) && !denied.has(`${permission} ${resource}`))) return;
  const message = `Permission '${permission}' denied on resource '${resource}' (or it may not exist).`;
  const details = [errorInfo("IAM_PERMISSION_DENIED", "iam.googleapis.com", { permission, resource })];
  throw new CloudError("PERMISSION_DENIED", message, { details });
}

/** Whether a service account or service agent is there, and can be seen already. */
export function hasAccount(world: World, email: string): boolean {
  return isAgent(world, email) || userAccount(world, email) !== undefined;
}

/** The account as the API has it; `undefined` also while it is too fresh to be seen. */
export function userAccount(world: World, email: string): Json | undefined {
  const { state, freshAccounts } = world;
  const name = accountName(email);
  const account = state.resources.account.get(name);
  const birth = state.births.get(name);
  if (account === undefined || birth === undefined) return undefined;
  birth.looks += 1;
  const isVisible = world.now() - birth.at >= freshAccounts.ms && birth.looks > freshAccounts.looks;
  return isVisible ? account : undefined;
}

export function accountName(email: string): string {
  const project = /@([^.]+)\.iam\.gserviceaccount\.com$/.exec(email)?.[1] ?? "-";
  return `projects/${project}/serviceAccounts/${email}`;
}

/** Lets a service run as an account, or push in its name: it has to be there, and the caller may act as it. */
export function checkActAs(world: World, email: string): void {
  if (!hasAccount(world, email)) throw missing(`Service account ${email} was not found.`);
  checkMay(world, "iam.serviceAccounts.actAs", email);
}

/** Whose agents a service brings along when it is enabled. */
const AGENTS: Readonly<Record<string, string>> = {
  "gcp-sa-pubsub": "pubsub",
  "gcp-sa-cloudtasks": "cloudtasks",
  "gcp-sa-cloudscheduler": "cloudscheduler",
  "gcp-sa-eventarc": "eventarc",
  "gcp-sa-artifactregistry": "artifactregistry",
  "gcp-sa-cloudbuild": "cloudbuild",
  "gcf-admin-robot": "cloudfunctions",
  "serverless-robot-prod": "run",
};

function isAgent({ state }: World, email: string): boolean {
  const [, number = "", domain = ""] = /^service-(\d+)@([a-z-]+)\.iam\.gserviceaccount\.com$/.exec(email) ?? [];
  const owner = [...state.projects.values()].find((project) => project.number === number);
  // This one is made when somebody asks for its name.
  if (domain === "gs-project-accounts") return state.agents.has(email);
  const service = AGENTS[domain];
  if (service !== undefined) return owner?.apis.has(`${service}.googleapis.com`) === true;
  const [, legacy = "", of = ""] =
    /^(\d+)(?:-compute)?@(developer|cloudbuild|cloudservices)\.gserviceaccount\.com$/.exec(email) ?? [];
  return of !== "" && [...state.projects.values()].some((project) => project.number === legacy);
}

/** Refuses what does not look like `projects/P/…/kind/NAME` with a legal name. */
export function checkName(name: string, legal: RegExp, what: string): void {
  if (!legal.test(name)) throw invalid(`Invalid ${what} name: "${name}"`);
}

export function stamp(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
