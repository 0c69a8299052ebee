/** The rows of upstreams, as streams for an author's code: of exactly the partitions that the run's own is made from. */
import type { AssetDefinition, Target } from "../core/asset.ts";
import type { AssetKey } from "../core/asset-key.ts";
import { PermanentError } from "../core/errors.ts";
import { defaultMapping, upstreamOf } from "../core/partition-mapping.ts";
import { parsePartition } from "../core/partitions.ts";
import { destinationOf } from "../core/placement.ts";
import { rowCodec } from "../core/row-codec.ts";
import { partitionRef } from "../core/run-identity.ts";
import { slotRef } from "../core/slot.ts";
import { quoteTable } from "../core/sql.ts";
import type { QueryParameter } from "../core/sql.ts";
import { formatTable } from "../core/table.ts";
import type { Column } from "../core/table.ts";
import type { Execution } from "./execution.ts";
import { runJob } from "./warehouse-jobs.ts";

type Rows = AsyncIterable<Readonly<Record<string, unknown>>>;

interface Window {
  readonly start: number;
  readonly end: number;
}

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
): Promise<Readonly<Record<string, Rows>>> {
  const clients: Record<string, Rows> = {};
  for (const [name, key] of Object.entries(asset.inputs)) {
    const upstream = execution.services.definitions().assets.get(key);
    if (upstream?.target === undefined)
      throw new PermanentError(`${key} has no table to read, and is the input ${name} of ${asset.key}`, {
        code: "no-target",
      });
    const extent = await extentOf(execution, asset, upstream, upstream.target);
    let readings = 0;
    clients[name] = {
      [Symbol.asyncIterator]: () => read(execution, upstream, extent, `input-${name}-${++readings}`, fingerprint),
    };
  }
  return clients;
}

async function extentOf(
  { services: { events }, identity }: Execution,
  asset: AssetDefinition,
  upstream: AssetDefinition,
  target: Target,
): Promise<Extent> {
  const { key, partitions } = upstream;
  const mapping = asset.mappings[key] ?? defaultMapping(partitions, asset.partitions);
  const mapped = upstreamOf(mapping, partitions, asset.partitions, identity.partition);
  const newest = await events.get("asset", key);
  if (mapped.kind !== "keys" && newest === undefined) throw missing(asset, key, [""]);
  if (mapped.kind === "whole") return "whole";
  const keys = mapped.kind === "newest" ? [newest?.partition ?? ""] : mapped.keys;
  const absent: string[] = [];
  for (const partition of keys) {
    const document = await events.get("partition", partitionRef(key, partition).id);
    if (document?.head === undefined) absent.push(partition);
  }
  if (absent.length > 0) throw missing(asset, key, absent);
  const [first, last] = [keys[0], keys.at(-1)];
  if (first === undefined || last === undefined) return "nothing";
  if (target.slot === "partition") {
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
): AsyncGenerator<Readonly<Record<string, unknown>>, void, void> {
  if (extent === "nothing") return;
  const { services, identity, signal } = execution;
  const { sql, parameters } = await queryOf(execution, upstream, extent);
  const status = await runJob(execution, {
    step,
    inputs: `${fingerprint} ${identity.id} ${sql}`,
    spec: { kind: "query", sql, parameters },
  });
  const rows = services.warehouse.rows(status.jobId, { signal });
  if (upstream.schema === undefined) {
    yield* rows;
    return;
  }
  const codec = rowCodec(upstream.schema);
  let count = 0;
  for await (const row of rows) {
    count++;
    const decoded = codec.decode(row);
    if (!decoded.ok) {
      throw new PermanentError(
        `row ${count} of ${upstream.key} is not what its schema says: ${decoded.reason}; correct the schema, or the table`,
        { code: "bad-input" },
      );
    }
    yield decoded.value;
  }
}

async function queryOf(
  { services: { warehouse } }: Execution,
  { key, target, schema }: AssetDefinition,
  extent: "whole" | Window,
): Promise<{ readonly sql: string; readonly parameters: Readonly<Record<string, QueryParameter>> }> {
  const table = target?.table;
  if (table === undefined) throw new PermanentError(`${key} has no table to read`, { code: "no-target" });
  const columns = schema === undefined ? undefined : rowCodec(schema).columns;
  const names = columns?.map(({ name }) => `\`${name}\``).join(", ") ?? "*";
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
