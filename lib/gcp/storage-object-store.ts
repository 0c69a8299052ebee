/** The object store on Cloud Storage. */
import type { Clock, Random } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { deleteObject, infoOf, listPage, openStorage, statObject, type StorageClient } from "./storage-client.ts";
import { checkBucket, checkObject } from "./storage-names.ts";
import { readObject } from "./storage-read.ts";
import { writeObject } from "./storage-write.ts";

export interface GcsObjectStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** By default that of the application default credentials; only billing and quotas depend on it. */
  readonly projectId?: string;
  /** Another server than Google's, e.g. `http://127.0.0.1:4443`; it is spoken to without credentials. */
  readonly apiEndpoint?: string;
  /** How many times a request is tried in all. Default 5. */
  readonly attempts?: number;
  /** The bounds of the pause before another try, milliseconds. Default 250 and 8,000. */
  readonly minPauseMs?: number;
  readonly maxPauseMs?: number;
  /** How long a request may give no sign of life, milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
  /** A body up to this size is held and sent in one request, a larger one goes up in blocks of it. A multiple of 256 KiB; default 8 MiB. */
  readonly blockBytes?: number;
}

/** All blocks of a resumable upload but its last are multiples of this. */
const granule = 256 * 1024;

/**
 * Uses application default credentials; the client is loaded by the first call. What passes (429, 5xx, a broken connection)
 * is tried again within bounds and is then a `RetryableError`; `PermanentError` has the codes `bad-name`, `not-found`,
 * `precondition-failed`, `access-denied`, `unauthenticated` and `refused`.
 *
 * Names with line breaks, `.` and `..` are refused, because Cloud Storage refuses them. A write into a bucket that does not
 * exist is `not-found`. An object carries a metadata entry that tells which write made it, so that a write whose answer
 * was lost recognises its own effect.
 */
export function gcsObjectStore(settings: GcsObjectStoreOptions): ObjectStore {
  const { clock, random, projectId, apiEndpoint, blockBytes = 8 * 1024 * 1024 } = settings;
  if (blockBytes <= 0 || blockBytes % granule !== 0) {
    throw new RangeError(`blockBytes is ${blockBytes}; give a multiple of ${granule}`);
  }
  const { attempts = 5, minPauseMs = 250, maxPauseMs = 8000, timeoutMs = 60_000 } = settings;
  const options = { clock, random, attempts, minPauseMs, maxPauseMs, timeoutMs };
  const address = { ...(projectId !== undefined && { projectId }), ...(apiEndpoint !== undefined && { apiEndpoint }) };
  let opening: Promise<StorageClient> | undefined;
  const client = () => (opening ??= openStorage(address, options));

  return {
    async *list(bucket, { prefix = "", startAfter = "" } = {}) {
      checkBucket(bucket);
      // Half a character has no UTF-8; what it could match is left to the comparison below.
      const [sent = ""] = prefix.split(/\p{Surrogate}/u, 1);
      const startOffset = startAfter.toWellFormed();
      let pageToken: string | undefined;
      do {
        const page = await listPage(await client(), bucket, { prefix: sent, startOffset, pageToken });
        if (page === undefined) return;
        for (const object of page.objects) {
          // Cloud Storage's offset is inclusive.
          if (object.name.startsWith(prefix) && (startOffset === "" || object.name !== startOffset)) yield object;
        }
        pageToken = page.next;
      } while (pageToken !== undefined);
    },

    async stat(bucket, name) {
      checkObject(bucket, name);
      const found = await statObject(await client(), bucket, name);
      return found && infoOf(found);
    },

    async *read(bucket, name, { generation, signal } = {}) {
      signal?.throwIfAborted();
      checkObject(bucket, name);
      yield* readObject(await client(), { bucket, name, generation, signal });
    },

    async write(bucket, name, body, { ifGeneration, signal } = {}) {
      signal?.throwIfAborted();
      checkObject(bucket, name);
      return await writeObject(await client(), { bucket, name, body, ifGeneration, signal, blockBytes });
    },

    async delete(bucket, name, generation) {
      checkObject(bucket, name);
      return await deleteObject(await client(), bucket, name, generation);
    },
  };
}
