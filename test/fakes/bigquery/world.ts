/** What the fake BigQuery holds beside its engine, which knows schemas, rows and partitions: datasets, policies, times, jobs. */
import { keyedLock } from "../../../lib/core/keyed-lock.ts";
import type { TableRef } from "../../../lib/core/table.ts";
import { openDuckdbWarehouse, type DuckdbWarehouse } from "../../../lib/local/duckdb/warehouse.ts";
import type { Clock } from "../../../lib/ports/clock.ts";
import type { TableInfo } from "../../../lib/ports/warehouse.ts";
import { ApiError } from "../http-fake.ts";
import type { Job } from "./jobs.ts";

/** What the engine does not know of a table. */
export interface Meta {
  created: number;
  modified: number;
  clustering?: readonly string[];
  /** Policy tags by the column's name. */
  tags: ReadonlyMap<string, readonly string[]>;
  rowPolicies: readonly string[];
}

export interface World {
  readonly project: string;
  readonly location: string;
  readonly clock: Clock;
  readonly engine: DuckdbWarehouse;
  /** `ttlMs`: how long a table that is made in it lives. */
  readonly datasets: Map<string, { readonly location: string; readonly ttlMs?: number }>;
  readonly metas: Map<string, Meta>;
  /** Tables without columns, which the engine does not have. */
  readonly blanks: Map<string, { readonly ref: TableRef; readonly info: TableInfo }>;
  readonly jobs: Map<string, Job>;
  readonly lock: ReturnType<typeof keyedLock>;
  /** Where what is extracted goes, if anywhere. */
  readonly writeObject?: ((uri: string, bytes: Uint8Array) => Promise<void>) | undefined;
  /** A dataset of the engine that no request can name. */
  readonly scratch: (what: string) => TableRef;
}

export interface WorldOptions {
  readonly project: string;
  readonly location: string;
  readonly clock: Clock;
  readonly resolveUri: (uri: string) => string;
  readonly writeObject?: World["writeObject"];
}

const scratchDataset = "fake_scratch";

export async function openWorld({ project, location, clock, resolveUri, writeObject }: WorldOptions): Promise<World> {
  const engine = await openDuckdbWarehouse({ file: ":memory:", resolveUri, clock, memoryLimit: "1GB" });
  let count = 0;
  return {
    project,
    location,
    clock,
    engine,
    datasets: new Map(),
    metas: new Map(),
    blanks: new Map(),
    jobs: new Map(),
    lock: keyedLock(),
    writeObject,
    scratch: (what) => ({ dataset: scratchDataset, table: `${what}_${++count}` }),
  };
}

export function keyOf({ dataset, table }: TableRef): string {
  return `${dataset}.${table}`;
}

export function nameOf({ project }: World, { dataset, table }: TableRef): string {
  return `${project}:${dataset}.${table}`;
}

export function checkDataset(world: World, dataset: string, location?: string): void {
  const found = world.datasets.get(dataset);
  if (found === undefined || (location !== undefined && found.location !== location)) {
    const where = location === undefined ? "" : ` was not found in location ${location}`;
    throw new ApiError(404, "notFound", `Not found: Dataset ${world.project}:${dataset}${where}`);
  }
}

/** The table as it is, with what goes along with it. */
export async function findTable(
  world: World,
  table: TableRef,
): Promise<{ readonly info: TableInfo; readonly meta: Meta } | undefined> {
  if (!world.datasets.has(table.dataset)) return undefined;
  const info = (await world.engine.describe(table)) ?? blankAt(world, table);
  if (info === undefined) {
    world.metas.delete(keyOf(table));
    return undefined;
  }
  return { info, meta: metaOf(world, table) };
}

/** A table that was made without columns, and was not written since. */
export function blankAt({ blanks, clock }: World, table: TableRef): TableInfo | undefined {
  const info = blanks.get(keyOf(table))?.info;
  return info?.expiresAt !== undefined && info.expiresAt <= clock.now() ? undefined : info;
}

/** All tables of a dataset, by name. */
export async function tablesIn(world: World, dataset: string): Promise<readonly TableRef[]> {
  const blank = [...world.blanks.values()].map(({ ref }) => ref);
  const there = blank.filter((ref) => ref.dataset === dataset && blankAt(world, ref) !== undefined);
  const all = [...(await Array.fromAsync(world.engine.list({ dataset }))), ...there];
  return all.sort((a, b) => (a.table < b.table ? -1 : 1));
}

export function metaOf(world: World, table: TableRef): Meta {
  const now = world.clock.now();
  const known = world.metas.get(keyOf(table));
  if (known !== undefined) return known;
  const meta: Meta = { created: now, modified: now, tags: new Map(), rowPolicies: [] };
  world.metas.set(keyOf(table), meta);
  return meta;
}

/** Notes that a table was written; `replaced` takes its policies away, as WRITE_TRUNCATE may. */
export function touched(world: World, table: TableRef, replaced: Partial<Meta> | undefined): void {
  world.blanks.delete(keyOf(table));
  const meta = metaOf(world, table);
  meta.modified = world.clock.now();
  if (replaced !== undefined) Object.assign(meta, { tags: new Map(), rowPolicies: [] }, replaced);
}
