/** Real buckets and the real warehouse, for somebody who may write to nothing but what is theirs. */
import { PermanentError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { TableRef } from "../core/table.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import type { JobSpec, Warehouse } from "../ports/warehouse.ts";

export interface OwnWarehouse {
  /** The only datasets that are written. */
  readonly datasets: ReadonlySet<string>;
  readonly project: string;
  /** Begins the id of every job: ids are taken for ever, and a history that was thrown away counts from one again. */
  readonly jobPrefix: string;
  readonly staging: OwnStaging | undefined;
}

/** Reads whatever the warehouse lets it read. A job or call that would change anything else is refused before it is sent. */
export function ownWarehouse(warehouse: Warehouse, { datasets, project, jobPrefix, staging }: OwnWarehouse): Warehouse {
  const own = (id: string): string => (id.startsWith(jobPrefix) ? id : `${jobPrefix}${id}`);
  const check = (table: TableRef): void => {
    if (datasets.has(table.dataset) && (table.project ?? project) === project) return;
    throw new PermanentError(
      `${formatTable(table)} is not written from here: only tables in ${[...datasets].join(", ")} of project ${project} are`,
      { code: "accessDenied" },
    );
  };
  return {
    async submit(id, spec, labels) {
      writtenBy(spec).forEach(check);
      return await warehouse.submit(own(id), located(spec, staging), labels);
    },
    dryRun: warehouse.dryRun,
    inspect: (id) => warehouse.inspect(own(id)),
    cancel: (id) => warehouse.cancel(own(id)),
    wait: (id, options) => warehouse.wait(own(id), options),
    rows: (id, options) => warehouse.rows(own(id), options),
    describe: warehouse.describe,
    async extend(table, columns, etag) {
      check(table);
      await warehouse.extend(table, columns, etag);
    },
    async drop(table) {
      check(table);
      return await warehouse.drop(table);
    },
    list: warehouse.list,
  };
}

function writtenBy(spec: JobSpec): readonly TableRef[] {
  return spec.kind === "query" ? (spec.writes ?? []) : [spec.destination];
}

/** Where rows wait on their way into a table: a folder of a real bucket, which stands behind a name that no bucket has. */
export interface OwnStaging {
  readonly bucket: string;
  /** Ends with a slash. */
  readonly folder: string;
}

/** The name by which the runtime knows the folder. Buckets' names have no capitals. */
export const STAGING = "OWN-STAGING";

/** Reads every bucket; writes and deletes in the folder alone, where there is one. */
export function ownObjects(objects: ObjectStore, staging: OwnStaging | undefined): ObjectStore {
  const folder = (bucket: string, name: string): OwnStaging => {
    if (bucket === STAGING && staging !== undefined) return staging;
    throw new PermanentError(`gs://${bucket}/${name} is not written from here`, { code: "access-denied" });
  };
  const place = (bucket: string, name: string): readonly [bucket: string, name: string] =>
    bucket === STAGING && staging !== undefined ? [staging.bucket, `${staging.folder}${name}`] : [bucket, name];
  const shown = (info: ObjectInfo, bucket: string): ObjectInfo =>
    bucket === STAGING && staging !== undefined
      ? { ...info, bucket, name: info.name.slice(staging.folder.length) }
      : info;
  return {
    async *list(bucket, { prefix = "", startAfter } = {}) {
      const [real, below] = place(bucket, prefix);
      const after = startAfter === undefined ? {} : { startAfter: place(bucket, startAfter)[1] };
      for await (const info of objects.list(real, { prefix: below, ...after })) yield shown(info, bucket);
    },
    async stat(bucket, name) {
      const found = await objects.stat(...place(bucket, name));
      return found && shown(found, bucket);
    },
    read: (bucket, name, options) => objects.read(...place(bucket, name), options),
    async write(bucket, name, body, options) {
      folder(bucket, name);
      return shown(await objects.write(...place(bucket, name), body, options), bucket);
    },
    async delete(bucket, name, generation) {
      folder(bucket, name);
      return await objects.delete(...place(bucket, name), generation);
    },
  };
}

/** The job with the real addresses of staged files. */
function located(spec: JobSpec, staging: OwnStaging | undefined): JobSpec {
  if (spec.kind !== "load" || staging === undefined) return spec;
  const uris = spec.uris.map((uri) => uri.replace(`gs://${STAGING}/`, `gs://${staging.bucket}/${staging.folder}`));
  return { ...spec, uris };
}
