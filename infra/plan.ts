/**
 * The plan: from what is wanted and what is there to the steps between them. Pure. An empty plan means that everything is as wanted, and
 * a plan made after any part of another one was carried out holds what is left of it.
 */
import { PermanentError } from "../lib/core/errors.ts";
import { canonicalJson, hash } from "../lib/core/hash.ts";
import type { Manifest } from "./manifest.ts";
import { decide, recordOf } from "./plan/decide.ts";
import { functionItems, sourceId, sourceStep } from "./plan/functions.ts";
import type { Code } from "./plan/functions.ts";
import { partingOf, removalSteps, revokingStep } from "./plan/gone.ts";
import type { Gone, Parting } from "./plan/gone.ts";
import { handedOver } from "./plan/hand-over.ts";
import { policyName } from "./plan/item.ts";
import type { Item } from "./plan/item.ts";
import { estimate, secondsOf } from "./plan/limits.ts";
import { messageItems } from "./plan/messages.ts";
import type { Observed } from "./plan/observe.ts";
import { closureOf } from "./plan/only.ts";
import { editedPolicy } from "./plan/policy.ts";
import { changedGrants, grantCall, grantOf, policyItems } from "./plan/policies.ts";
import { checkPlace, emptyState } from "./plan/state.ts";
import type { Grant, Recorded, State } from "./plan/state.ts";
import { filled } from "./plan/step.ts";
import type { ForeignGrant, Plan, Step } from "./plan/step.ts";
import { storeItems } from "./plan/stores.ts";

export type { Code } from "./plan/functions.ts";
export type { Observed } from "./plan/observe.ts";
export type { Call, Plan, PolicyCall, Step, ToolCall } from "./plan/step.ts";

export interface Wanted {
  readonly manifest: Manifest;
  readonly code: Code;
}

export interface PlanOptions {
  /** Deletes what is no longer wanted, except for data. */
  readonly prune: boolean;
  /** Ids of units (`asset gitcoin/passport_scores`): only their functions, and what these need. Nothing is deleted then. */
  readonly only?: ReadonlySet<string>;
}

/**
 * Throws `DefinitionError` where the environment has moved (`checkPlace`), and `PermanentError` where a name is taken by somebody else, or
 * something was not built.
 */
export function plan(wanted: Wanted, observed: Observed, { prune, only }: PlanOptions): Plan {
  const { manifest, code } = wanted;
  return planOf({
    manifest,
    archive: code.archive,
    resources: itemsOf(wanted),
    policies: true,
    observed,
    prune,
    only,
    why: "nothing defines it any more",
  });
}

/** Every wanted resource, without policies. */
export function itemsOf({ manifest, code }: Wanted): Item[] {
  return [...storeItems(manifest), ...functionItems(manifest, code), ...messageItems(manifest)];
}

/** Everything goes but data: see `whyItStays`. */
export function destroyPlan(manifest: Manifest, observed: Observed): Plan {
  return planOf({
    manifest,
    archive: "",
    resources: [],
    policies: false,
    observed,
    prune: true,
    only: undefined,
    why: "the environment is taken away",
  });
}

interface Options {
  readonly manifest: Manifest;
  readonly archive: string;
  /** Without policies. */
  readonly resources: readonly Item[];
  readonly policies: boolean;
  readonly observed: Observed;
  readonly prune: boolean;
  readonly only: ReadonlySet<string> | undefined;
  /** Why what is deleted is. */
  readonly why: string;
}

