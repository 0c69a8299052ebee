/** Which function runs as which service account. */
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Unit } from "../../lib/core/units.ts";
import type { Environment } from "../environments.ts";
import { accountNameOf } from "../names.ts";

export interface Account {
  readonly name: string;
  readonly email: string;
  /** What it is for. */
  readonly about: string;
}

export interface Accounts {
  /** All of them, by name. */
  readonly all: readonly Account[];
  /** Of a function, by its unit's id. */
  readonly of: ReadonlyMap<string, Account>;
  /** Delivers messages and ticks: the only one that may call functions. */
  readonly push: Account;
  /** Publishes delayed messages. */
  readonly tasks: Account;
  /** Builds the images. */
  readonly build: Account;
  /** Names that two of them would have, each with what they are for. */
  readonly collisions: ReadonlyMap<string, readonly string[]>;
}

/** Those of functions begin with `fn-`, `asset-`, `job-`, `sensor-` or `group-`, those of Sluice itself with `sluice-`. */
export function accountsOf(definitions: Definitions, environment: Environment, units: readonly Unit[]): Accounts {
  const { namePrefix, project } = environment;
  const made = new Map<string, Account>();
  const collisions = new Map<string, string[]>();
  const account = (text: string, about: string): Account => {
    const name = accountNameOf(namePrefix, text);
    const known = made.get(name);
    if (known !== undefined) {
      if (known.about !== about) collisions.set(name, [...(collisions.get(name) ?? [known.about]), about]);
      return known;
    }
    const fresh = { name, email: `${name}@${project}.iam.gserviceaccount.com`, about };
    made.set(name, fresh);
    return fresh;
  };
  const push = account("sluice-push", "delivers messages to functions, and is the only one that may call them");
  const tasks = account("sluice-tasks", "publishes delayed messages");
  const build = account("sluice-build", "builds the functions' images");
  const of = new Map(units.map((unit) => [unit.id, account(...accountTextOf(definitions, environment, unit))]));
  return {
    all: [...made.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    of,
    push,
    tasks,
    build,
    collisions,
  };
}

function accountTextOf(definitions: Definitions, { accounts }: Environment, unit: Unit): [string, string] {
  const { kind, name, files } = unit;
  if (kind === "reconcile") return ["sluice-reconcile", "looks at deadlines and watched buckets"];
  if (kind === "bucket") return ["sluice-router", "passes the objects of watched buckets on"];
  const group = kind === "asset" ? definitions.assets.get(name)?.group : undefined;
  if (accounts === "group" && group !== undefined) return [`group/${group}`, `runs the assets of the group ${group}`];
  if (accounts === "asset") return [`${kind}/${name}`, `runs the ${kind} ${name}`];
  const file = files[0] ?? "";
  return [`fn/${file.replace(/^functions\//, "").replace(/\.m?ts$/, "")}`, `runs what ${file} defines`];
}
