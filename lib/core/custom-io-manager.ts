/**
 * I/O managers of an author's own: rows go wherever its code puts them, and a small JSON handle says where. Sluice commits the
 * handle together with the materialization, so that readers see all of one version or of another, and nothing else.
 */
import type { AssetKey } from "./asset-key.ts";
import type { Log, ResourceClients, ResourceMap } from "./definition.ts";
import { DefinitionError } from "./errors.ts";
import type { Metadata } from "./events.ts";
import type { Need } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, list, oneOf, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import type { PlainRow } from "./row-encode.ts";
import type { Column } from "./table.ts";

/** What all code of an I/O manager gets to hand. */
export interface StoreContext {
  readonly asset: AssetKey;
  /** The columns of the asset's schema, in its order. */
  readonly columns: readonly Column[];
  /** Aborted when the run loses its claim or the process stops. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** One version of one partition's rows. */
export interface VersionContext extends StoreContext {
  /** The partition's key; `undefined` for an asset without partitions. */
  readonly partition: string | undefined;
  /**
   * 16 hexadecimal digits, new for each attempt that writes. Make it part of every name that is written: then no attempt, dead
   * or late, ever touches what another one has written, and readers see only what a commit names.
   */
  readonly version: string;
}

export interface WriteContext extends VersionContext {
  /** The same for every attempt at the same rows: for outside systems that tell repeated requests by it. */
  readonly idempotencyKey: string;
  /** Adds to the materialization's metadata. */
  metadata(values: Metadata): void;
}

export interface IoManagerOptions<H, R extends ResourceMap> {
  /**
   * Names the manager in what it has stored. Default `custom`. Change it when `read` no longer understands what was stored
   * before: readers then ask for the assets to be materialized again.
   */
  readonly name?: string;
  /** What the code touches beside its resources, each with a reason. Readers need the same. */
  readonly needs?: readonly Need[];
  /** Clients for the code, as an asset has them. */
  readonly resources?: R;
  /** As `bigqueryTable` has it. Default `fail`. */
  readonly onInvalidRow?: "fail" | "discard";
  /**
   * Stores the rows, which come one at a time, and returns a handle by which `read` finds them: JSON, at most 100 kB. Called
   * again, with another version, when an attempt fails. What it wrote counts from the commit that follows its return.
   */
  write(context: WriteContext, rows: AsyncIterable<PlainRow>, resources: ResourceClients<R>): Promise<H>;
  /**
   * The rows behind the handles of one or several partitions, in order, as they were written. Must throw when anything is
   * missing: rows that are silently left out would be computed with.
   */
  read(context: StoreContext, handles: readonly H[], resources: ResourceClients<R>): AsyncIterable<PlainRow>;
  /**
   * Deletes a version that nobody needs any more: an older one after the commit of a newer one, or what an attempt has left
   * that ended without a commit, in which case there may be no handle. Called at least once, perhaps after it has
   * succeeded already, until it succeeds. Left out, nothing is ever deleted.
   */
  remove?(context: VersionContext, handle: H | undefined, resources: ResourceClients<R>): Promise<void>;
}

/** The same without its types: the runtime hands back what the very same definition has returned. */
export interface CustomIoManager {
  readonly kind: "custom";
  readonly name: string;
  readonly onInvalidRow: "fail" | "discard";
  readonly needs: readonly Need[];
  readonly resources: ResourceMap;
  write(context: WriteContext, rows: AsyncIterable<PlainRow>, resources: unknown): Promise<unknown>;
  read(context: StoreContext, handles: readonly unknown[], resources: unknown): AsyncIterable<PlainRow>;
  readonly remove?: (context: VersionContext, handle: unknown, resources: unknown) => Promise<void>;
}

const OPTIONS: Shape<keyof IoManagerOptions<unknown, ResourceMap> | "kind"> = {
  // Of another one that is spread into the options, to be wrapped.
  kind: optional(oneOf(["custom"])),
  name: optional(text),
  needs: optional(list(rules.need, "needs")),
  resources: rules.hands.resources,
  onInvalidRow: rules.invalidRow,
  write: code,
  read: code,
  remove: optional(code),
};

/**
 * An I/O manager of the author's own, for an asset's `ioManager`. The rows are checked by the asset's schema before `write` gets
 * them, and by it again on their way to whoever has the asset as an input. There is no table: the warehouse's SQL cannot refer
 * to such an asset, and no check can block it. Throws `DefinitionError` for a name that is not legal.
 */
export function ioManager<H, const R extends ResourceMap = Record<never, never>>(
  options: IoManagerOptions<H, R>,
): CustomIoManager {
  checkOptions("ioManager", options, OPTIONS);
  const { name = "custom", onInvalidRow = "fail", needs = [], resources = {} } = options;
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(name) || name === PARQUET_FILES) {
    throw new DefinitionError(`${JSON.stringify(name)} cannot be the name of an I/O manager`, {
      remedy: `use lower-case letters, digits and -, and not ${PARQUET_FILES}`,
    });
  }
  // What the manager has written it gets back, with clients of the resources that it has declared: H and R meet again there.
  const manager = options as unknown as Pick<CustomIoManager, "write" | "read" | "remove">;
  return Object.freeze({
    kind: "custom",
    name,
    onInvalidRow,
    needs,
    resources,
    write: manager.write.bind(manager),
    read: manager.read.bind(manager),
    ...(manager.remove === undefined ? {} : { remove: manager.remove.bind(manager) }),
  });
}

/** The name under which `parquetFiles` stores. */
export const PARQUET_FILES = "parquet-files";

/** What storing, or only reading, by a manager of the author's own needs. */
export function customNeeds({ needs, resources }: CustomIoManager): readonly Need[] {
  return [...needs, ...Object.values(resources).flatMap((resource) => resource.needs)];
}
