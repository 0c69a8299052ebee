/** The rows of upstreams, as streams for an author's code: of exactly the partitions that the run's own is made from. */
import type { AssetDefinition } from "../core/asset.ts";
import type { AssetKey } from "../core/asset-key.ts";
import { PermanentError } from "../core/errors.ts";
import { storeOf } from "../core/io-manager.ts";
import { defaultMapping, upstreamOf } from "../core/partition-mapping.ts";
import type { MappedPartitions } from "../core/partition-mapping.ts";
import { parsePartition } from "../core/partitions.ts";
import { destinationOf } from "../core/placement.ts";
import { readerOf } from "../core/row-plan.ts";
import { partitionRef } from "../core/run-identity.ts";
import { slotRef } from "../core/slot.ts";
import { quoteTable } from "../core/sql.ts";
import type { QueryParameter } from "../core/sql.ts";
import { formatTable } from "../core/table.ts";
import type { Column } from "../core/table.ts";
import { accumulates } from "../core/target.ts";
import type { Target } from "../core/target.ts";
import { followRenames } from "./follow-renames.ts";
import type { Execution } from "./execution.ts";
import { storedInput } from "./read-stored.ts";
import type { MadeFrom, PartitionHead } from "./read-stored.ts";
import type { RunLog } from "./run-log.ts";
import { runJob } from "./warehouse-jobs.ts";

type Row = Readonly<Record<string, unknown>>;
type Rows = AsyncIterable<Row>;

interface Window {
  readonly start: number;
  readonly end: number;
}

/** The partitions that are read, whether or not there are heads of them. */
type Partitions = "whole" | readonly Pick<PartitionHead, "partition">[];

/** Which rows of the upstream's table are meant: all, those of a window of time, or none. */
type Extent = "whole" | "nothing" | Window;

/**
 * A stream for each input. Throws `PermanentError` (`upstream-missing`) when a partition that the run is made from was
 * never materialized, or is not what the upstream's table shows.
 */
export async function inputClients(
  execution: Execution,
  asset: AssetDefinition,
  fingerprint: string,
  log: RunLog,
): Promise<Readonly<Record<string, Rows>>> {
  const clients: Record<string, Rows> = {};
  for (const [name, key] of Object.entries(asset.inputs)) {
    const upstream = execution.services.definitions().assets.get(key);
    const made = upstream === undefined ? undefined : await madeFrom(execution, asset, upstream);
    const manager = upstream === undefined ? undefined : storeOf(upstream);
    if (upstream !== undefined && made !== undefined && manager !== undefined) {
      if (!hasHeads(made)) throw missing(asset, key, []);
      const rows = await storedInput({ execution, asset, upstream, manager, log }, made);
      clients[name] = { [Symbol.asyncIterator]: () => decoded(upstream, rows()) };
      continue;
    }
    if (upstream?.target === undefined || made === undefined)
      throw new PermanentError(`${key} has no table to read, and is the input ${name} of ${asset.key}`, {
        code: "no-target",
      });
    const extent = await extentOf(execution, asset, upstream, upstream.target, made);
    let readings = 0;
    clients[name] = {
      [Symbol.asyncIterator]: () => read(execution, upstream, extent, `input-${name}-${++readings}`, fingerprint),
    };
  }
  return clients;
}

/** The upstream's partitions that the run's own is made from; all of them must be there. */
async function madeFrom(
  { services, identity }: Execution,
  asset: AssetDefinition,
  upstream: AssetDefinition,
): Promise<MadeFrom | Partitions> {
  const { key, partitions } = upstream;
  const mapping = asset.mappings[key] ?? defaultMapping(partitions, asset.partitions);
  const mapped = upstreamOf(mapping, partitions, asset.partitions, identity.partition);
  if (upstream.foreign === true) return foreignFrom(asset, upstream, mapped);
  const events = followRenames(services.events);
  const newest = await events.get("asset", key);
  if (mapped.kind !== "keys" && newest === undefined) throw missing(asset, key, [""]);
  if (mapped.kind === "whole") return "whole";
  const keys = mapped.kind === "newest" ? [newest?.partition ?? ""] : mapped.keys;
  const heads: PartitionHead[] = [];
  const absent: string[] = [];
  for (const partition of keys) {
    const document = await events.get("partition", partitionRef(key, partition).id);
    if (document?.head === undefined) absent.push(partition);
    else heads.push({ partition, head: document.head });
  }
  if (absent.length > 0) throw missing(asset, key, absent);
  return heads;
}

function hasHeads(made: MadeFrom | Partitions): made is MadeFrom {
  return made === "whole" || made.every((partition) => "head" in partition);
}

/** Of an upstream without heads: what is in its table now is what there is. */
function foreignFrom(asset: AssetDefinition, { key, target }: AssetDefinition, mapped: MappedPartitions): Partitions {
  if (mapped.kind === "keys") return mapped.keys.map((partition) => ({ partition }));
  if (mapped.kind === "whole" || target?.slot === "table") return "whole";
  throw new PermanentError(
    `which partition of ${key} is its newest is known only where it runs, and ${asset.key} reads that one: choose ${key} as well`,
    { code: "upstream-missing" },
  );
}

