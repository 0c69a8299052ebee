/**
 * What is too long for a document lies in a bucket, as an object that is named by the hash of its bytes. It is written
 * before the document that needs it, so a document never misses one; what no document needs any more is swept later.
 */
import { PermanentError } from "../core/errors.ts";
import { hash } from "../core/hash.ts";
import type { Clock } from "../ports/clock.ts";
import type { StoreSlice } from "../ports/event-store.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";

export interface ManifestOptions {
  readonly objects: ObjectStore;
  readonly bucket: string;
  /** Default `manifests/`. */
  readonly prefix?: string;
}

export interface Manifests {
  /** Whether there is a bucket to put them into. */
  readonly available: boolean;
  load(keys: readonly string[]): Promise<ReadonlyMap<string, string>>;
  store(texts: ReadonlyMap<string, string>): Promise<void>;
  /** Whether the object was there within the last hour, so that no sweep can have taken it. */
  isStored(key: string): boolean;
  sweep(isNeeded: (key: string) => Promise<boolean>, slice: StoreSlice): Promise<SweepReport>;
}

export interface SweepReport {
  readonly deleted: number;
  /** Where the next slice begins; absent when all objects were seen. */
  readonly next?: string;
}

const HOUR_MS = 3_600_000;
/** An object that is needed again after so long is written anew, and so is young for the sweep. */
const RENEW_MS = 24 * HOUR_MS;
/** Younger ones may belong to a transaction that is still under way. */
const SWEEP_MS = 7 * 24 * HOUR_MS;
/** Characters of manifests that are kept in memory. */
const CACHE_CHARS = 16_000_000;

/** Without options there is no place for manifests: none is ever stored, and a document that needs one cannot be read. */
export function openManifests(options: ManifestOptions | undefined, clock: Clock): Manifests {
  return options === undefined ? NONE : bucketManifests(options, clock);
}

const NONE: Manifests = Object.freeze({
  available: false,
  isStored: () => false,
  load: async (keys: readonly string[]) => (keys.length === 0 ? new Map<string, string>() : withoutBucket()),
  store: async () => withoutBucket(),
  sweep: async () => ({ deleted: 0 }),
});

function withoutBucket(): never {
  throw new PermanentError("a document has a part in a bucket; open the event store with its manifests", {
    code: "bad-store",
  });
}

function bucketManifests(options: ManifestOptions, clock: Clock): Manifests {
  const { objects, bucket, prefix = "manifests/" } = options;
  const storedAt = new Map<string, number>();
  const cache = new Map<string, string>();
  let cached = 0;

  const nameOf = (key: string): string => `${prefix}${key}.json`;
  const remember = (key: string, text: string): void => {
    if (cache.has(key)) return;
    cache.set(key, text);
    cached += text.length;
    for (const [oldest, held] of cache) {
      if (cached <= CACHE_CHARS || oldest === key) return;
      cache.delete(oldest);
      cached -= held.length;
    }
  };

  async function read(key: string): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of objects.read(bucket, nameOf(key))) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if (hash(text) !== key) {
      throw new PermanentError(`gs://${bucket}/${nameOf(key)} is not what was written there; restore the object`, {
        code: "bad-store",
      });
    }
    return text;
  }

  async function write(key: string, text: string): Promise<void> {
    for (;;) {
      const there = await objects.stat(bucket, nameOf(key));
      if (there !== undefined && clock.now() - there.updated < RENEW_MS) return;
      const ifGeneration = there?.generation ?? null;
      try {
        await objects.write(bucket, nameOf(key), [Buffer.from(text)], { ifGeneration });
        return;
      } catch (error) {
        // Somebody else wrote it, or swept it: look again.
        if (!(error instanceof PermanentError && error.code === "precondition-failed")) throw error;
      }
    }
  }

  const isStored = (key: string): boolean => clock.now() - (storedAt.get(key) ?? -Infinity) < HOUR_MS;

  return {
    available: true,
    isStored,

    async load(keys) {
      const texts = new Map<string, string>();
      await Promise.all(
        [...new Set(keys)].map(async (key) => {
          const text = cache.get(key) ?? (await read(key));
          remember(key, text);
          texts.set(key, text);
        }),
      );
      return texts;
    },

    async store(texts) {
      for (const [key, at] of storedAt) if (clock.now() - at >= HOUR_MS) storedAt.delete(key);
      for (const [key, text] of texts) {
        if (isStored(key)) continue;
        const at = clock.now();
        await write(key, text);
        storedAt.set(key, at);
        remember(key, text);
      }
    },

    /** A document that comes to need an object after it was looked for has renewed it: its generation is another one then. */
    async sweep(isNeeded, { startAfter, limit = 1_000 }) {
      const from = { prefix, ...(startAfter === undefined ? {} : { startAfter }) };
      let deleted = 0;
      let seen = 0;
      for await (const object of objects.list(bucket, from)) {
        seen += 1;
        const key = keyOf(object, prefix);
        const old = clock.now() - object.updated >= SWEEP_MS;
        if (key !== undefined && old && !(await isNeeded(key))) {
          if ((await objects.delete(bucket, object.name, object.generation)) === "deleted") deleted += 1;
        }
        if (seen === limit) return { deleted, next: object.name };
      }
      return { deleted };
    },
  };
}

function keyOf({ name }: ObjectInfo, prefix: string): string | undefined {
  return /^([0-9a-f]{64})\.json$/.exec(name.slice(prefix.length))?.[1];
}
