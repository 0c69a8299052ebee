/** What was deployed and is no longer wanted. */
import { idOf } from "./item.ts";
import type { Place } from "./item.ts";
import { LIMITS, secondsOf } from "./limits.ts";
import type { Found, Observed } from "./observe.ts";
import { policyCall } from "./policies.ts";
import { childrenOf, goesWith, removalCalls, whyItStays } from "./removal.ts";
import type { Grant, Recorded, State } from "./state.ts";
import type { ResourceKind, Step } from "./step.ts";

/** Something that could be deleted. */
export interface Gone {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly own: readonly string[];
  /** Ids of what it stands on. */
  readonly on: readonly string[];
  /** Of a function. */
  readonly account?: string;
}

export interface Parting {
  readonly gone: readonly Gone[];
  /** Recorded, and not there any more, or never deleted: only their records go. */
  readonly forgotten: readonly string[];
  /** Ids of recorded policies of what stays. */
  readonly revoked: readonly string[];
  readonly notes: readonly string[];
}

/** The kind and the name in an id. */
export function parsedId(id: string): { readonly kind: ResourceKind; readonly name: string } | undefined {
  const blank = id.indexOf(" ");
  const kind = Object.keys(LIMITS).find((one) => one === id.slice(0, blank));
  // It is one of the keys.
  return kind === undefined ? undefined : { kind: kind as ResourceKind, name: id.slice(blank + 1) };
}

/** Resources are ours if the state has recorded them, or if they say so themselves. */
export function partingOf(
  wanted: ReadonlySet<string>,
  { looked, found, policies }: Observed,
  { resources }: State,
): Parting {
  const known = new Map<string, { record?: Recorded; found?: Found }>();
  for (const [id, record] of Object.entries(resources)) if (!wanted.has(id)) known.set(id, { record });
  for (const [id, one] of found)
    if (!wanted.has(id) && one.ours && one.kind !== "trigger") known.set(id, { ...known.get(id), found: one });
  const gone: Gone[] = [];
  const forgotten: string[] = [];
  const revoked = new Set<string>();
  const notes: string[] = [];
  for (const [id, { record, found: there = found.get(id) }] of known) {
    const parsed = parsedId(id);
    if (parsed === undefined) continue;
    const { kind, name } = parsed;
    if (kind === "policy" || kind === "trigger") continue;
    const stays = whyItStays(kind);
    if (stays !== undefined || (looked.has(kind) && there === undefined)) {
      forgotten.push(id);
      if (stays === undefined) forgotten.push(...childrenOf(kind, name).filter((child) => child in resources));
      if (stays !== undefined) notes.push(`${id} is no longer used, and stays: ${stays}`);
      continue;
    }
    const account = record?.account ?? there?.account;
    const on = record?.on ?? there?.on ?? [];
    gone.push({ id, kind, name, own: there?.own ?? [], on, ...(account === undefined ? {} : { account }) });
  }
  const withParents = new Set([
    ...gone.flatMap(({ kind, name }) => goesWith(kind, name)),
    ...forgotten.flatMap((id) => {
      const parsed = parsedId(id);
      return parsed === undefined || whyItStays(parsed.kind) !== undefined ? [] : childrenOf(parsed.kind, parsed.name);
    }),
  ]);
  // A trigger goes, with what may be done with its subscription, when its function is deployed without it.
  const ofTrigger = /^(?:policy )?trigger /;
  for (const id of [...Object.keys(resources), ...policies.keys()])
    if (id.startsWith("policy ") && !ofTrigger.test(id) && !wanted.has(id) && !withParents.has(id)) revoked.add(id);
  for (const id of Object.keys(resources))
    if (ofTrigger.test(id) && !wanted.has(id) && !withParents.has(id)) forgotten.push(id);
  return { gone, forgotten, revoked: [...revoked], notes };
}

/**
 * In the order in which they could run; each needs those first that stand on it, and an account the policies that it leaves. `why`: the
 * reason for all of them.
 */
export function removalSteps(
  place: Place,
  gone: readonly Gone[],
  policySteps: readonly Step[],
  { resources }: State,
  why: string,
): readonly Step[] {
  const standing = new Map<string, string[]>();
  const put = (under: string, id: string): void => void standing.set(under, [...(standing.get(under) ?? []), id]);
  for (const { id, on } of gone) for (const under of on) put(under, id);
  const accounts = new Set(gone.filter(({ kind }) => kind === "account").map(({ id }) => id));
  for (const { id } of policySteps) {
    const members = new Set(resources[id]?.grants?.map(({ member }) => member));
    for (const member of members) {
      const account = idOf("account", member.replace(/^serviceAccount:/, "").replace(/@.*$/, ""));
      if (accounts.has(account)) put(account, id);
    }
  }
  const rank = (kind: ResourceKind): number => ORDER.indexOf(kind);
  return [...gone]
    .sort((a, b) => rank(a.kind) - rank(b.kind) || (a.id < b.id ? -1 : 1))
    .map(({ id, kind, name, own }): Step => {
      const calls = removalCalls(place, { kind, name, own });
      const children = goesWith(kind, name).filter((child) => resources[child] !== undefined);
      return {
        id,
        kind,
        name,
        action: "delete",
        reason: kind === "queue" ? `${why}: it is emptied, and kept for its name's sake` : why,
        needs: [...new Set(standing.get(id))],
        calls,
        seconds: secondsOf(kind, "delete", calls.length),
        records: Object.fromEntries([id, ...children].map((one) => [one, null])),
      };
    });
}

const ORDER: readonly ResourceKind[] = [
  "schedule",
  "notification",
  "subscription",
  "topic",
  "function",
  "queue",
  "account",
];

/** Takes back what our accounts may do to a resource that stays; `kept` is left to them for now. */
export function revokingStep(
  place: Place,
  id: string,
  kept: readonly Grant[],
  owned: readonly string[],
  needs: readonly string[],
  record: (grants: readonly Grant[]) => Recorded,
): Step | undefined {
  const [, kind, name] = /^policy (\S+) (.*)$/.exec(id) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  const call = policyCall(place, kind, name, kept, owned);
  return {
    id,
    kind: "policy",
    name: `${kind} ${name}`,
    action: "update",
    reason: "its roles are no longer needed",
    needs,
    calls: [{ ...call, read: { ...call.read, ifMissing: [] } }],
    seconds: secondsOf("policy", "update", 2),
    records: { [id]: kept.length === 0 ? null : record(kept) },
  };
}
