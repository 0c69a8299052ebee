/** Renamed assets, as commands see them: also before anything has taken over what is known under the old names. */
import type { DocumentKind, Documents, RunDocument, RunStatus } from "../core/documents.ts";
import { namesOf } from "../core/previous-keys.ts";
import type { Named } from "../core/previous-keys.ts";
import type { ReadableStore } from "./workbench.ts";

/** A store that finds a partition, and an asset's newest one, under a previous key where the present one has none. */
export function withPreviousNames(store: ReadableStore, assets: readonly Named[]): ReadableStore {
  // What says only that everything is elsewhere is passed over.
  const there = async <K extends DocumentKind>(kind: K, id: string): Promise<Documents[K] | undefined> => {
    const found = await store.get(kind, id);
    return found !== undefined && "movedTo" in found ? undefined : found;
  };
  const renamed = new Map(assets.filter(({ previousKeys = [] }) => previousKeys.length > 0).map((a) => [a.key, a]));
  return {
    ...store,
    async get<K extends DocumentKind>(kind: K, id: string): Promise<Documents[K] | undefined> {
      const found = await there(kind, id);
      if (found !== undefined || (kind !== "partition" && kind !== "asset" && kind !== "pause")) return found;
      const [key = "", ...rest] = id.split("|");
      for (const name of namesOf(renamed.get(key) ?? { key }).slice(1)) {
        const old = await there(kind, [name, ...rest].join("|"));
        if (old !== undefined) return old;
      }
      return undefined;
    },
  };
}

/** Runs of an asset under any of its names, last created first. */
export async function runsOf(
  store: ReadableStore,
  asset: Named,
  query: { readonly partition?: string; readonly status?: RunStatus; readonly limit: number },
): Promise<readonly RunDocument[]> {
  const pages = await Promise.all(namesOf(asset).map((name) => store.runs({ kind: "asset", name, ...query })));
  return pages
    .flatMap(({ items }) => items)
    .sort((a, b) => b.createdAt - a.createdAt)
    .slice(0, query.limit);
}