function planOf({ manifest, archive, resources, policies, observed, prune, only, why }: Options): Plan {
  const { environment } = manifest;
  const state = observed.state ?? emptyState(manifest);
  checkPlace(state, manifest);
  checkStrangers(environment.name, resources, observed, state);
  const policyNames = policies ? policyItems(manifest, { kept: new Map(), owned: [] }).map(({ id }) => id) : [];
  const parting = partingOf(new Set([...resources.map(({ id }) => id), ...policyNames]), observed, state);
  const keeping = prune ? new Set<string>() : keptMembers(parting.gone, environment.project);
  const kept = keptGrants(state, keeping);
  const owned = ownedMembers(manifest, parting.gone, state).filter((member) => !keeping.has(member));
  const all = sorted([...resources, ...(policies ? policyItems(manifest, { kept, owned }) : [])]);
  const items = only === undefined ? all : closureOf(manifest, all, only);

  const bindings = Map.groupBy(manifest.bindings, ({ resource }) => policyName(resource.kind, resource.name));
  const made = new Set<string>();
  const changes: Step[] = [];
  const unchanged: Plan["unchanged"][number][] = [];
  const records: Record<string, Recorded | null> = {};
  const notes: string[] = [];
  for (const item of items) {
    const { id, kind, name, needs } = item;
    const decision = decide(item, state.resources[id], { observed, made });
    if (decision.kind === "stuck") notes.push(decision.note);
    else if (decision.kind === "unchanged") {
      unchanged.push({ id, kind });
      if (decision.adopted) records[id] = recordOf(item);
    } else {
      const { action, reason, calls } = decision;
      const { policy } = item;
      if (action === "create") made.add(id);
      const before = kind === "function" ? [...needs, sourceId(archive)] : needs;
      const seconds = secondsOf(kind, action, calls.length);
      changes.push({
        id,
        kind,
        name,
        action,
        reason,
        needs: before,
        calls,
        ...(policy === undefined
          ? {}
          : { grants: changedGrants(bindings.get(name), policy.grants, state.resources[id]) }),
        seconds,
        records: { [id]: recordOf(item) },
      });
    }
  }
  const removals =
    only === undefined ? removalsOf(manifest, parting, state, { observed, prune, kept, owned, changes, why }) : [];
  for (const id of only === undefined ? parting.forgotten : []) records[id] = null;
  const source = changes.some(({ kind }) => kind === "function") ? [sourceStep(manifest, archive)] : [];
  const own = new Set(items.map(({ id }) => id));
  const steps = withKnownNeeds(handedOver([...source, ...changes, ...removals], own, observed.values, state));
  return {
    environment: environment.name,
    steps,
    unchanged,
    withheld:
      prune || only !== undefined ? [] : parting.gone.map(({ id, kind, name }) => ({ id, kind, name, reason: why })),
    foreign: policies ? foreignGrants(manifest, observed.values) : [],
    records,
    notes: [...notes, ...(only === undefined ? parting.notes : [])],
    values: observed.values,
    seconds: estimate(steps),
  };
}

/** A source that is uploaded before its bucket is made would fail, so it stands where its needs are done. */
function withKnownNeeds(steps: readonly Step[]): readonly Step[] {
  const known = new Set(steps.map(({ id }) => id));
  const own = steps.map((step) => ({ ...step, needs: [...new Set(step.needs)].filter((need) => known.has(need)) }));
  return sorted(own);
}

interface RemovalOptions {
  readonly observed: Observed;
  readonly prune: boolean;
  readonly kept: ReadonlyMap<string, readonly Grant[]>;
  readonly owned: readonly string[];
  readonly changes: readonly Step[];
  /** Why what goes goes. */
  readonly why: string;
}

function removalsOf(
  { environment }: Manifest,
  { gone, revoked }: Parting,
  state: State,
  { observed, prune, kept, owned, changes, why }: RemovalOptions,
): readonly Step[] {
  const recordFor = (grants: readonly Grant[]): Recorded => ({
    hash: hash(canonicalJson(grants)),
    grants: [...grants],
  });
  const runners = Map.groupBy(gone, ({ account }) => `serviceAccount:${account ?? ""}`);
  const revoking = revoked.flatMap((id) => {
    const left = kept.get(id) ?? [];
    const record = state.resources[id];
    // A function that is about to go keeps its rights until then.
    const members = new Set(record?.grants?.map(({ member }) => member));
    const before = prune ? [...members].flatMap((member) => runners.get(member) ?? []).map((one) => one.id) : [];
    const step = revokingStep(environment, id, left, owned, before, recordFor);
    if (step === undefined || record?.grants?.length === left.length) return [];
    const [call] = step.calls;
    const text = observed.policies.get(id);
    const isSame = call !== undefined && "edit" in call && text !== undefined && isAsWanted(text, call.edit, observed);
    const grants = changedGrants([], left, record);
    return record === undefined && isSame ? [] : [{ ...step, grants }];
  });
  const policies = changes.filter(({ kind }) => kind === "policy");
  return [...revoking, ...(prune ? removalSteps(environment, gone, [...policies, ...revoking], state, why) : [])];
}

