/** Tables by BigQuery's REST API: looked at, made, extended, dropped, listed. */
import { PermanentError, RetryableError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { Column, Destination, TableRef, TimePartitioning } from "../core/table.ts";
import { BigqueryRefusal, refused, type Api } from "./bigquery-api.ts";
import type { Clock } from "../ports/clock.ts";
import type { TableChanges } from "../ports/warehouse.ts";
import type { CopyTables, RowPolicies } from "./bigquery-copy.ts";
import { isBlank, type Blank } from "./bigquery-expiry.ts";
import { page, read, rowPolicyList, tableList, tableResource, type TableResource } from "./bigquery-resources.ts";
import {
  checkDecorator,
  columnsOf,
  fieldOf,
  hasPolicyTags,
  invalid,
  isView,
  partitioningOf,
  pathOf,
  referenceOf,
  timePartitioning,
  type Naming,
} from "./bigquery-tables.ts";

/** A table that only awaits its load is not there, but for its load, and to be listed and dropped. */
export interface TableStore extends CopyTables {
  /** Makes the blank table for a load; what is there already, blank or not, stays, and is the result. */
  prepare(table: TableRef, blank: Blank): Promise<"made" | TableResource>;
  /** Whether the table has policy tags, or may have row policies, which WRITE_TRUNCATE drops. */
  isProtected(table: Destination, resource: TableResource, options: { readonly expires: boolean }): Promise<boolean>;
  extend(table: TableRef, columns: readonly Column[], etag: string): Promise<void>;
  drop(table: Destination): Promise<boolean>;
  list(dataset: { readonly project?: string; readonly dataset: string }, prefix: string): AsyncIterable<TableRef>;
  /** See the port's. */
  changes(table: TableRef): Promise<TableChanges | undefined>;
  /** Lets a table that nobody changed since `changedBefore` live until `expiresAt`, where it would end earlier or never. */
  expire(table: TableRef, expiresAt: number, changedBefore: number): Promise<void>;
}

/** BigQuery takes no end that has passed; what should have ended lives until then. */
const LEAST_LIFE_MS = 60_000;

export function tableStore(api: Api, naming: Naming, clock: Pick<Clock, "now">): TableStore {
  async function get(table: Destination): Promise<TableResource | undefined> {
    const found = await look(table);
    return found === undefined || isBlank(found) ? undefined : found;
  }

  async function look(table: Destination): Promise<TableResource | undefined> {
    const { partition: _, ...whole } = table;
    const reference = referenceOf(naming, whole);
    try {
      const { body } = await api({ method: "GET", path: pathOf(reference), project: reference.projectId });
      return read(tableResource, body, formatTable(whole));
    } catch (error) {
      if (error instanceof BigqueryRefusal && error.status === 404) return undefined;
      throw refused(error, formatTable(whole));
    }
  }

  /** Cells of the list that BigQuery keeps of a table's partitions, in the order of the fields there. */
  async function* summary(table: Destination, selectedFields: string): AsyncGenerator<readonly unknown[]> {
    const { partition: _, ...whole } = table;
    const reference = referenceOf(naming, { ...whole, partition: "__PARTITIONS_SUMMARY__" });
    for (let pageToken: string | undefined; ;) {
      const query = { selectedFields, maxResults: 10_000, pageToken };
      const path = `${pathOf(reference)}/data`;
      const { body } = await api({ method: "GET", path, project: reference.projectId, query }).catch(
        (error: unknown) => {
          throw refused(error, formatTable(whole));
        },
      );
      const found = read(page, body, formatTable(whole));
      for (const { f = [] } of found.rows ?? []) yield f.map(({ v }) => v);
      pageToken = found.pageToken;
      if (pageToken === undefined || pageToken === "") return;
    }
  }

  async function* partitions(table: Destination): AsyncGenerator<string> {
    for await (const [name] of summary(table, "partition_id")) yield String(name);
  }

  async function rowPolicies(table: Destination, { expires }: { readonly expires: boolean }): Promise<RowPolicies> {
    const { partition: _, ...whole } = table;
    const reference = referenceOf(naming, whole);
    try {
      const path = `${pathOf(reference)}/rowAccessPolicies`;
      const { body } = await api({ method: "GET", path, project: reference.projectId, query: { pageSize: 1 } });
      const { rowAccessPolicies = [] } = read(rowPolicyList, body, formatTable(whole));
      return rowAccessPolicies.length === 0 ? "none" : "some";
    } catch (error) {
      if (!(error instanceof BigqueryRefusal)) throw error;
      if (error.status === 404) return "none";
      // Whoever may only edit data may not list row policies: see docs/bigquery.md.
      if (error.status === 403) return expires ? "none" : "unseen";
      throw refused(error, formatTable(whole));
    }
  }

  return {
    get,
    partitions,

    rowPolicies,
    isProtected: async (table, resource, options) =>
      hasPolicyTags(resource.schema?.fields) || (await rowPolicies(table, options)) !== "none",

    async changes(table) {
      const found = await get(table);
      if (found === undefined) return undefined;
      const at = found.lastModifiedTime ?? 0;
      if (isView(found) || partitioningOf(found) === undefined) return { at };
      const times: Record<string, number> = {};
      for await (const [name, modified] of summary(table, "partition_id,last_modified_time"))
        // Rows without a value, and rows that were streamed in just now, are in no partition of their own.
        if (!String(name).startsWith("__")) times[String(name)] = Number(modified);
      return { at, partitions: times };
    },

    async prepare(table, { columns, partitioning, clustering, expiresAt }) {
      const layout = {
        ...(columns.length === 0 ? {} : { schema: { fields: columns.map(fieldOf) } }),
        ...(partitioning === undefined ? {} : { timePartitioning: timePartitioning(partitioning) }),
        ...(clustering === undefined ? {} : { clustering: { fields: clustering } }),
        expirationTime: String(Math.trunc(expiresAt)),
      };
      const made = await insert(table, layout);
      if (made !== undefined) return "made";
      const there = await look(table);
      if (there !== undefined) return there;
      throw new RetryableError(`${formatTable(table)}: it was dropped while it was made`);
    },

    async create(table, source, partitioning: TimePartitioning) {
      const { partition: _, ...whole } = table;
      const layout = {
        schema: { fields: source.schema?.fields ?? [] },
        timePartitioning: timePartitioning(partitioning),
        ...(source.clustering === undefined ? {} : { clustering: source.clustering }),
      };
      const made = (await insert(whole, layout)) ?? (await get(whole));
      if (made !== undefined) return made;
      throw new RetryableError(`${formatTable(whole)}: it was dropped while it was made`);
    },

    async extend(table, columns, etag) {
      const shown = formatTable(table);
      const required = columns.find(({ mode }) => mode === "REQUIRED");
      if (required !== undefined) {
        const name = JSON.stringify(required.name);
        throw new PermanentError(`${shown}: the new column ${name} cannot be required; make it nullable`, {
          code: "bad-input",
        });
      }
      const now = await get(table);
      if (now === undefined) throw new PermanentError(`${shown}: no such table`, { code: "not-found" });
      const changed = `${shown}: the table has changed since it was described; describe it again`;
      if (now.etag !== etag) throw new RetryableError(changed);
      const taken = new Set(columnsOf(now).map(({ name }) => name.toLowerCase()));
      for (const { name } of columns) {
        if (taken.has(name.toLowerCase()))
          throw new PermanentError(`${shown}: the column name ${JSON.stringify(name)} is there twice`, {
            code: "bad-input",
          });
        taken.add(name.toLowerCase());
      }
      // The columns that are there go back as they came, descriptions and policy tags included.
      const fields = [...(now.schema?.fields ?? []), ...columns.map(fieldOf)];
      const reference = referenceOf(naming, table);
      const { projectId: project } = reference;
      try {
        await api({ method: "PATCH", path: pathOf(reference), project, etag, body: { schema: { fields } } });
      } catch (error) {
        if (error instanceof BigqueryRefusal && error.status === 412) {
          // Perhaps by ourselves, in a try whose answer was lost: the next look at the table tells.
          throw new RetryableError(changed, { cause: error });
        }
        throw refused(error, shown);
      }
    },

    async drop(table) {
      const shown = formatTable(table);
      const reference = referenceOf(naming, table);
      if (table.partition !== undefined && !(await hasPartition(table, table.partition))) return false;
      try {
        await api({ method: "DELETE", path: pathOf(reference), project: reference.projectId });
        return true;
      } catch (error) {
        // After a lost answer, what is gone was ours to drop.
        if (error instanceof BigqueryRefusal && error.status === 404) return error.repeated;
        throw refused(error, shown);
      }
    },

    async *list({ project, dataset }, prefix) {
      const { projectId, datasetId } = referenceOf(naming, {
        ...(project === undefined ? {} : { project }),
        dataset,
        table: "any",
      });
      const names: string[] = [];
      for (let pageToken: string | undefined; ;) {
        const query = { maxResults: 1_000, pageToken };
        const path = `/datasets/${datasetId}/tables`;
        const answer = await api({ method: "GET", path, project: projectId, query }).catch((error: unknown) => {
          if (error instanceof BigqueryRefusal && error.status === 404) return undefined;
          throw refused(error, `dataset ${dataset}`);
        });
        if (answer === undefined) return;
        const found = read(tableList, answer.body, `dataset ${dataset}`);
        for (const { tableReference } of found.tables ?? [])
          if (tableReference.tableId.startsWith(prefix)) names.push(tableReference.tableId);
        pageToken = found.nextPageToken;
        if (pageToken === undefined || pageToken === "") break;
      }
      // By name, whatever order the service has.
      for (const table of names.sort((a, b) => (a < b ? -1 : 1)))
        yield { ...(project === undefined ? {} : { project }), dataset, table };
    },

    async expire(table, expiresAt, changedBefore) {
      const reference = referenceOf(naming, table);
      const { projectId: project } = reference;
      for (let round = 0; round < 5; round++) {
        const now = await look(table);
        if (now === undefined || isView(now) || (now.lastModifiedTime ?? 0) > changedBefore) return;
        if (now.expirationTime !== undefined && now.expirationTime >= expiresAt) return;
        const ends = Math.max(Math.trunc(expiresAt), clock.now() + LEAST_LIFE_MS);
        const body = { expirationTime: String(ends) };
        try {
          await api({ method: "PATCH", path: pathOf(reference), project, etag: now.etag, body });
          return;
        } catch (error) {
          if (!(error instanceof BigqueryRefusal)) throw error;
          if (error.status === 404) return;
          if (error.status !== 412) throw refused(error, formatTable(table));
        }
      }
      throw new RetryableError(`${formatTable(table)}: its expiry could not be set, because it keeps changing`);
    },
  };

  /** `undefined` where there is such a table. Throws `PermanentError`, its code BigQuery's reason, which becomes that of the job. */
  async function insert(table: TableRef, layout: object): Promise<TableResource | undefined> {
    const reference = referenceOf(naming, table);
    const { datasetId, projectId: project } = reference;
    const body = { tableReference: reference, ...layout };
    try {
      const made = await api({ method: "POST", path: `/datasets/${datasetId}/tables`, project, body });
      return read(tableResource, made.body, formatTable(table));
    } catch (error) {
      if (!(error instanceof BigqueryRefusal)) throw error;
      if (error.status === 409) return undefined;
      throw new PermanentError(`${formatTable(table)}: ${error.message}`, { code: error.reason, cause: error });
    }
  }

  async function hasPartition(table: Destination, partition: string): Promise<boolean> {
    const resource = await get(table);
    if (resource === undefined) return false;
    const partitioning = partitioningOf(resource);
    if (partitioning === undefined)
      throw new PermanentError(`${formatTable(table)}: the table is not partitioned`, { code: "bad-input" });
    try {
      checkDecorator(partition, partitioning);
    } catch (error) {
      throw error instanceof PermanentError ? invalid(`${formatTable(table)}: ${error.message}`) : error;
    }
    for await (const one of partitions(table)) if (one === partition) return true;
    return false;
  }
}
