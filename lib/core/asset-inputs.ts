/** What an asset reads: its dependencies, how their partitions meet its own, and the upstreams whose rows its code gets. */
import type { z } from "zod";
import type { AssetDefinition } from "./asset.ts";
import { assetKey } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { DefinitionError } from "./errors.ts";
import { readerNeeds, storeOf } from "./io-manager.ts";
import type { Need } from "./needs.ts";
import { mapping } from "./option-rules.ts";
import { checkOptions } from "./options.ts";
import type { PartitionMapping } from "./partition-mapping.ts";
import { originOf } from "./previous-keys.ts";
import type { ResourceMap } from "./resources.ts";

/** A definition, or a key. */
export type AssetLike = string | { readonly key: AssetKey };

/** A dependency whose partitions are not those that the two assets' partitionings suggest. */
export interface Dependency<A extends AssetLike = AssetLike> {
  readonly asset: A;
  readonly partitions: PartitionMapping;
}

/** `deps: [dependsOn(scores, { kind: "offset", by: -6, through: 0 })]`: the last seven windows of scores. */
export function dependsOn<A extends AssetLike>(asset: A, partitions: PartitionMapping): Dependency<A> {
  checkOptions("dependsOn", { partitions }, { partitions: mapping });
  return { asset, partitions };
}

/** The upstreams whose rows the code gets, by the names that it gives them. */
export type InputMap = Readonly<Record<string, AssetDefinition | Dependency<AssetDefinition>>>;

/** The rows of an asset, as whoever reads them gets them. Without a schema: any columns. */
export type RowOf<A> =
  A extends Dependency<infer D>
    ? RowOf<D>
    : A extends { readonly schema?: infer S }
      ? NonNullable<S> extends z.ZodObject
        ? z.output<NonNullable<S>>
        : never
      : never;

/** Each input can be read several times; every time, its rows come anew. */
export type InputStreams<I extends InputMap> = { readonly [N in keyof I]: AsyncIterable<RowOf<I[N]>> };

export function dependencies(deps: readonly (AssetLike | Dependency)[]): Pick<AssetDefinition, "deps" | "mappings"> {
  const keys = new Set<AssetKey>();
  const mappings: Record<AssetKey, PartitionMapping> = {};
  for (const dep of deps) {
    const mapped = typeof dep === "object" && "asset" in dep;
    const upstream = mapped ? dep.asset : dep;
    const key = assetKey(typeof upstream === "string" ? upstream : upstream.key);
    keys.add(key);
    if (mapped) mappings[key] = dep.partitions;
  }
  return { deps: [...keys], mappings };
}

const upstreamOfInput = (input: InputMap[string]): AssetDefinition => ("asset" in input ? input.asset : input);

/** The inputs by name. Throws `DefinitionError` for one that has no table, or the name of a resource. */
export function inputKeys(key: AssetKey, inputs: InputMap, resources: ResourceMap): Readonly<Record<string, AssetKey>> {
  const both = Object.keys(inputs).find((name) => name in resources);
  if (both !== undefined) {
    throw new DefinitionError(`${key} has an input and a resource named ${both}`, { remedy: "rename one of them" });
  }
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => {
      const upstream = upstreamOfInput(input);
      if (upstream.target === undefined && storeOf(upstream) === undefined) {
        throw new DefinitionError(`${upstream.key} has no table, so its rows cannot be an input of ${key}`, {
          remedy: "name it in deps, and read it by a resource",
        });
      }
      return [name, upstream.key];
    }),
  );
}

export function inputNeeds(key: AssetKey, inputs: InputMap): Need[] {
  return Object.values(inputs).flatMap((input) => {
    const upstream = upstreamOfInput(input);
    const { target } = upstream;
    const store = storeOf(upstream);
    if (store !== undefined) return readerNeeds(store, originOf(upstream), key);
    if (target === undefined) return [];
    const { project, dataset } = target.table;
    const where = project === undefined ? {} : { project };
    return [
      { kind: "read-dataset" as const, ...where, dataset, reason: `${key} reads ${upstreamOfInput(input).key}` },
      { kind: "run-jobs" as const, reason: `${key} reads ${upstreamOfInput(input).key} by a query` },
    ];
  });
}
