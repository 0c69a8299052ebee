/** How `parquetFiles` keeps rows: each version in a folder of its own, each file named by the handle with its generation. */
import { z } from "zod";
import type { AssetKey } from "../../core/asset-key.ts";
import type { StoreContext, VersionContext, WriteContext } from "../../core/custom-io-manager.ts";
import { PermanentError } from "../../core/errors.ts";
import { versionFolder } from "../../core/parquet-files.ts";
import type { ParquetFiles } from "../../core/parquet-files.ts";
import type { PlainRow } from "../../core/row-encode.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import type { RowSource, RowStore } from "../row-store.ts";
import { writeRows } from "../write-rows.ts";
import { parquetRows } from "./reader.ts";

/** Where the files are is part of it, so that they are found when the definition names another place. */
const handleSchema = z.strictObject({
  bucket: z.string(),
  /** Without a slash at its end. */
  folder: z.string(),
  files: z.array(z.strictObject({ name: z.string(), generation: z.string(), bytes: z.int() })),
});
export type ParquetHandle = z.output<typeof handleSchema>;

const FILE = /^part-\d{5}\.parquet$/;
/** So many rows are decoded at a time. */
const GROUP_ROWS = 50_000;
const MAX_GROUP_BYTES = 8 << 20;

/** `origin`: the asset's oldest key, which its folders are named after. */
export function parquetStore(objects: ObjectStore, manager: ParquetFiles, origin: AssetKey): RowStore {
  const { bucket } = manager.location;
  const folderOf = ({ partition, version }: VersionContext): string =>
    versionFolder(manager, origin, partition, version);
  return {
    async write(context: WriteContext, { produced, take }: RowSource): Promise<ParquetHandle> {
      const { columns, signal } = context;
      const folder = folderOf(context);
      const sizes = new Map<string, number>();
      const { partBytes } = manager;
      const parts = await writeRows(produced, columns, take, {
        objects: {
          async write(...args) {
            const info = await objects.write(...args);
            sizes.set(info.name, info.size);
            return info;
          },
        },
        bucket,
        nameOf: (index) => `${folder}/part-${String(index).padStart(5, "0")}.parquet`,
        partBytes,
        signal,
        parquet: { rowGroupRows: GROUP_ROWS, rowGroupBytes: Math.min(MAX_GROUP_BYTES, partBytes) },
      });
      const files = parts.map(({ name, generation }) => ({
        name: name.slice(folder.length + 1),
        generation,
        bytes: sizes.get(name) ?? 0,
      }));
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      context.metadata({ location: `gs://${bucket}/${folder}/`, files: files.length, bytes });
      return { bucket, folder, files };
    },

    async *read({ signal }: StoreContext, handles: readonly unknown[]): AsyncGenerator<PlainRow, void, void> {
      for (const handle of handles) {
        const { bucket, folder, files } = handleOf(handle);
        for (const { name, generation, bytes } of files) {
          const whole = new Uint8Array(bytes);
          let at = 0;
          for await (const chunk of objects.read(bucket, `${folder}/${name}`, { generation, signal })) {
            whole.set(chunk, at);
            at += chunk.length;
          }
          yield* parquetRows(whole);
        }
      }
    },

    /** All that is in the version's folder, so that it needs no handle. */
    async remove(context: VersionContext, handle: unknown): Promise<void> {
      const place = handle === undefined ? { bucket, folder: folderOf(context), files: [] } : handleOf(handle);
      const prefix = `${place.folder}/`;
      // A listing may lack them yet, where another process has just written them.
      for (const { name, generation } of place.files)
        await objects.delete(place.bucket, `${prefix}${name}`, generation);
      for await (const { name, generation } of objects.list(place.bucket, { prefix }))
        if (FILE.test(name.slice(prefix.length))) await objects.delete(place.bucket, name, generation);
    },
  };
}

function handleOf(handle: unknown): ParquetHandle {
  const { data } = handleSchema.safeParse(handle);
  if (data === undefined)
    throw new PermanentError("what was stored is not said in a way that can be read: materialize it again", {
      code: "bad-handle",
    });
  return data;
}

/** `gs://bucket/folder/`, for people; `undefined` for another manager's handle. */
export function placeOf(handle: unknown): string | undefined {
  const { data } = handleSchema.safeParse(handle);
  return data === undefined ? undefined : `gs://${data.bucket}/${data.folder}/`;
}
