/** The graph of assets and what they depend on. Everything here is linear in assets plus dependencies. */
import { didYouMean } from "./suggest.ts";

export interface AssetNode {
  readonly key: string;
  readonly deps: readonly string[];
}

export interface UnknownDependency {
  readonly key: string;
  readonly dep: string;
  /** The nearest known key, or a few of them. */
  readonly remedy?: string;
}

export interface AssetGraph {
  /** Every asset once, after all it depends on (cycles aside), and otherwise in the order given. */
  readonly order: readonly string[];
  /** Keys that were given more than once; the first of each counts. */
  readonly duplicates: readonly string[];
  readonly unknown: readonly UnknownDependency[];
  /**
   * One cycle for every knot of assets that depend on each other, as `[a, b, a]`: join it with ` → `. A knot may
   * hold more cycles than can be listed; breaking this one shows the next.
   */
  readonly cycles: readonly (readonly string[])[];
  has(key: string): boolean;
  /** The assets that `key` depends on directly, without unknown ones. Empty for an unknown key. */
  depsOf(key: string): readonly string[];
  /** The assets that depend on `key` directly. */
  dependentsOf(key: string): readonly string[];
  /** The keys and all they depend on, up to `depth` steps away; in graph order. */
  upstream(keys: Iterable<string>, depth?: number): readonly string[];
  /** The keys and all that depends on them, up to `depth` steps away; in graph order. */
  downstream(keys: Iterable<string>, depth?: number): readonly string[];
}

type Edges = ReadonlyMap<string, readonly string[]>;

/** Never throws: what is wrong is part of the graph, so that one bad asset hides nothing about the others. */
export function assetGraph(nodes: readonly AssetNode[]): AssetGraph {
  const known = new Map<string, AssetNode>();
  const duplicates = new Set<string>();
  for (const node of nodes) {
    if (known.has(node.key)) duplicates.add(node.key);
    else known.set(node.key, node);
  }
  const deps = new Map([...known].map(([key, node]) => [key, uniqueDeps(node).filter((dep) => known.has(dep))]));
  const dependents = reversed(deps);
  const components = componentsOf(deps);
  const order = components.flat();
  const place = new Map(order.map((key, index) => [key, index]));
  const closure = (edges: Edges, keys: Iterable<string>, depth: number) =>
    reach(edges, keys, depth).sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
  return {
    order,
    duplicates: [...duplicates],
    unknown: unknownDeps(known),
    cycles: components.flatMap((component) => cyclesIn(component, deps)),
    has: (key) => known.has(key),
    depsOf: (key) => deps.get(key) ?? [],
    dependentsOf: (key) => dependents.get(key) ?? [],
    upstream: (keys, depth = Infinity) => closure(deps, keys, depth),
    downstream: (keys, depth = Infinity) => closure(dependents, keys, depth),
  };
}

function uniqueDeps(node: AssetNode): string[] {
  return [...new Set(node.deps)];
}

function unknownDeps(known: ReadonlyMap<string, AssetNode>): UnknownDependency[] {
  const remedies = new Map<string, string | undefined>();
  const remedyFor = (dep: string): string | undefined => {
    // Looking for a near key costs a walk over all of them: once for each unknown one, and not for thousands.
    if (!remedies.has(dep) && remedies.size < 100) remedies.set(dep, didYouMean(dep, known.keys()));
    return remedies.get(dep);
  };
  return [...known.values()].flatMap((node) =>
    uniqueDeps(node)
      .filter((dep) => !known.has(dep))
      .map((dep) => {
        const remedy = remedyFor(dep);
        return { key: node.key, dep, ...(remedy === undefined ? {} : { remedy }) };
      }),
  );
}

function reversed(edges: Edges): Map<string, string[]> {
  const result = new Map<string, string[]>([...edges.keys()].map((key) => [key, []]));
  for (const [key, targets] of edges) for (const target of targets) result.get(target)?.push(key);
  return result;
}

/**
 * Tarjan's strongly connected components, without recursion: depth is bounded by memory and not by the stack. A
 * component comes after all that it depends on, which makes the list a topological order.
 */
function componentsOf(deps: Edges): string[][] {
  const components: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  for (const root of deps.keys()) {
    if (index.has(root)) continue;
    const path = [enter(root)];
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const target = frame.targets[frame.next++];
      if (target === undefined) {
        path.pop();
        leave(frame.key);
        const parent = path.at(-1)?.key;
        if (parent !== undefined) lower(parent, low.get(frame.key));
      } else if (!index.has(target)) {
        path.push(enter(target));
      } else if (isOpen.has(target)) {
        lower(frame.key, index.get(target));
      }
    }
  }
  return components;

  function enter(key: string) {
    index.set(key, index.size);
    low.set(key, index.size - 1);
    open.push(key);
    isOpen.add(key);
    return { key, targets: deps.get(key) ?? [], next: 0 };
  }

  function lower(key: string, value = Infinity): void {
    low.set(key, Math.min(low.get(key) ?? Infinity, value));
  }

  function leave(key: string): void {
    if (low.get(key) !== index.get(key)) return;
    const component = open.splice(open.lastIndexOf(key));
    for (const member of component) isOpen.delete(member);
    components.push(component);
  }
}

/** A shortest cycle through the component's first asset, if there is any: an asset alone need not depend on itself. */
function cyclesIn(component: readonly string[], deps: Edges): string[][] {
  const [first = ""] = component;
  const inside = new Set(component);
  const cameFrom = new Map<string, string>();
  const queue = [first];
  // The queue grows while it is walked: breadth first.
  for (const key of queue) {
    for (const target of deps.get(key) ?? []) {
      if (target === first) return [[...pathTo(key, first, cameFrom), first]];
      if (!inside.has(target) || cameFrom.has(target)) continue;
      cameFrom.set(target, key);
      queue.push(target);
    }
  }
  return [];
}

function pathTo(key: string, first: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path = [key];
  for (let at = key; at !== first;) {
    at = cameFrom.get(at) ?? first;
    path.push(at);
  }
  return path.reverse();
}

function reach(edges: Edges, keys: Iterable<string>, depth: number): string[] {
  const seen = new Set([...keys].filter((key) => edges.has(key)));
  let edge: readonly string[] = [...seen];
  for (let step = 0; step < depth && edge.length > 0; step += 1) {
    const next: string[] = [];
    for (const target of edge.flatMap((key) => edges.get(key) ?? [])) {
      if (seen.has(target)) continue;
      seen.add(target);
      next.push(target);
    }
    edge = next;
  }
  return [...seen];
}
