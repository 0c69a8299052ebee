/** A project in memory, on which plans are carried out step by step: what their calls do is taken from the calls where that matters. */
import assert from "node:assert/strict";
import type { Manifest } from "../../infra/manifest.ts";
import { itemsOf } from "../../infra/plan.ts";
import type { Observed, Plan, Step, Wanted } from "../../infra/plan.ts";
import type { Facts, Item } from "../../infra/plan/item.ts";
import { idOf } from "../../infra/plan/item.ts";
import { parsedId } from "../../infra/plan/gone.ts";
import type { Found } from "../../infra/plan/observe.ts";
import { editedPolicy } from "../../infra/plan/policy.ts";
import { goesWith } from "../../infra/plan/removal.ts";
import { emptyState, withRecords } from "../../infra/plan/state.ts";
import type { State } from "../../infra/plan/state.ts";
import { filled, isPolicyCall } from "../../infra/plan/step.ts";
import type { ResourceKind } from "../../infra/plan/step.ts";
import { compiled } from "./infra.ts";

export interface Known extends Wanted {
  readonly items: ReadonlyMap<string, Item>;
}

/** With a hash of every unit's code, another one for those that were edited. */
export function wantedOf(manifest: Manifest, edited: Readonly<Record<string, string>> = {}, archive = "a1"): Known {
  const hashes = new Map(manifest.functions.map(({ unit }) => [unit, `code of ${unit} ${edited[unit] ?? ""}`]));
  const wanted = { manifest, code: { hashes, archive } };
  return { ...wanted, items: new Map(itemsOf(wanted).map((item) => [item.id, item])) };
}

export function manifestOf(...options: Parameters<typeof compiled>): Manifest {
  const { manifest, problems } = compiled(...options);
  assert.deepEqual(problems.map(String), []);
  return manifest;
}

export interface World {
  state: State | undefined;
  /** What is there, as the lists would show it. */
  readonly found: Map<string, Found>;
  /** As JSON, by the policy's id. */
  readonly policies: Map<string, string>;
}

export function emptyWorld(): World {
  return { state: undefined, found: new Map(), policies: new Map() };
}

const LISTED: readonly ResourceKind[] = [
  ...(["function", "trigger", "topic", "subscription", "schedule", "queue"] as const),
  ...(["account", "bucket", "dataset", "notification"] as const),
];

/** What a deployment would see. With `refresh`, policies as well. */
export function look({ state, found, policies }: World, { manifest }: Wanted, refresh = false): Observed {
  const project = idOf("policy", `project ${manifest.environment.project}`);
  const seen = [...policies].filter(([id]) => refresh || id === project);
  return {
    state,
    looked: new Set(LISTED),
    found: new Map([...found].filter(([, { kind }]) => LISTED.includes(kind))),
    policies: new Map([[project, "{}"], ...seen]),
    values: valuesOf(found, manifest),
    off: [],
  };
}

function valuesOf(found: ReadonlyMap<string, Found>, { environment, bindings }: Manifest): ReadonlyMap<string, string> {
  const functions = [...found.values()].filter(({ kind }) => kind === "function");
  return new Map([
    [`number:${environment.project}`, "4711"],
    ...bindings.flatMap(({ member }): [string, string][] =>
      [...member.matchAll(/\{(number:[^}]+)\}/g)].map(([, key = ""]) => [key, "4711"]),
    ),
    ...functions.flatMap(({ name }): (readonly [string, string])[] => [
      [`url:${name}`, `https://${name}.run.app`],
      ...(found.has(idOf("trigger", name))
        ? ([
            [`trigger:${name}`, `projects/p/locations/l/triggers/${name}`],
            [`trigger-subscription:${name}`, `projects/p/subscriptions/eventarc-${name}`],
          ] as const)
        : []),
    ]),
  ]);
}

