/**
 * Buckets of immutable objects. An object's generation changes whenever its content is replaced and never
 * comes back; a writer sees its own write at once, and an object is visible only when it is whole.
 */
export interface ObjectInfo {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch, UTC. */
  readonly updated: number;
}

export interface ObjectStore {
  /** Objects whose names start with `prefix`, in order of their names' UTF-8 bytes, after `startAfter` (exclusive). Streamed. An unknown bucket is empty. */
  list(bucket: string, options?: { readonly prefix?: string; readonly startAfter?: string }): AsyncIterable<ObjectInfo>;
  stat(bucket: string, name: string): Promise<ObjectInfo | undefined>;
  /** The bytes of the object; throws `PermanentError` (`not-found`) where there is none, or not at that generation. */
  read(
    bucket: string,
    name: string,
    options?: { readonly generation?: string; readonly signal?: AbortSignal },
  ): AsyncIterable<Uint8Array>;
  /** Atomic: the object is there whole, or as it was. `ifGeneration: undefined` always writes; `null` only where there is none; a generation only over it. Otherwise `PermanentError` (`precondition-failed`). */
  write(
    bucket: string,
    name: string,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: { readonly ifGeneration?: string | null; readonly signal?: AbortSignal },
  ): Promise<ObjectInfo>;
  /** Deletes exactly that generation: `changed` when another one is there (and stays), `missing` when there is none. */
  delete(bucket: string, name: string, generation: string): Promise<"deleted" | "changed" | "missing">;
}
