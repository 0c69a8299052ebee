/** One wanted resource beside what is known of it: whether something is to be done, and why. */
import { canonicalJson, hash } from "../../lib/core/hash.ts";
import type { Item } from "./item.ts";
import type { Found, Observed } from "./observe.ts";
import { editedPolicy } from "./policy.ts";
import type { Recorded } from "./state.ts";
import { filled } from "./step.ts";
import type { Action, Call } from "./step.ts";

export type Decision =
  | { readonly kind: "unchanged"; /** As wanted, though nothing was recorded of it. */ readonly adopted: boolean }
  | { readonly kind: "step"; readonly action: Action; readonly reason: string; readonly calls: readonly Call[] }
  /** It differs in what no command changes. */
  | { readonly kind: "stuck"; readonly note: string };

export interface Surroundings {
  readonly observed: Observed;
  /** What this plan makes, by its id. */
  readonly made: ReadonlySet<string>;
}

const UNCHANGED: Decision = Object.freeze({ kind: "unchanged", adopted: false });
const ADOPTED: Decision = Object.freeze({ kind: "unchanged", adopted: true });

export function recordOf({ form, account, code, policy, needs }: Item): Recorded {
  const on = needs.filter((id) => /^(?:topic|subscription|function|account) /.test(id));
  return {
    hash: hash(canonicalJson(form)),
    ...(account === undefined ? {} : { account }),
    ...(code === undefined ? {} : { code }),
    ...(policy === undefined ? {} : { grants: [...policy.grants] }),
    // A policy goes with what it belongs to.
    ...(on.length === 0 || policy !== undefined ? {} : { on }),
  };
}

export function decide(item: Item, record: Recorded | undefined, { observed, made }: Surroundings): Decision {
  const { id, kind, create, update } = item;
  const found = observed.found.get(id);
  const step = (action: Action, reason: string, calls: readonly Call[]): Decision => ({
    kind: "step",
    action,
    reason,
    calls,
  });
  if (observed.looked.has(kind) && found === undefined) {
    return step("create", record === undefined ? aboutOf(item) : "was deployed, and is gone", create);
  }
  const remade = item.on?.find((under) => made.has(under));
  if (item.policy !== undefined) return decidePolicy(item, record, remade, observed);
  const drift = found === undefined ? [] : driftOf(item, found, observed.values);
  const fixed = drift.find(({ field }) => item.fixed?.includes(field));
  if (fixed !== undefined) {
    if (item.recreate === undefined)
      return { kind: "stuck", note: `${id}: its ${fixed.text}, which cannot be changed` };
    const first = item.kind === "notification" ? removals(item, found) : [];
    return step("update", `its ${fixed.text}, so it is made anew`, [...first, ...item.recreate]);
  }
  // A schedule and the like survive what they point to; what stands on it has to be set again.
  if (remade !== undefined && found !== undefined) return step("update", `${remade} is made anew`, update);
  if (remade !== undefined)
    return step("create", record === undefined ? aboutOf(item) : `${remade} is made anew`, create);
  const same = record?.hash === recordOf(item).hash;
  if (found !== undefined && item.complete === true) {
    if (drift.length === 0) return same ? UNCHANGED : ADOPTED;
    return step("update", driftText(item, record, drift, same), update);
  }
  if (drift.length > 0) return step("update", driftText(item, record, drift, same), update);
  if (item.kind === "apis" && observed.off.length > 0) {
    const first = record === undefined;
    return step(
      first ? "create" : "update",
      first ? "are not on yet" : `some are off: ${observed.off.join(", ")}`,
      update,
    );
  }
  if (same) return UNCHANGED;
  if (record !== undefined) return step("update", "its definition has changed", update);
  if (found !== undefined) return step("update", "is there, and was not recorded: it is adopted", update);
  return step("create", aboutOf(item), create);
}

function decidePolicy(
  { policy, create, update, ...item }: Item,
  record: Recorded | undefined,
  remade: string | undefined,
  { policies, values }: Observed,
): Decision {
  const same = record?.hash === recordOf({ ...item, create, update, ...(policy === undefined ? {} : { policy }) }).hash;
  const text = policies.get(item.id);
  if (remade !== undefined) {
    // Only what is new itself has no policy yet; an account that is new leaves others' grants as they are.
    const fresh = record === undefined && item.on?.[0] === remade;
    const reason = record === undefined ? grantsText(policy) : `${remade} is made anew`;
    return { kind: "step", action: "create", reason, calls: fresh ? create : update };
  }
  if (text !== undefined && policy !== undefined && unknownOf(policy.grants, values) === undefined) {
    const { changed, added, removed } = editedPolicy(text, policy.call.edit, values);
    if (!changed) return same ? UNCHANGED : ADOPTED;
    const lacking = record === undefined ? grantsText(policy) : `lacks ${shown(added)}`;
    const words = [
      ...(added.length > 0 ? [lacking] : []),
      ...(removed.length > 0 ? [`has ${shown(removed)} too much`] : []),
    ];
    return {
      kind: "step",
      action: record === undefined ? "create" : "update",
      reason: words.join(" and "),
      calls: update,
    };
  }
  if (same) return UNCHANGED;
  return record === undefined
    ? { kind: "step", action: "create", reason: grantsText(policy), calls: update }
    : { kind: "step", action: "update", reason: "other roles are needed", calls: update };
}

function aboutOf({ about }: Item): string {
  return about ?? "is not there yet";
}

function grantsText(policy: Item["policy"]): string {
  const count = policy?.grants.length ?? 0;
  return count === 1 ? "grants a role" : `grants ${count} roles`;
}

const SHOWN = 3;

function shown(all: readonly string[]): string {
  const more = all.length - SHOWN;
  return `${all.slice(0, SHOWN).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function unknownOf(
  grants: readonly { readonly member: string }[],
  values: ReadonlyMap<string, string>,
): string | undefined {
  return grants.flatMap(({ member }) => filled(member, values).missing)[0];
}

interface Drift {
  readonly field: string;
  /** `topic is a and should be b`. */
  readonly text: string;
}

function driftOf({ facts = {} }: Item, found: Found, values: ReadonlyMap<string, string>): Drift[] {
  return Object.entries(facts).flatMap(([field, template]) => {
    const have = found.facts[field];
    const { text: want } = filled(template, values);
    return have === undefined || have === want
      ? []
      : [{ field, text: `${field} is ${have || "nothing"} and should be ${want || "nothing"}` }];
  });
}

function driftText(item: Item, record: Recorded | undefined, drift: readonly Drift[], same: boolean): string {
  if (item.kind === "function" && drift.every(({ field }) => field === "hash"))
    return same ? "somebody else has deployed it" : "its code or configuration has changed";
  const text = shown(drift.map((one) => `its ${one.text}`));
  return record === undefined ? `is there, and was not recorded: ${text}` : text;
}

function removals({ create }: Item, found: Found | undefined): readonly Call[] {
  const [call] = create;
  if (call === undefined || "edit" in call) return [];
  const last = call.args.filter((arg) => arg.startsWith("--project=") || arg === "--quiet");
  return (found?.own ?? []).map((own) => ({
    tool: "gcloud",
    args: ["storage", "buckets", "notifications", "delete", own, ...last],
    ifMissing: [],
  }));
}
