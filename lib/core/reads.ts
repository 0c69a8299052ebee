/**
 * Which datasets the statements of a definition may read. The deployed accounts get their rights from it, and a run on one
 * machine is held to it, so that what is not declared fails in the same way on both.
 */
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import { allNeeds } from "./definitions.ts";
import type { Definitions } from "./definitions.ts";
import type { Need } from "./needs.ts";

export interface DatasetRef {
  /** The environment's own where it is left out. */
  readonly project?: string;
  readonly dataset: string;
}

/** The tables that an asset's statements and checks may refer to: those of what it depends on, and what is behind views. */
export function upstreamReads(definitions: Pick<Definitions, "assets">, asset: AssetDefinition): readonly Need[] {
  const { assets } = definitions;
  return asset.deps.flatMap((dep) => behind(assets, dep).flatMap((read) => tableRead(assets, asset.key, dep, read)));
}

function tableRead(assets: Definitions["assets"], key: AssetKey, dep: AssetKey, read: AssetKey): readonly Need[] {
  const { target } = assets.get(read) ?? {};
  if (target === undefined) return [];
  const { project, dataset } = target.table;
  const where = project === undefined ? {} : { project };
  const reason = `${key} reads ${dep}${read === dep ? "" : `, a view that reads ${read}`}`;
  return [{ kind: "read-dataset", ...where, dataset, reason }];
}

/** The asset and, where it is a view, all that its rows come from: whoever asks a view must be allowed to read that too. */
function behind(assets: Definitions["assets"], first: AssetKey): readonly AssetKey[] {
  const found = new Set([first]);
  // A set is walked to its end also while it grows.
  for (const key of found) {
    const asset = assets.get(key);
    if (asset?.target?.publish === "view") for (const dep of asset.deps) found.add(dep);
  }
  return [...found];
}

/** What the runs of an asset may read, its own tables included, beside much else. */
export function assetReads(definitions: Definitions, asset: AssetDefinition): readonly Need[] {
  return [...allNeeds(definitions, asset), ...upstreamReads(definitions, asset)];
}

/** The same without what is behind views: a deployed function knows of its upstreams, and not of theirs. */
export function namedReads(definitions: Definitions, asset: AssetDefinition): readonly Need[] {
  const { assets } = definitions;
  return [...allNeeds(definitions, asset), ...asset.deps.flatMap((dep) => tableRead(assets, asset.key, dep, dep))];
}

/** The datasets among the needs, each once and in order. */
export function datasetsIn(needs: readonly Need[]): readonly DatasetRef[] {
  const found = needs.flatMap((need) => {
    if (need.kind !== "read-dataset" && need.kind !== "write-dataset") return [];
    const { project, dataset } = need;
    return [project === undefined ? { dataset } : { project, dataset }];
  });
  const distinct = new Map(found.map((one) => [`${one.dataset} ${one.project ?? ""}`, one]));
  return [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** Only the deployment knows the name of its own project: where one side leaves it out, the dataset's name decides. */
export function mayRead(reads: readonly DatasetRef[], { project, dataset }: DatasetRef): boolean {
  return reads.some(
    (one) => one.dataset === dataset && (one.project === undefined || project === undefined || one.project === project),
  );
}

/** What is wrong with a table that is not declared, and what to do. */
export function undeclaredTable(table: string, dataset: string): string {
  return (
    `${table} is not declared: add its asset to deps (of a table made elsewhere, an externalAsset), ` +
    `or a resource with { kind: "read-dataset", dataset: ${JSON.stringify(dataset)} } in its needs`
  );
}

/** The first table of a statement that is none of those datasets', by its quoted names: whatever else they are, they are no columns. */
export function undeclaredIn(statement: string, reads: readonly DatasetRef[]): string | undefined {
  for (const { shown, ...dataset } of quotedTables(statement))
    if (!mayRead(reads, dataset)) return undeclaredTable(shown, dataset.dataset);
  return undefined;
}

/** Texts and comments, which are skipped, and names in quotes. */
const TOKENS = /'''[^]*?'''|"""[^]*?"""|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|--[^\n]*|#[^\n]*|\/\*[^]*?\*\/|`([^`]+)`/g;

function* quotedTables(statement: string): Generator<DatasetRef & { readonly shown: string }> {
  for (const match of statement.matchAll(TOKENS)) {
    const [token, name] = match;
    if (name?.includes(".") !== true) continue;
    const before = statement.slice(Math.max(0, match.index - 8), match.index);
    const after = statement.slice(match.index + token.length, match.index + token.length + 8);
    // One part of a longer path, an alias, or a function: not the whole name of a table.
    if (/(?:\.|\bAS)\s*$/i.test(before) || /^\s*[.(]/.test(after)) continue;
    const parts = name.split(".");
    const special = parts.findIndex((part) => part.toUpperCase() === "INFORMATION_SCHEMA");
    const place = parts.slice(0, special === -1 ? -1 : special);
    const dataset = place.at(-1);
    if (dataset === undefined) continue;
    const project = place.slice(0, -1).join(".");
    yield { dataset, ...(project === "" ? {} : { project }), shown: name };
  }
}
