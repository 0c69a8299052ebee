/**
 * Choosing assets by an expression: terms joined by commas or blanks, whose union is taken.
 *
 * `*`, `gitcoin/*`: keys, where `*` is any text; `gitcoin/scores`: one key; `group:x`, `tag:k` or `tag:k=v`,
 * `owner:x`, `kind:x`: by attribute. `+term` adds everything upstream, `term+` everything downstream, `2+term` and
 * `term+2` only that many steps.
 */
import { DefinitionError } from "./errors.ts";
import type { AssetGraph } from "./graph.ts";
import { didYouMean } from "./suggest.ts";

export interface AssetAttributes {
  readonly group?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly owners?: readonly string[];
  readonly kinds?: readonly string[];
}

const FIELDS = ["group", "tag", "owner", "kind"] as const;
type Field = (typeof FIELDS)[number];

/**
 * The chosen keys, in graph order, each once. Throws `DefinitionError` for an empty expression and for a term that
 * chooses nothing, with the nearest known one.
 */
export function selectAssets(
  expression: string,
  graph: AssetGraph,
  attributes: ReadonlyMap<string, AssetAttributes> = new Map(),
): readonly string[] {
  const terms = expression.split(/[\s,]+/).filter((term) => term !== "");
  if (terms.length === 0) {
    throw new DefinitionError("the selection is empty", { remedy: 'choose assets, such as "gitcoin/*" or "*"' });
  }
  const chosen = new Set(terms.flatMap((term) => selectTerm(term, graph, attributes)));
  return graph.order.filter((key) => chosen.has(key));
}

function selectTerm(
  term: string,
  graph: AssetGraph,
  attributes: ReadonlyMap<string, AssetAttributes>,
): readonly string[] {
  const [, up, atom = "", down] = /^(\d*\+)?(.*?)(\+\d*)?$/s.exec(term) ?? [];
  const keys = selectAtom(atom, term, graph, attributes);
  const above = up === undefined ? [] : graph.upstream(keys, depthOf(up));
  const below = down === undefined ? [] : graph.downstream(keys, depthOf(down));
  return [...keys, ...above, ...below];
}

function depthOf(sign: string): number {
  const digits = sign.replace("+", "");
  return digits === "" ? Infinity : Number(digits);
}

function selectAtom(
  atom: string,
  term: string,
  graph: AssetGraph,
  attributes: ReadonlyMap<string, AssetAttributes>,
): readonly string[] {
  const colon = atom.indexOf(":");
  if (colon >= 0) return selectByAttribute(atom.slice(0, colon), atom.slice(colon + 1), graph, attributes);
  if (graph.has(atom)) return [atom];
  const keys = atom.includes("*") ? graph.order.filter((key) => matchesGlob(atom, key)) : [];
  if (keys.length > 0) return keys;
  throw unknown(`no asset is called ${JSON.stringify(term)}`, atom, graph.order);
}

function selectByAttribute(
  field: string,
  value: string,
  graph: AssetGraph,
  attributes: ReadonlyMap<string, AssetAttributes>,
): readonly string[] {
  const known = FIELDS.find((name) => name === field);
  if (known === undefined) throw unknown(`a selection knows no ${JSON.stringify(field)}`, field, FIELDS);
  const keys = graph.order.filter((key) => valuesOf(known, attributes.get(key) ?? {}).includes(value));
  if (keys.length > 0) return keys;
  const values = new Set(graph.order.flatMap((key) => valuesOf(known, attributes.get(key) ?? {})));
  throw unknown(`no asset has the ${field} ${JSON.stringify(value)}`, value, values);
}

function valuesOf(field: Field, attributes: AssetAttributes): readonly string[] {
  switch (field) {
    case "group":
      return attributes.group === undefined ? [] : [attributes.group];
    case "tag":
      return Object.entries(attributes.tags ?? {}).flatMap(([key, value]) => [`${key}=${value}`, key]);
    case "owner":
      return attributes.owners ?? [];
    case "kind":
      return attributes.kinds ?? [];
  }
}

/** Linear in the key: the parts between stars are found one after the other, each as early as it can be. */
function matchesGlob(glob: string, key: string): boolean {
  const [first = "", ...parts] = glob.split("*");
  const last = parts.pop() ?? "";
  let at = first.length;
  if (!key.startsWith(first)) return false;
  for (const part of parts) {
    const found = key.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return key.length - last.length >= at && key.endsWith(last);
}

function unknown(message: string, word: string, candidates: Iterable<string>): DefinitionError {
  const remedy = didYouMean(word, candidates);
  return new DefinitionError(message, remedy === undefined ? {} : { remedy });
}