function isAsWanted(text: string, edit: Parameters<typeof editedPolicy>[1], { values }: Observed): boolean {
  if (edit.wanted.some(({ member }) => filled(member, values).missing.length > 0)) return false;
  return !editedPolicy(text, edit, values).changed;
}

/** What somebody else has made under a name that is wanted here is neither changed nor taken over. */
function checkStrangers(environment: string, items: readonly Item[], { found }: Observed, state: State): void {
  const taken = items.flatMap(({ id, kind, facts }) => {
    const one = found.get(id);
    if (one === undefined || one.ours || facts === undefined || state.resources[id] !== undefined) return [];
    if (one.owner !== undefined) return [`${id} belongs to the environment ${one.owner}`];
    return kind === "function" ? [`${id} is there already, and is not Sluice's`] : [];
  });
  if (taken.length === 0) return;
  throw new PermanentError(
    `${taken.slice(0, 3).join("; ")}${taken.length > 3 ? ` and ${taken.length - 3} more` : ""}: rename it, or give ${environment} a namePrefix`,
  );
}

/** Accounts that functions still run as which only pruning deletes: they keep what they may do until then. */
function keptMembers(gone: readonly Gone[], project: string): ReadonlySet<string> {
  return new Set(
    gone.flatMap(({ kind, name, account }) => {
      if (account !== undefined) return [`serviceAccount:${account}`];
      return kind === "account" ? [`serviceAccount:${name}@${project}.iam.gserviceaccount.com`] : [];
    }),
  );
}

function keptGrants({ resources }: State, members: ReadonlySet<string>): ReadonlyMap<string, readonly Grant[]> {
  if (members.size === 0) return new Map();
  return new Map(
    Object.entries(resources).flatMap(([id, { grants = [] }]) => {
      const kept = grants.filter(({ member }) => members.has(member));
      return kept.length === 0 ? [] : [[id, kept] as const];
    }),
  );
}

function ownedMembers({ accounts, environment }: Manifest, gone: readonly Gone[], { resources }: State): string[] {
  const recorded = Object.keys(resources).flatMap((id) =>
    id.startsWith("account ") ? [id.slice("account ".length)] : [],
  );
  const known = gone.flatMap(({ kind, name }) => (kind === "account" ? [name] : []));
  const emails = [...recorded, ...known].map((name) => `${name}@${environment.project}.iam.gserviceaccount.com`);
  return [...new Set([...accounts.map(({ email }) => email), ...emails])]
    .sort()
    .map((email) => `serviceAccount:${email}`);
}

function foreignGrants(
  { environment, foreignBindings }: Manifest,
  values: ReadonlyMap<string, string>,
): ForeignGrant[] {
  return foreignBindings.map((binding) => {
    const { kind, name, project = environment.project } = binding.resource;
    const command = grantCall({ project, region: environment.region }, kind, name, grantOf(binding));
    return { project, binding, command: { ...command, args: command.args.map((arg) => filled(arg, values).text) } };
  });
}

/** What others need stands before them; otherwise the order stays. */
function sorted<T extends { readonly id: string; readonly needs: readonly string[] }>(all: readonly T[]): T[] {
  const byId = new Map(all.map((one) => [one.id, one]));
  const placed = new Set<string>();
  const result: T[] = [];
  const place = (one: T): void => {
    if (placed.has(one.id)) return;
    placed.add(one.id);
    for (const need of one.needs) {
      const before = byId.get(need);
      if (before !== undefined) place(before);
    }
    result.push(one);
  };
  all.forEach(place);
  return result;
}
