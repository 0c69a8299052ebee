/** The fake's buckets: an index in memory over one file for each object's content. A commit is one synchronous step. */
import { createHash, randomUUID } from "node:crypto";
import { copyFileSync, createReadStream, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError } from "../http-fake.ts";
import { crc32c, crcText } from "./crc32c.ts";
import { checkBucketName, checkObjectName } from "./names.ts";
import type { Preconditions } from "./preconditions.ts";
import { check } from "./preconditions.ts";

/** What a writer may say about an object; the API's own names. */
export interface Attributes {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly contentDisposition?: string | undefined;
  readonly contentLanguage?: string | undefined;
  readonly cacheControl?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface StoredObject {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly metageneration: number;
  readonly size: number;
  /** Base64. */
  readonly crc32c: string;
  /** Base64; composed objects have none. */
  readonly md5Hash?: string;
  readonly componentCount?: number;
  /** Milliseconds, UTC. */
  readonly created: number;
  readonly updated: number;
  readonly attributes: Attributes;
  /** The file that holds the content. It goes away when the object is replaced or deleted. */
  readonly path: string;
}

export interface Bucket {
  readonly name: string;
  readonly location: string;
  readonly created: number;
  readonly objects: Map<string, StoredObject>;
  /** Names in order of their UTF-8 bytes; made when it is asked for, dropped when names come or go. */
  order: readonly string[] | undefined;
}

/** What happened to an object, for notifications. */
export interface Change {
  readonly eventType: "OBJECT_FINALIZE" | "OBJECT_DELETE" | "OBJECT_METADATA_UPDATE";
  readonly object: StoredObject;
  readonly overwroteGeneration?: string;
  readonly overwrittenByGeneration?: string;
}

export interface NewObject {
  readonly bucket: string;
  readonly name: string;
  readonly attributes: Attributes;
  readonly preconditions: Preconditions;
  /** Checksums that the writer expects, base64. */
  readonly expected: { readonly crc32c?: string | undefined; readonly md5Hash?: string | undefined };
}

export interface ObjectFiles {
  readonly buckets: ReadonlyMap<string, Bucket>;
  createBucket(name: string, location?: string): Bucket;
  deleteBucket(name: string): void;
  /** Throws 404 for an unknown one. */
  bucket(name: string): Bucket;
  find(bucket: string, name: string): StoredObject | undefined;
  /** Throws 404; with a generation also where another one is there. */
  get(bucket: string, name: string, generation?: string): StoredObject;
  /** Names in order of their UTF-8 bytes. */
  namesIn(bucket: string): readonly string[];
  /** A path for content that is being written. */
  temporary(): string;
  /** Makes the file the object's content, in one step. Throws where a precondition or checksum does not hold; the file is gone then. */
  commit(file: string, object: NewObject, composed?: number): Promise<StoredObject>;
  copy(source: StoredObject, object: NewObject): Promise<StoredObject>;
  update(object: StoredObject, attributes: Attributes): StoredObject;
  remove(object: StoredObject): void;
}

export function objectFiles(folder: string, onChange: (change: Change) => void): ObjectFiles {
  const buckets = new Map<string, Bucket>();
  const scratch = join(folder, "incoming");
  mkdirSync(scratch, { recursive: true });
  let lastGeneration = 0;

  function nextGeneration(): string {
    lastGeneration = Math.max(lastGeneration + 1, Date.now() * 1000);
    return String(lastGeneration);
  }

  function bucketOf(name: string): Bucket {
    const bucket = buckets.get(name);
    if (bucket === undefined) {
      checkBucketName(name);
      throw new ApiError(404, "notFound", "The specified bucket does not exist.");
    }
    return bucket;
  }

  const store: ObjectFiles = {
    buckets,
    createBucket(name, location = "US") {
      checkBucketName(name);
      if (buckets.has(name)) {
        const message = "Your previous request to create the named bucket succeeded and you already own it.";
        throw new ApiError(409, "conflict", message);
      }
      const bucket = { name, location, created: Date.now(), objects: new Map(), order: undefined };
      mkdirSync(join(folder, "objects", name), { recursive: true });
      buckets.set(name, bucket);
      return bucket;
    },
    deleteBucket(name) {
      if (bucketOf(name).objects.size > 0) {
        throw new ApiError(409, "conflict", "The bucket you tried to delete is not empty.");
      }
      buckets.delete(name);
    },
    bucket: bucketOf,
    find: (bucket, name) => buckets.get(bucket)?.objects.get(name),
    get(bucket, name, generation) {
      const object = bucketOf(bucket).objects.get(name);
      if (object === undefined || (generation !== undefined && object.generation !== generation)) {
        checkObjectName(name);
        const which = generation === undefined ? "" : `#${generation}`;
        throw new ApiError(404, "notFound", `No such object: ${bucket}/${name}${which}`);
      }
      return object;
    },
    namesIn(name) {
      const bucket = bucketOf(name);
      bucket.order ??= [...bucket.objects.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      return bucket.order;
    },
    temporary: () => join(scratch, randomUUID()),

    async commit(file, object, composed) {
      try {
        const sums = await checksums(file);
        refuseOther("CRC32C", object.expected.crc32c, sums.crc32c);
        refuseOther("MD5 hash", object.expected.md5Hash, sums.md5Hash);
        const bucket = bucketOf(object.bucket);
        checkObjectName(object.name);
        const before = bucket.objects.get(object.name);
        check(object.preconditions, before);
        const generation = nextGeneration();
        const path = join(folder, "objects", object.bucket, generation);
        renameSync(file, path);
        const now = Date.now();
        const stored: StoredObject = {
          bucket: object.bucket,
          name: object.name,
          generation,
          metageneration: 1,
          size: statSync(path).size,
          crc32c: sums.crc32c,
          ...(composed === undefined ? { md5Hash: sums.md5Hash } : { componentCount: composed }),
          created: now,
          updated: now,
          attributes: object.attributes,
          path,
        };
        bucket.objects.set(object.name, stored);
        if (before === undefined) bucket.order = undefined;
        else rmSync(before.path, { force: true });
        onChange({
          eventType: "OBJECT_FINALIZE",
          object: stored,
          ...(before && { overwroteGeneration: before.generation }),
        });
        if (before !== undefined) {
          onChange({ eventType: "OBJECT_DELETE", object: before, overwrittenByGeneration: generation });
        }
        return stored;
      } finally {
        rmSync(file, { force: true });
      }
    },
    async copy(source, object) {
      const file = store.temporary();
      copyFileSync(source.path, file);
      return await store.commit(file, object);
    },
    update(object, attributes) {
      const { metageneration } = object;
      const updated = { ...object, attributes, metageneration: metageneration + 1, updated: Date.now() };
      bucketOf(object.bucket).objects.set(object.name, updated);
      onChange({ eventType: "OBJECT_METADATA_UPDATE", object: updated });
      return updated;
    },
    remove(object) {
      const bucket = bucketOf(object.bucket);
      bucket.objects.delete(object.name);
      bucket.order = undefined;
      rmSync(object.path, { force: true });
      onChange({ eventType: "OBJECT_DELETE", object });
    },
  };
  return store;
}

/** Writes content to a temporary file and says which. */
export async function toFile(
  store: ObjectFiles,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
): Promise<string> {
  const file = store.temporary();
  try {
    await writeFile(file, content);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
  return file;
}

async function checksums(file: string): Promise<{ readonly crc32c: string; readonly md5Hash: string }> {
  const md5 = createHash("md5");
  let crc = 0;
  // A stream is slow to set up, and most objects are small.
  if (statSync(file).size <= 1024 * 1024) {
    const bytes = readFileSync(file);
    return { crc32c: crcText(crc32c(bytes)), md5Hash: md5.update(bytes).digest("base64") };
  }
  for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    // A stream without an encoding gives buffers.
    const bytes = chunk as Buffer;
    md5.update(bytes);
    crc = crc32c(bytes, crc);
  }
  return { crc32c: crcText(crc), md5Hash: md5.digest("base64") };
}

function refuseOther(kind: string, expected: string | undefined, found: string): void {
  if (expected === undefined || expected === found) return;
  throw new ApiError(400, "invalid", `Provided ${kind} "${expected}" doesn't match calculated ${kind} "${found}".`);
}
