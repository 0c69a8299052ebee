/**
 * From the exports of an author's modules to one checked set of definitions. Everything that is wrong is collected, each
 * with its file and export, so that one bad module hides nothing about the others.
 */
import { namedAlert } from "./alert.ts";
import { nameOf } from "./definitions.ts";
import type { Definition, Definitions, Watcher } from "./definitions.ts";
import { isDefinition } from "./definition.ts";
import { alertProblems, problemsOf } from "./definition-problems.ts";
import { DefinitionError } from "./errors.ts";
import { isFactoryResponse } from "./factory-response.ts";
import { assetGraph } from "./graph.ts";
import { compileObjectSource } from "./object-source.ts";
import { shown } from "./options.ts";

/** A loaded module: `functions/gitcoin.ts` and what it exports, or the error that it threw. */
export interface LoadedModule {
  readonly file: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly error?: unknown;
  /** Where it threw, as people find it: `functions/gitcoin.ts:12:3 gitcoinScores`. Default: the file. */
  readonly place?: string;
}

export interface Collected {
  readonly definitions: Definitions;
  /** What is wrong, each in the order of the modules, and what keeps one from being loaded first. Nothing deploys while there is any. */
  readonly problems: readonly DefinitionError[];
  /** Those of them that kept a module from being loaded: what it defines is not there. */
  readonly broken?: readonly DefinitionError[];
}

/**
 * Takes every exported definition, factory response and array of these. Never throws for what authors wrote. `part`: the modules are
 * those of one function, so that an alert may be about assets that are not among them.
 */
export function collectDefinitions(
  modules: readonly LoadedModule[],
  { part = false }: { readonly part?: boolean } = {},
): Collected {
  const problems: DefinitionError[] = [];
  const places = new Map<string, string>();
  const found = new Map<string, Definition>();
  const seen = new Set<unknown>();

  const take = (value: unknown, place: string): void => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    if (Array.isArray(value)) return value.forEach((item) => take(item, place));
    if (isDefinition(value)) return add(withName(value as Definition, place), place);
    if (!isFactoryResponse(value)) return;
    const { asset, ...lists } = value;
    for (const name of ["assets", "sensors", "jobs", "checks", "alerts"] as const) {
      // Code without types may have put anything there.
      const parts: unknown = lists[name];
      if (Array.isArray(parts)) for (const part of parts) take(part, place);
      else if (parts !== undefined)
        problems.push(
          new DefinitionError(`the ${name} of a factory response are no list, but ${shown(parts)}`, {
            where: place,
            remedy: "write […]",
          }),
        );
    }
    take(asset, place);
  };
  const add = (definition: Definition, place: string): void => {
    const name = nameOf(definition);
    const other = places.get(name);
    if (other !== undefined) {
      const where = other === place ? "twice here" : `here and in ${other}`;
      problems.push(
        new DefinitionError(`${name} is defined ${where}`, { where: place, remedy: "give one of them another name" }),
      );
      return;
    }
    places.set(name, place);
    found.set(name, definition);
  };

  const broken = modules.flatMap((module) => (module.error === undefined ? [] : moduleProblems(module)));
  problems.push(...broken);
  for (const module of modules) {
    for (const [name, value] of Object.entries(module.exports ?? {})) take(value, `${module.file} ${name}`);
  }

  const all = [...found.values()];
  const assets = new Map(all.filter((d) => d.kind === "asset").map((d) => [d.key, d]));
  const sensors = new Map(all.filter((d) => d.kind === "sensor").map((d) => [d.name, d]));
  const jobs = new Map(all.filter((d) => d.kind === "job").map((d) => [d.name, d]));
  const checks = all.filter((d) => d.kind === "check");
  const pools = new Map(all.filter((d) => d.kind === "pool").map((d) => [d.name, d]));
  const alerts = new Map(all.filter((d) => d.kind === "alert").map((d) => [d.name, d]));
  const graph = assetGraph([...assets.values()].map(({ key, deps }) => ({ key, deps })));
  const watchers = watchersOf(assets);
  const definitions: Definitions = { assets, sensors, jobs, checks, pools, alerts, graph, watchers, places };
  problems.push(...problemsOf(definitions), ...(part ? [] : alertProblems(definitions)));
  return { definitions, problems, broken };
}

/** What was given no name has that of its export. */
function withName(definition: Definition, place: string): Definition {
  return definition.kind === "alert" ? namedAlert(definition, place.split(" ").at(-1) ?? "") : definition;
}

function watchersOf(assets: Definitions["assets"]): Definitions["watchers"] {
  const watchers = new Map<string, Watcher[]>();
  for (const { key, source } of assets.values()) {
    if (source === undefined) continue;
    const others = watchers.get(source.bucket) ?? [];
    // A pattern that does not compile was refused when its asset was defined.
    watchers.set(source.bucket, [...others, { asset: key, matcher: compileObjectSource(source) }]);
  }
  return watchers;
}

function moduleProblems({ error, file, place = file }: LoadedModule): readonly DefinitionError[] {
  if (!(error instanceof DefinitionError))
    return [
      new DefinitionError(error instanceof Error ? error.message : String(error), { where: place, cause: error }),
    ];
  return [error, ...error.others].map(
    ({ message, where, remedy }) =>
      new DefinitionError(message, {
        where: where === undefined ? place : `${place} ${where}`,
        cause: error,
        ...(remedy === undefined ? {} : { remedy }),
      }),
  );
}
