/**
 * What is promised of data that is in no table. Rows that are kept as files: what the last commit names is there, whole, and nothing
 * else is left. A range that one run makes: a partition is recorded only when the code has made it, from what its record says.
 */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { Head, PartitionDocument, StoredVersion } from "../../lib/core/documents.ts";
import { isStoredAsset } from "../../lib/runtime/store-rows.ts";
import type { ParquetHandle } from "../../lib/runtime/parquet/store.ts";
import type { Partition } from "../../lib/core/partitions.ts";
import { destinationOf } from "../../lib/core/placement.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import type { Row, StoredObject } from "./buckets.ts";
import { sameRows, show } from "./surroundings.ts";
import type { Surroundings } from "./surroundings.ts";
import { fileOfRange, RANGE, STORED, WRITTEN } from "./untabled.ts";

type Rows = readonly Row[];

/** The rows that an asset shows, in a table or in files; `undefined` where there are none. */
export function shownIn(
  { warehouse, documents, buckets }: Pick<Surroundings, "warehouse" | "documents" | "buckets">,
  { key, target, partitions }: AssetDefinition,
  day: Partition | undefined,
): Rows | undefined {
  if (target !== undefined) return warehouse.rows(destinationOf({ target, partitions }, day));
  const { head } = documents.get("partition", partitionRef(key, day?.key ?? "").id) ?? {};
  return head?.stored === undefined ? undefined : rowsIn({ buckets }, head.stored);
}

/** `undefined` where a file is missing, or is another one. */
function rowsIn({ buckets }: Pick<Surroundings, "buckets">, { handle }: StoredVersion): Rows | undefined {
  const { bucket, folder, files } = handle as ParquetHandle; // no other I/O manager is simulated
  const rows: Row[] = [];
  for (const { name, generation } of files) {
    const there = buckets.get(bucket, `${folder}/${name}`);
    if (there?.generation !== generation) return undefined;
    rows.push(...(there.rows ?? []));
  }
  return rows;
}

/**
 * A partition has a new head. `since`: what its upstream has shown from the given materialization on, or ever where there is none;
 * versions are noted before data is read, so that any of it may have been.
 */
export function onHead(
  { project, buckets, fail }: Surroundings,
  before: PartitionDocument | undefined,
  { name, partition, head }: PartitionDocument,
  since: (upstream: string, day: string, materialization: string | undefined) => readonly Rows[],
): void {
  if (head === undefined || head.materializationId === before?.head?.materializationId) return;
  const asset = project.definitions.assets.get(name);
  const [upstream = ""] = asset?.deps ?? [];
  const seen = (): readonly Rows[] => since(upstream, partition, head.upstreams?.[`${upstream}|${partition}`]);
  const what = `${head.materializationId} of ${name} ${partition}`;
  if (asset !== undefined && isStoredAsset(asset)) {
    const rows = head.stored === undefined ? undefined : rowsIn({ buckets }, head.stored);
    if (rows === undefined) return fail(`${what} names files that are not there`);
    if (!seen().some((shown) => sameRows(shown, rows)))
      fail(`${what} keeps ${show(rows)}, which ${upstream} has not shown`);
  }
  if (name === RANGE && !seen().some((shown) => isMade({ buckets }, partition, shown)))
    fail(`${what} was recorded, and its code has not made it`);
}

/** Whether the code of the asset has made the day from these rows. */
export function isMade({ buckets }: Pick<Surroundings, "buckets">, day: string, rows: Rows): boolean {
  const name = fileOfRange(
    day,
    rows.map(({ version }) => String(version)),
  );
  return buckets.get(WRITTEN, name) !== undefined;
}

/** A stored file was deleted. */
export function onRemoved({ documents, fail }: Surroundings, { name }: StoredObject): void {
  for (const [id, { head }] of documents.all("partition"))
    if (isNamed(head, name)) fail(`${name} was removed, and ${id} shows it`);
}

/** Stored files that no head names, and versions that are still to be removed. */
export function storedLeft(
  { documents, buckets }: Pick<Surroundings, "documents" | "buckets">,
  late: boolean,
): readonly string[] {
  const left: string[] = [];
  const partitions = documents.all("partition");
  for (const [id, { writing }] of partitions) if (writing !== undefined) left.push(`versions begun of ${id}`);
  for (const { bucket, name } of late ? [] : buckets.all())
    if (bucket === STORED && !partitions.some(([, { head }]) => isNamed(head, name))) left.push(`object ${name}`);
  return left;
}

function isNamed(head: Head | undefined, name: string): boolean {
  if (head?.stored === undefined) return false;
  const { folder, files } = head.stored.handle as ParquetHandle; // as above
  return files.some((file) => `${folder}/${file.name}` === name);
}