async function extentOf(
  { services: { events } }: Execution,
  asset: AssetDefinition,
  { key, partitions }: AssetDefinition,
  target: Target,
  made: Partitions,
): Promise<Extent> {
  if (made === "whole") return "whole";
  const keys = made.map(({ partition }) => partition);
  const [first, last] = [keys[0], keys.at(-1)];
  if (first === undefined || last === undefined) return "nothing";
  // What a table accumulates cannot be told apart by its partitions, unless by a column.
  const keeps = accumulates(target);
  if (keeps && (target.partitioning?.column === undefined || partitions?.kind !== "time")) return "whole";
  if (keeps || target.slot === "partition") {
    const { start = 0 } = parsePartition(partitions, first);
    const { end = 0 } = parsePartition(partitions, last);
    return { start, end };
  }
  const slot = await events.get("slot", slotRef(destinationOf({ target, partitions }, undefined)).id);
  const shown = slot?.committed?.partition;
  if (shown !== undefined && !keys.includes(shown)) {
    throw new PermanentError(
      `${formatTable(target.table)} shows ${key} of ${shown}, but ${asset.key} is made from ${keys.join(", ")}: ` +
        "an overwritten table has only its newest partition; map the input by last or all, or import it incrementally",
      { code: "upstream-missing" },
    );
  }
  return "whole";
}

const SHOWN = 3;

function missing(asset: AssetDefinition, key: AssetKey, partitions: readonly string[]): PermanentError {
  const names = partitions.slice(0, SHOWN).filter((partition) => partition !== "");
  const more = partitions.length > SHOWN ? ` and ${partitions.length - SHOWN} more` : "";
  const which = names.length === 0 ? key : `${key} (${names.join(", ")}${more})`;
  return new PermanentError(`${which} was never materialized, and ${asset.key} is made from it: materialize it first`, {
    code: "upstream-missing",
  });
}

async function* read(
  execution: Execution,
  upstream: AssetDefinition,
  extent: Extent,
  step: string,
  fingerprint: string,
): AsyncGenerator<Row, void, void> {
  if (extent === "nothing") return;
  const { services, identity, signal } = execution;
  const { sql, parameters } = await queryOf(execution, upstream, extent);
  const status = await runJob(execution, {
    step,
    inputs: `${fingerprint} ${identity.id} ${sql}`,
    spec: { kind: "query", sql, parameters },
    readsRows: true,
  });
  yield* decoded(upstream, services.warehouse.rows(status.jobId, { signal }));
}

/** The rows in the types of their schema, if they have one. */
export async function* decoded(upstream: AssetDefinition, rows: Rows): AsyncGenerator<Row, void, void> {
  const reader = readerOf(upstream);
  if (reader === undefined) {
    yield* rows;
    return;
  }
  let count = 0;
  for await (const row of rows) {
    count++;
    const decoded = reader.decode(row);
    if (!decoded.ok) {
      throw new PermanentError(
        `row ${count} of ${upstream.key} is not what its schema says: ${decoded.reason}; correct the schema, or what is stored`,
        { code: "bad-input" },
      );
    }
    yield decoded.value;
  }
}

async function queryOf(
  { services: { warehouse } }: Execution,
  upstream: AssetDefinition,
  extent: "whole" | Window,
): Promise<{ readonly sql: string; readonly parameters: Readonly<Record<string, QueryParameter>> }> {
  const { key, target } = upstream;
  const table = target?.table;
  if (table === undefined) throw new PermanentError(`${key} has no table to read`, { code: "no-target" });
  const names =
    readerOf(upstream)
      ?.columns.map(({ name }) => `\`${name}\``)
      .join(", ") ?? "*";
  const sql = `SELECT ${names} FROM ${quoteTable(table)}`;
  if (extent === "whole") return { sql, parameters: {} };
  const by = target?.partitioning?.column;
  if (by === undefined) {
    const parameters = { start: parameterOf("TIMESTAMP", extent.start), end: parameterOf("TIMESTAMP", extent.end) };
    return { sql: `${sql} WHERE _PARTITIONTIME >= @start AND _PARTITIONTIME < @end`, parameters };
  }
  const found = (await warehouse.describe(table))?.schema.find(({ name }) => name.toLowerCase() === by.toLowerCase());
  if (found === undefined)
    throw new PermanentError(
      `${formatTable(table)} has no column ${by}, by which ${key} is partitioned: materialize it again`,
      { code: "upstream-missing" },
    );
  const parameters = { start: parameterOf(found.type, extent.start), end: parameterOf(found.type, extent.end) };
  return { sql: `${sql} WHERE \`${found.name}\` >= @start AND \`${found.name}\` < @end`, parameters };
}

function parameterOf(type: Column["type"], at: number): QueryParameter {
  const iso = new Date(at).toISOString();
  if (type === "DATE") return { type, value: iso.slice(0, 10) };
  return type === "DATETIME" ? { type, value: iso.slice(0, -1) } : { type: "TIMESTAMP", value: iso };
}
