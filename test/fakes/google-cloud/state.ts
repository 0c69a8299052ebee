/** What the fake cloud holds: resources by kind and full name, policies, projects. */
import type { Json } from "./json.ts";

export const KINDS = [
  "account",
  "bucket",
  "build",
  "database",
  "dataset",
  "field",
  "function",
  "index",
  "notification",
  "queue",
  "repository",
  "schedule",
  "secret",
  "service",
  "subscription",
  "topic",
  "trigger",
] as const;
export type Kind = (typeof KINDS)[number];

export interface Project {
  readonly id: string;
  readonly number: string;
  /** Of each enabled API: since when (ms). */
  readonly apis: Map<string, number>;
  readonly billing: boolean;
}

export interface Policy {
  readonly version: number;
  readonly etag: string;
  readonly bindings: readonly PolicyBinding[];
}

export interface PolicyBinding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: Json;
}

export interface CloudState {
  readonly projects: Map<string, Project>;
  /** By the full name, `projects/P/topics/T`; buckets by their plain one. */
  readonly resources: Readonly<Record<Kind, Map<string, Json>>>;
  /** By kind and full name: `topic projects/P/topics/T`, `project P`. */
  readonly policies: Map<string, Policy>;
  /** When each service account was made (ms), and how often it was looked at since. */
  readonly births: Map<string, { readonly at: number; looks: number }>;
  /** The service agents that Google has made. */
  readonly agents: Set<string>;
}

export function emptyState(): CloudState {
  const entries = KINDS.map((kind) => [kind, new Map<string, Json>()] as const);
  return {
    projects: new Map(),
    // Every kind has its entry.
    resources: Object.fromEntries(entries) as unknown as Record<Kind, Map<string, Json>>,
    policies: new Map(),
    births: new Map(),
    agents: new Set(),
  };
}

/** Of a resource's fields: what differs between two equal deployments, because Google makes it up. */
const MADE_UP = new Set([
  "bytesCreated",
  "createTime",
  "created",
  "creationTime",
  "earliestVersionTime",
  "etag",
  "generation",
  "id",
  "lastModifiedTime",
  "metageneration",
  "oauth2ClientId",
  "observedGeneration",
  "revision",
  "selfLink",
  "timeCreated",
  "uid",
  "uniqueId",
  "updateTime",
  "updated",
  "userUpdateTime",
  "build",
  "sourceToken",
  "lastAttemptTime",
  "scheduleTime",
]);

/**
 * All that is there as sorted plain JSON, by kind and name, without what Google makes up (times, ids, etags): two deployments
 * that ended in the same state have equal ones.
 */
export function snapshotOf(state: CloudState): Readonly<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  for (const kind of KINDS) {
    // Their names are made up.
    if (kind === "build" || kind === "notification") continue;
    for (const [name, value] of state.resources[kind]) all[`${kind} ${name}`] = withoutMadeUp(value);
  }
  for (const [key, { bindings }] of state.policies) {
    const lines = bindings.flatMap(({ role, members, condition }) =>
      members.map((member) => JSON.stringify([role, member, condition ?? null])),
    );
    if (lines.length > 0) all[`policy ${key}`] = lines.sort();
  }
  for (const [name, value] of state.resources.notification) {
    const key = `notifications ${name.split("/")[0]}`;
    const lines = (all[key] as readonly string[] | undefined) ?? []; // only this loop writes such keys
    all[key] = [...lines, JSON.stringify(withoutMadeUp(value))].sort();
  }
  for (const { id, apis } of state.projects.values()) all[`apis ${id}`] = [...apis.keys()].sort();
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function withoutMadeUp(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMadeUp);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => !MADE_UP.has(key));
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, withoutMadeUp(inner)]),
  );
}
