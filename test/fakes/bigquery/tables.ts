/** The fake's datasets and tables by REST. */
import type { Column, Destination } from "../../../lib/core/table.ts";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { ApiError } from "../http-fake.ts";
import { partitionsOf } from "./partitions.ts";
import {
  clusteringOf,
  decorated,
  etagOf,
  invalid,
  maybeText,
  object,
  partitioningOf,
  referenceOf,
  schemaOf,
  tableOf,
  tableResource,
  tagsOf,
  text,
  type Json,
} from "./wire.ts";
import { blankAt, checkDataset, findTable, keyOf, metaOf, nameOf, tablesIn, touched, type World } from "./world.ts";

export function tablesOf(world: World, emptyFile: string) {
  const { engine, datasets } = world;
  let count = 0;

  async function run(spec: JobSpec): Promise<void> {
    const id = `table_${++count}`;
    await engine.submit(id, spec, {});
    const { error } = await engine.wait(id, { timeoutMs: 3_600_000 });
    if (error !== undefined) throw new ApiError(400, error.reason, error.message);
  }

  async function existing(table: Destination) {
    checkDataset(world, table.dataset);
    const found = await findTable(world, table);
    if (found === undefined) throw new ApiError(404, "notFound", `Not found: Table ${nameOf(world, table)}`);
    return found;
  }

  async function get(table: Destination): Promise<Json> {
    const { info, meta } = await existing(table);
    return tableResource(world, table, info, meta);
  }

  async function extend(table: Destination, fields: readonly Column[], etag: string): Promise<void> {
    const { info } = await existing(table);
    const kept = fields.slice(0, info.schema.length);
    const mismatch = info.schema.find((column, index) => JSON.stringify(kept[index]) !== JSON.stringify(column));
    if (mismatch !== undefined)
      throw invalid(`Provided Schema does not match Table ${nameOf(world, table)}. Field ${mismatch.name} has changed`);
    const added = fields.slice(info.schema.length);
    const required = added.find(({ mode }) => mode === "REQUIRED");
    if (required !== undefined)
      throw invalid(
        `Provided Schema does not match Table. Cannot add required fields to an existing schema. (field: ${required.name})`,
      );
    if (added.length > 0)
      await engine.extend(table, added, etag).catch((error: unknown) => {
        throw invalid(error instanceof Error ? error.message : String(error));
      });
  }

  return {
    get,

    async insert(dataset: string, body: Json): Promise<Json> {
      const table = tableOf(world, body["tableReference"], "tableReference");
      if (table.dataset !== dataset || table.partition !== undefined) throw invalid("Invalid tableReference");
      checkDataset(world, dataset);
      return await world.lock([keyOf(table)], async () => {
        if ((await findTable(world, table)) !== undefined)
          throw new ApiError(409, "duplicate", `Already Exists: Table ${nameOf(world, table)}`);
        const schema = schemaOf(body["schema"]) ?? [];
        const partitioning = partitioningOf(body["timePartitioning"]);
        const clustering = clusteringOf(body["clustering"]);
        const expiresAt = maybeText(body["expirationTime"]);
        if (expiresAt !== undefined && !(Number(expiresAt) > world.clock.now()))
          throw invalid("Invalid value for expirationTime: it is in the past");
        const names = new Set(schema.map(({ name }) => name.toLowerCase()));
        for (const field of [partitioning?.column ?? [], clustering ?? []].flat())
          if (!names.has(field.toLowerCase()))
            throw invalid(`The field specified for partitioning or clustering cannot be found in the schema: ${field}`);
        if (schema.length === 0) {
          const parts = partitioning === undefined ? {} : { partitioning };
          const expiry = expiresAt === undefined ? {} : { expiresAt: Number(expiresAt) };
          const { dataset, table: name } = table;
          world.metas.delete(keyOf(table));
          const info = { schema: [], rows: 0, etag: `blank_${++count}`, ...parts, ...expiry };
          world.blanks.set(keyOf(table), { ref: { dataset, table: name }, info });
          return await get(table);
        }
        await run({
          kind: "load",
          uris: [emptyFile],
          format: "NEWLINE_DELIMITED_JSON",
          schema,
          destination: table,
          ...(partitioning === undefined ? {} : { partitioning }),
          ...(expiresAt === undefined ? {} : { expiresAt: Number(expiresAt) }),
        });
        world.metas.delete(keyOf(table));
        touched(world, table, { tags: tagsOf(body["schema"]), ...(clustering === undefined ? {} : { clustering }) });
        return await get(table);
      });
    },

    async patch(table: Destination, body: Json, ifMatch: string | undefined): Promise<Json> {
      return await world.lock([keyOf(table)], async () => {
        const { info, meta } = await existing(table);
        if (blankAt(world, table) !== undefined)
          throw new ApiError(501, "notImplemented", "The fake changes no table without columns");
        if (ifMatch !== undefined && ifMatch !== etagOf(info, meta))
          throw new ApiError(412, "conditionNotMet", "Precondition Failed");
        const fields = schemaOf(body["schema"]);
        if (fields !== undefined) {
          await extend(table, fields, info.etag);
          metaOf(world, table).tags = tagsOf(body["schema"]);
        }
        if ("expirationTime" in body) {
          const at = maybeText(body["expirationTime"]);
          if (at !== undefined && Number(at) <= world.clock.now())
            throw invalid("Invalid value for expirationTime: it is in the past");
          // The engine's way to an expiry: a table copied onto itself.
          await run({
            kind: "copy",
            source: table,
            destination: table,
            ...(at === undefined ? {} : { expiresAt: Number(at) }),
          });
        }
        touched(world, table, undefined);
        return await get(table);
      });
    },

    async remove(table: Destination): Promise<void> {
      await world.lock([keyOf(table)], async () => {
        const { info } = await existing(table);
        if (table.partition !== undefined && info.partitioning === undefined)
          throw invalid(`${nameOf(world, table)} is not partitioned`);
        const blank = table.partition === undefined && world.blanks.delete(keyOf(table));
        const dropped = blank || (await engine.drop(table));
        if (!dropped)
          throw new ApiError(404, "notFound", `Not found: Partition ${nameOf(world, table)}$${table.partition}`);
        if (table.partition === undefined) world.metas.delete(keyOf(table));
        else touched(world, table, undefined);
      });
    },

    async list(dataset: string, query: URLSearchParams): Promise<Json> {
      checkDataset(world, dataset);
      const all = await tablesIn(world, dataset);
      const from = Number(query.get("pageToken") ?? 0);
      // A page may hold fewer than asked for.
      const until = Math.min(from + Math.min(Number(query.get("maxResults") ?? 50), 3), all.length);
      const tables = all.slice(from, until).map((table) => ({ tableReference: referenceOf(world, table) }));
      return { kind: "bigquery#tableList", tables, ...(until < all.length ? { nextPageToken: String(until) } : {}) };
    },

    /** Of the tables' contents, only the list of partitions. */
    async data(dataset: string, tableId: string, query: URLSearchParams): Promise<Json> {
      const table = decorated(dataset, tableId);
      const fields = query.get("selectedFields");
      const timed = fields === "partition_id,last_modified_time";
      if (table.partition !== "__PARTITIONS_SUMMARY__" || (fields !== "partition_id" && !timed))
        throw new ApiError(501, "notImplemented", "The fake reads rows of query jobs only");
      const { partition: _, ...whole } = table;
      const { info } = await existing(whole);
      if (info.partitioning === undefined) throw invalid(`${nameOf(world, whole)} is not partitioned`);
      const all = await partitionsOf(world, whole, info.partitioning);
      const from = Number(query.get("pageToken") ?? 0);
      const until = Math.min(from + 5, all.length);
      const times = timed ? (await engine.changes(whole))?.partitions : undefined;
      const rows = all
        .slice(from, until)
        .map((id) => ({ f: [{ v: id }, ...(times === undefined ? [] : [{ v: String(times[id] ?? 0) }])] }));
      const next = until < all.length ? { pageToken: String(until) } : {};
      return { kind: "bigquery#tableDataList", totalRows: String(all.length), rows, ...next };
    },

    async insertRowPolicy(table: Destination, body: Json): Promise<Json> {
      const { meta } = await existing(table);
      const id = text(object(body["rowAccessPolicyReference"], "rowAccessPolicyReference")["policyId"], "policyId");
      text(body["filterPredicate"], "filterPredicate");
      if (meta.rowPolicies.includes(id))
        throw new ApiError(409, "duplicate", `Already Exists: Row access policy ${id}`);
      meta.rowPolicies = [...meta.rowPolicies, id];
      return body;
    },

    async rowPolicies(table: Destination): Promise<Json> {
      const { meta } = await existing(table);
      return meta.rowPolicies.length === 0
        ? {}
        : {
            rowAccessPolicies: meta.rowPolicies.map((policyId) => ({
              rowAccessPolicyReference: { ...referenceOf(world, table), policyId },
            })),
          };
    },

    insertDataset(body: Json): Json {
      const id = text(object(body["datasetReference"], "datasetReference")["datasetId"], "datasetId");
      if (!/^\w{1,1024}$/.test(id)) throw invalid(`Invalid dataset ID "${id}".`);
      if (datasets.has(id)) throw new ApiError(409, "duplicate", `Already Exists: Dataset ${world.project}:${id}`);
      const ttl = maybeText(body["defaultTableExpirationMs"]);
      if (ttl !== undefined && Number(ttl) < 3_600_000) throw invalid("defaultTableExpirationMs is an hour at least");
      const ttlMs = ttl === undefined ? {} : { ttlMs: Number(ttl) };
      datasets.set(id, { location: maybeText(body["location"]) ?? "US", ...ttlMs });
      return datasetResource(id);
    },

    getDataset: datasetResource,

    async removeDataset(id: string, contents: boolean): Promise<void> {
      checkDataset(world, id);
      const tables = await tablesIn(world, id);
      if (contents)
        for (const table of tables) {
          world.blanks.delete(keyOf(table));
          await engine.drop(table);
        }
      else
        for (const table of tables)
          throw new ApiError(400, "resourceInUse", `Dataset ${world.project}:${id} is still in use: ${table.table}`);
      datasets.delete(id);
    },
  };

  function datasetResource(id: string): Json {
    checkDataset(world, id);
    return {
      kind: "bigquery#dataset",
      id: `${world.project}:${id}`,
      datasetReference: { projectId: world.project, datasetId: id },
      location: datasets.get(id)?.location,
      ...(datasets.get(id)?.ttlMs === undefined ? {} : { defaultTableExpirationMs: String(datasets.get(id)?.ttlMs) }),
    };
  }
}
