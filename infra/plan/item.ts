/** One wanted resource: what it should be, how it is made, and by what one sees that it is as it should be. */
import type { Manifest } from "../manifest.ts";
import type { Grant } from "./state.ts";
import type { Call, PolicyCall, ResourceKind, ToolCall } from "./step.ts";

/** What a list shows of a resource, or should show; texts may hold placeholders. */
export type Facts = Readonly<Record<string, string>>;

export interface Item {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly name: string;
  /** What it is there for, in one clause: the reason for making it. */
  readonly about?: string;
  /** JSON; its hash is recorded, so it says all that matters and nothing else. */
  readonly form: unknown;
  /** Ids of what has to be there first. */
  readonly needs: readonly string[];
  /** Ids of what it lives on: where one of them is made anew, so is this. */
  readonly on?: readonly string[];
  /** Each is safe to repeat, and bears that the resource is there already. */
  readonly create: readonly Call[];
  readonly update: readonly Call[];
  readonly facts?: Facts;
  /** The facts say all of the form: what shows them is as wanted, whoever has made it. */
  readonly complete?: true;
  /** Facts that no update changes: then the calls that make it anew; without them, people are told. */
  readonly fixed?: readonly string[];
  readonly recreate?: readonly Call[];
  /** Of a function: the email of the account that it runs as. */
  readonly account?: string;
  /** Of a function: the hash of the author's own code in it. */
  readonly code?: string;
  /** Of a policy. */
  readonly policy?: { readonly grants: readonly Grant[]; readonly call: PolicyCall };
}

export function idOf(kind: ResourceKind, name: string): string {
  return `${kind} ${name}`;
}

/** A policy belongs to a resource, which may be one that Sluice does not make. */
export function policyName(kind: string, name: string): string {
  return `${kind} ${name}`;
}

export const APIS = "apis project";

export type Place = Pick<Manifest["environment"], "project" | "region">;

type More = Omit<ToolCall, "tool" | "args">;

export function gcloud({ project }: Pick<Place, "project">, args: readonly string[], more: More = {}): ToolCall {
  return { tool: "gcloud", args: [...args, `--project=${project}`, "--quiet"], ...more };
}

/** Its global flags stand in front of the command. */
export function bq({ project }: Pick<Place, "project">, args: readonly string[], more: More = {}): ToolCall {
  return { tool: "bq", args: [`--project_id=${project}`, "--headless=true", "--format=json", ...args], ...more };
}

/** `--flag=value`, for every value that is there. */
export function flags(values: Readonly<Record<string, string | number | undefined>>): string[] {
  return Object.entries(values).flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}`]));
}

export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** A file of JSON, by its name in `{file:NAME}`. */
export function jsonFile(name: string, value: unknown): Readonly<Record<string, string>> {
  return { [name]: `${JSON.stringify(value, undefined, 2)}\n` };
}

export function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
