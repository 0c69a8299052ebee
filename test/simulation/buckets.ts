/** Buckets in memory. An object's rows are what a load makes of it: given with it, or read from its bytes when it is written. */
import { messageOf, PermanentError } from "../../lib/core/errors.ts";
import { checkBucket } from "../../lib/core/bucket.ts";
import type { ObjectInfo, ObjectStore } from "../../lib/ports/object-store.ts";
import { eachOf } from "./each-of.ts";

/** One row of every table in the simulated world: which version of which file it comes from. */
export interface Row {
  readonly file: string;
  readonly day: string;
  readonly version: number;
  /** What the blocking check of every asset refuses. */
  readonly bad: boolean;
  /** It has a value in one more column. */
  readonly extra?: true;
}

export interface Content {
  readonly bytes?: Uint8Array;
  readonly rows?: readonly Row[];
}

export interface StoredObject extends ObjectInfo, Content {
  /** Until then, a listing lacks it: as a file that has not settled yet. */
  readonly listedFrom: number;
}

export interface Buckets {
  put(bucket: string, name: string, content: (generation: string) => Content, listedFrom?: number): StoredObject;
  /** As the port's `write`. */
  write(bucket: string, name: string, content: Content, ifGeneration?: string | null): StoredObject;
  get(bucket: string, name: string): StoredObject | undefined;
  list(bucket: string, prefix: string, startAfter: string): readonly StoredObject[];
  /** As the port's `delete`. */
  delete(bucket: string, name: string, generation: string): "deleted" | "changed" | "missing";
  /** Deletes whatever is there. */
  remove(bucket: string, name: string): void;
  /** The rows that a version of an object had, also when it is gone. */
  rowsOf(uri: string, generation: string): readonly Row[];
  all(): Iterable<StoredObject>;
}

export function memoryBuckets(now: () => number): Buckets {
  const objects = new Map<string, StoredObject>();
  const history = new Map<string, readonly Row[]>();
  let generations = 0;

  const put: Buckets["put"] = (bucket, name, content, listedFrom = 0) => {
    const generation = String(++generations);
    const made = content(generation);
    const uri = `gs://${bucket}/${name}`;
    const stored = { bucket, name, generation, size: made.bytes?.length ?? 1, updated: now(), listedFrom, ...made };
    objects.set(uri, stored);
    if (made.rows !== undefined) history.set(`${uri}#${generation}`, made.rows);
    return stored;
  };
  const get: Buckets["get"] = (bucket, name) => objects.get(`gs://${bucket}/${name}`);
  return {
    put,
    get,
    write: (bucket, name, content, ifGeneration) => {
      const there = get(bucket, name)?.generation ?? null;
      if (ifGeneration !== undefined && ifGeneration !== there)
        throw new PermanentError(`gs://${bucket}/${name} is not at ${ifGeneration ?? "no"} generation`, {
          code: "precondition-failed",
        });
      return put(bucket, name, () => content);
    },
    list: (bucket, prefix, startAfter) => {
      const found: StoredObject[] = [];
      for (const object of objects.values()) {
        if (object.bucket !== bucket || !object.name.startsWith(prefix)) continue;
        if (startAfter !== "" && byBytes(object.name, startAfter) <= 0) continue;
        if (object.listedFrom <= now()) found.push(object);
      }
      return found.length < 2 ? found : found.sort((a, b) => byBytes(a.name, b.name));
    },
    delete: (bucket, name, generation) => {
      const there = get(bucket, name);
      if (there === undefined) return "missing";
      if (there.generation !== generation) return "changed";
      objects.delete(`gs://${bucket}/${name}`);
      return "deleted";
    },
    remove: (bucket, name) => void objects.delete(`gs://${bucket}/${name}`),
    rowsOf: (uri, generation) => history.get(`${uri}#${generation}`) ?? [],
    all: () => objects.values(),
  };
}

/** UTF-16 sorts as UTF-8 does, but for what it writes with surrogates. */
function byBytes(a: string, b: string): number {
  if (/[\ud800-\udfff]/.test(a + b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Bytes. */
const PIECE = 256 * 1024;

/** `step` stands for one request to the service: it happens when the promise says so. */
export type Step = <T>(what: string, perform: () => T, signal?: AbortSignal) => Promise<T>;

/** The object store port over buckets in memory. `rowsIn` says what rows there are in bytes that are written. */
export function bucketStore(
  buckets: Buckets,
  step: Step,
  rowsIn: (name: string, bytes: Uint8Array) => Promise<readonly Row[] | undefined> = async () => undefined,
): ObjectStore {
  return {
    list: (bucket, { prefix = "", startAfter = "" } = {}) =>
      eachOf(() => step(`list ${prefix}`, () => buckets.list(bucket, prefix, startAfter).map(infoOf))),
    stat: (bucket, name) =>
      step(`stat ${name}`, () => {
        const there = buckets.get(bucket, name);
        return there === undefined ? undefined : infoOf(there);
      }),
    read: (bucket, name, options) => piecesOf(buckets, step, { bucket, name }, options),
    async write(bucket, name, body, { ifGeneration, signal } = {}) {
      checkNames(bucket, name);
      signal?.throwIfAborted();
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) {
        signal?.throwIfAborted();
        chunks.push(chunk.slice());
      }
      const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : new Uint8Array(Buffer.concat(chunks));
      const rows = await rowsIn(name, bytes);
      const content = rows === undefined ? { bytes } : { bytes, rows };
      return infoOf(await step(`write ${name}`, () => buckets.write(bucket, name, content, ifGeneration), signal));
    },
    delete: (bucket, name, generation) =>
      step(`delete ${name}#${generation}`, () => buckets.delete(bucket, name, generation)),
  };
}

/*
 * Generators are functions of the file: each one that is made anew costs V8 a map in its old space, from where it keeps alive
 * whatever it has seen, a whole world in this case, until that space is collected.
 */

async function* piecesOf(
  buckets: Buckets,
  step: Step,
  { bucket, name }: { readonly bucket: string; readonly name: string },
  { generation, signal }: Parameters<ObjectStore["read"]>[2] = {},
): AsyncGenerator<Uint8Array, void, void> {
  signal?.throwIfAborted();
  const found = await step(`read ${name}`, () => buckets.get(bucket, name), signal);
  if (found === undefined || (generation !== undefined && found.generation !== generation))
    throw new PermanentError(`gs://${bucket}/${name} is not there, or another generation of it`, {
      code: "not-found",
    });
  const { bytes = new Uint8Array() } = found;
  for (let at = 0; at < bytes.length; at += PIECE) {
    signal?.throwIfAborted();
    yield bytes.slice(at, at + PIECE);
  }
}

function infoOf({ bucket, name, generation, size, updated }: StoredObject): ObjectInfo {
  return { bucket, name, generation, size, updated };
}

/** Cloud Storage's rules for names. */
function checkNames(bucket: string, name: string): void {
  const legal = name !== "" && name.isWellFormed() && Buffer.byteLength(name) <= 1024;
  if (!legal || /\s/.test(bucket))
    throw new PermanentError(`${JSON.stringify(name.slice(0, 80))} is no legal object name`, { code: "bad-name" });
  try {
    checkBucket(bucket);
  } catch (error) {
    throw new PermanentError(messageOf(error), { code: "bad-name" });
  }
}
