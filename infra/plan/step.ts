/**
 * What a deployment does, as data: steps with what goes first, and the calls of tools that each consists of. The plan makes them, and
 * the runner (infra/deploy) carries them out.
 */
import type { Binding } from "../manifest.ts";
import type { Grant, Records } from "./state.ts";

export type ResourceKind =
  | "apis"
  | "account"
  | "bucket"
  | "dataset"
  | "database"
  | "index"
  | "field"
  | "images"
  | "topic"
  | "queue"
  | "source"
  | "function"
  | "trigger"
  | "subscription"
  | "notification"
  | "schedule"
  | "policy";

/**
 * One call of a tool: an argument vector, never a shell string. In an argument, `{file:NAME}` is the path of a file that the runner writes
 * first, with the very text of `files`; the other placeholders are values that only the cloud knows (see `PLACEHOLDER`).
 */
export interface ToolCall {
  readonly tool: "gcloud" | "bq";
  readonly args: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  /**
   * The tool says that it is there already (409, ALREADY_EXISTS): these calls in its place, after which the step is done as if the call
   * had succeeded. Empty: that is well. Left out: it is a failure.
   */
  readonly ifExists?: readonly ToolCall[];
  /** The tool says that it is not there (404, NOT_FOUND): likewise. A deletion has `[]`. */
  readonly ifMissing?: readonly ToolCall[];
  /** Placeholders that its output tells, each by the path of a field in the JSON: `{"url:asset-x": "serviceConfig.uri"}`. */
  readonly gives?: Readonly<Record<string, string>>;
}

/** Reads a resource's policy, changes it by `editedPolicy` (policy.ts), and writes it back; nothing is written where nothing changes. */
export interface PolicyCall {
  readonly read: ToolCall;
  /** Its `{file:policy.json}` and `{etag:policy}` are what `editedPolicy` gives. A conflict (409, 412) means: read again. */
  readonly write: ToolCall;
  readonly edit: PolicyEdit;
}

export interface PolicyEdit {
  /** A policy of IAM, or the access list of a dataset. */
  readonly form: "iam" | "dataset";
  /** Members and conditions may hold `{number:PROJECT}`. */
  readonly wanted: readonly Omit<Binding, "resource" | "reasons">[];
  /** Members that may have nothing but that: `serviceAccount:…` of this environment's own accounts. */
  readonly owned: readonly string[];
}

export type Call = ToolCall | PolicyCall;

export function isPolicyCall(call: Call): call is PolicyCall {
  return "edit" in call;
}

export type Action = "create" | "update" | "delete";

export interface Step {
  /** Unique in the plan, and stable: `function asset-gitcoin-passport-scores`. */
  readonly id: string;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly action: Action;
  /** For people: one clause, without a full stop. */
  readonly reason: string;
  /** Ids of other steps of this plan that have to be done first. */
  readonly needs: readonly string[];
  /** One after the other. Each is safe to repeat after a failure, and so is the whole step. */
  readonly calls: readonly Call[];
  /** Of a policy: what is granted by it and was not before, and what is taken back. */
  readonly grants?: { readonly added: readonly Binding[]; readonly removed: readonly Grant[] };
  /** Seconds that it usually takes. */
  readonly seconds: number;
  /** What the state says once it is done. */
  readonly records: Records;
}

/** How a kind's steps may run side by side: at most so many at once, and so many begun in a minute. */
export interface Limit {
  readonly parallel: number;
  readonly perMinute: number;
}

/**
 * `{url:FUNCTION}` its address; `{number:PROJECT}` the project's number; `{trigger:FUNCTION}` the trigger of a function in gcloud's standard
 * form, and `{trigger-subscription:FUNCTION}` the subscription that this has made; `{archive:SHA256}` the path of the built archive on
 * this machine; `{file:NAME}`; `{etag:policy}`. The first four come from `Plan.values`, or from the `gives` of an earlier call.
 */
export const PLACEHOLDER = /\{(file|url|number|trigger|trigger-subscription|archive|etag):([^{}"\s]+)\}/g;

/** The text with what is known in place of its placeholders (`url:asset-x` → its value); `missing` are those that are not. */
export function filled(
  text: string,
  values: ReadonlyMap<string, string>,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const full = text.replaceAll(PLACEHOLDER, (whole, kind: string, name: string) => {
    const value = values.get(`${kind}:${name}`);
    if (value === undefined) missing.push(`${kind}:${name}`);
    return value ?? whole;
  });
  return { text: full, missing };
}

export interface Withheld {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly name: string;
  /** Why it is no longer wanted. */
  readonly reason: string;
}

export interface ForeignGrant {
  readonly project: string;
  readonly binding: Binding;
  /** What the other project's owner would run. */
  readonly command: ToolCall;
}

export interface Plan {
  readonly environment: string;
  /** In an order in which they could run one after the other. */
  readonly steps: readonly Step[];
  readonly unchanged: readonly { readonly id: string; readonly kind: ResourceKind }[];
  /** What only `prune` deletes; with it, they are steps. */
  readonly withheld: readonly Withheld[];
  readonly foreign: readonly ForeignGrant[];
  /** What the state should say besides, without a step: things that are there as wanted, and were not recorded. */
  readonly records: Records;
  /** For people: grants that somebody else has made to our accounts, and other things to know. One line each. */
  readonly notes: readonly string[];
  /** What is known of placeholders: `number:my-project` → `123`. */
  readonly values: ReadonlyMap<string, string>;
  /** How long it will take, given the limits. */
  readonly seconds: number;
}