/** Carries one step out. With `recorded: false` it ends between the deed and its record. */
export function perform(world: World, wanted: Known, step: Step, { recorded = true } = {}): void {
  const { id, kind, name, action, calls, records } = step;
  const { found, policies } = world;
  if (kind === "policy") {
    for (const call of calls) {
      const before = policies.get(id) ?? "{}";
      const values = valuesOf(found, wanted.manifest);
      if (isPolicyCall(call)) {
        const missing = call.read.args.flatMap((arg) => filled(arg, values).missing);
        assert.deepEqual(missing, [], `${id} is set before ${missing.join()}`);
        policies.set(id, editedPolicy(before, call.edit, values).text);
        continue;
      }
      const flag = (flagName: string): string =>
        call.args.find((arg) => arg.startsWith(`--${flagName}=`))?.slice(flagName.length + 3) ?? "";
      const edit = { form: "iam", wanted: [{ role: flag("role"), member: flag("member") }], owned: [] } as const;
      policies.set(id, editedPolicy(before, edit, values).text);
    }
  } else if (action === "delete") {
    // A queue is emptied, and stays.
    if (kind !== "queue") found.delete(id);
    for (const child of goesWith(kind, name)) {
      policies.delete(child);
      found.delete(child);
    }
  } else if (kind !== "source") {
    const item = wanted.items.get(id);
    assert.ok(item, id);
    const values = valuesOf(new Map([...found, [id, bare(id)]]), wanted.manifest);
    const entries = Object.entries(item.facts ?? {}).map(([field, text]) => {
      const { text: full, missing } = filled(text, values);
      assert.deepEqual(missing, [], `${id} is made before ${missing.join()}`);
      return [field, full] as const;
    });
    for (const need of [...item.needs].filter((one) => /^(?:topic|function|account|bucket|database) /.test(one)))
      if (wanted.items.has(need)) assert.ok(found.has(need), `${id} is made before ${need}`);
    const facts: Facts = Object.fromEntries(entries);
    const account = item.account === undefined ? {} : { account: item.account };
    const on = kind === "subscription" ? { on: [idOf("topic", facts["topic"]?.split("/").at(-1) ?? "")] } : {};
    found.set(id, { ...bare(id), facts, ...account, ...on });
    // One that is deployed without a trigger loses that which it had.
    if (kind === "function" && !wanted.items.has(idOf("trigger", name))) {
      found.delete(idOf("trigger", name));
      policies.delete(idOf("policy", `trigger ${name}`));
    }
  }
  if (recorded) world.state = withRecords(world.state ?? emptyState(wanted.manifest), records);
}

function bare(id: string): Found {
  const parsed = parsedId(id);
  assert.ok(parsed, id);
  const ours = ["function", "topic", "subscription", "account", "schedule", "notification"].includes(parsed.kind);
  return { id, ...parsed, ours, facts: {} };
}

/** Carries all of it out, in its own order, which must be one. */
export function performAll(world: World, wanted: Known, plan: Plan): void {
  const done = new Set<string>();
  const ids = new Set(plan.steps.map(({ id }) => id));
  for (const step of plan.steps) {
    for (const need of step.needs) assert.ok(done.has(need) && ids.has(need), `${step.id} stands before ${need}`);
    perform(world, wanted, step);
    done.add(step.id);
  }
  world.state = withRecords(world.state ?? emptyState(wanted.manifest), plan.records);
}

/** What is there, without its history: for comparing. */
export function remains({ found, policies }: World): unknown {
  const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    found: sorted(found).map(([id, { facts }]) => [id, facts]),
    policies: sorted(policies)
      .map(([id, text]) => [id, grantsIn(text)] as const)
      .filter(([, grants]) => grants.length > 0),
  };
}

function grantsIn(text: string): string[] {
  // What the plan's own edits have written.
  const { bindings = [], access = [] } = JSON.parse(text) as {
    bindings?: readonly { role: string; members: readonly string[]; condition?: { expression: string } }[];
    access?: readonly { role: string; userByEmail: string }[];
  };
  return [
    ...bindings.flatMap(({ role, members, condition }) =>
      members.map((member) => `${role} ${member} ${condition?.expression ?? ""}`),
    ),
    ...access.map(({ role, userByEmail }) => `${role} ${userByEmail}`),
  ].sort();
}
