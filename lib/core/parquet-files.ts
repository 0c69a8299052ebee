/** The I/O manager that keeps an asset's rows as Parquet files in a bucket. Its code is the runtime's; this is the data. */
import type { AssetKey } from "./asset-key.ts";
import { PARQUET_FILES } from "./custom-io-manager.ts";
import { DefinitionError, within } from "./errors.ts";
import { shortHash } from "./hash.ts";
import type { Need, ObjectLocation } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, number, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import { parseLocation } from "./resources.ts";

export interface ParquetFilesOptions {
  /** Rows are stored below `gs://bucket/prefix/<key>/<partition>/<version>/`. */
  readonly location: `gs://${string}`;
  /** A file ends, after a whole row group, when it has so many bytes. Whoever reads holds one file in memory. Default 32 MiB. */
  readonly partBytes?: number;
  /** As `bigqueryTable` has it. Default `fail`. */
  readonly onInvalidRow?: "fail" | "discard";
}

export interface ParquetFiles {
  readonly kind: typeof PARQUET_FILES;
  readonly name: typeof PARQUET_FILES;
  readonly location: ObjectLocation;
  readonly partBytes: number;
  readonly onInvalidRow: "fail" | "discard";
}

const MIB = 1 << 20;
const MAX_PART = 1024 * MIB;

const OPTIONS: Shape<keyof ParquetFilesOptions> = {
  location: text,
  partBytes: optional(number),
  onInvalidRow: rules.invalidRow,
};

/**
 * Rows as Parquet files in a bucket, without a warehouse. Each materialization writes files of its own, and readers see them
 * from its commit on; those of the version before are deleted then. Throws `DefinitionError`.
 */
export function parquetFiles(options: ParquetFilesOptions): ParquetFiles {
  checkOptions("parquetFiles", options, OPTIONS);
  const { bucket, prefix } = within("parquetFiles.location", () => parseLocation(options.location));
  const { partBytes = 32 * MIB, onInvalidRow = "fail" } = options;
  const folder = prefix.replace(/\/$/, "");
  if (folder !== "" && !/^[\w.=-]+(?:\/[\w.=-]+)*$/.test(folder)) {
    throw new DefinitionError(`${JSON.stringify(options.location)} is not a place for files`, {
      where: "location",
      remedy: "use letters, digits, _ . = and - between single slashes",
    });
  }
  if (!Number.isSafeInteger(partBytes) || partBytes < 1 || partBytes > MAX_PART) {
    throw new DefinitionError(`partBytes is ${partBytes}`, {
      where: "partBytes",
      remedy: "use a whole number of bytes, at most 1 GiB",
    });
  }
  return Object.freeze({
    kind: PARQUET_FILES,
    name: PARQUET_FILES,
    location: { bucket, prefix: folder },
    partBytes,
    onInvalidRow,
  });
}

/** All that the asset stores lies below this prefix, which ends with a slash. */
export function storedBelow({ location }: ParquetFiles, key: AssetKey): ObjectLocation {
  return { bucket: location.bucket, prefix: `${location.prefix === "" ? "" : `${location.prefix}/`}${key}/` };
}

/** The folder of one version, without a slash at its end. `asset`: its oldest name. Partition keys are any text, and names are not. */
export function versionFolder(
  manager: ParquetFiles,
  asset: AssetKey,
  partition: string | undefined,
  version: string,
): string {
  const part = partition ?? "all";
  const name = /^[A-Za-z0-9_-]+$/.test(part) ? part : shortHash([part]);
  return `${storedBelow(manager, asset).prefix}${name}/${version}`;
}

export function parquetWriteNeeds(manager: ParquetFiles, key: AssetKey): readonly Need[] {
  const place = storedBelow(manager, key);
  return [
    { kind: "write-objects", ...place, reason: `${key} is stored there` },
    ...parquetReadNeeds(manager, key, `${key} finds there what it has stored`),
    { kind: "delete-objects", ...place, reason: `${key} deletes there what it has replaced` },
  ];
}

export function parquetReadNeeds(manager: ParquetFiles, key: AssetKey, reason: string): readonly Need[] {
  return [{ kind: "read-objects", ...storedBelow(manager, key), reason }];
}
