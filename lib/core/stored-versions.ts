/**
 * The versions of rows that I/O managers without a table keep. A version is written down before its first byte is, so that
 * whatever becomes of the attempt, somebody knows what to remove; and it becomes the partition's head only by a commit.
 */
import type { Decision, Head, PartitionDocument, Ref, StoredVersion } from "./documents.ts";
import { decided, put } from "./documents.ts";
import { shortHash } from "./hash.ts";
import { holds, partitionRef } from "./run-identity.ts";
import type { RunIdentity } from "./run-identity.ts";

export interface StoredRefs {
  readonly [name: string]: Ref;
  readonly partition: Ref<"partition">;
}

export function storedRefs({ name, partition }: Pick<RunIdentity, "name" | "partition">): StoredRefs {
  return { partition: partitionRef(name, partition) };
}

/** The version of what is written under this claim. No other claim of whatever run has the same. */
export function versionOf({ id }: Pick<RunIdentity, "id">, token: number): string {
  return shortHash([id, String(token)]);
}

type State = { readonly partition: PartitionDocument | undefined };
type Input = { readonly identity: RunIdentity; readonly token: number };

/** Notes that the version is going to be written; `false` when the claim is lost. */
export function beginVersion(
  { partition }: State,
  { identity, token, version }: Input & { readonly version: StoredVersion },
): Decision<boolean> {
  if (partition === undefined || !holds(partition, token)) return decided(false);
  const writing = [...(partition.writing ?? []), version];
  return { result: true, writes: [put(storedRefs(identity).partition, { ...partition, writing })], events: [] };
}

/** Forgets versions that were begun, and are removed. */
export function forgetVersions(
  { partition }: State,
  { identity, token, versions }: Input & { readonly versions: readonly StoredVersion[] },
): Decision<void> {
  if (partition?.writing === undefined || !holds(partition, token)) return decided(undefined);
  const gone = new Set(versions.map(({ version }) => version));
  const { writing, ...rest } = partition;
  const left = writing.filter(({ version }) => !gone.has(version));
  const next = left.length === 0 ? rest : { ...rest, writing: left };
  return { result: undefined, writes: [put(storedRefs(identity).partition, next)], events: [] };
}

/** The longest handle, in bytes of JSON; and how many are kept of versions that could not be removed, so that a document holds them. */
export const MAX_HANDLE_BYTES = 100_000;
const MAX_HANDLES = 4;

/** What is to be removed once `head` is the partition's: the head before, what was begun besides, and what still was to be. */
export function unneeded(partition: PartitionDocument, head: Pick<Head, "stored">): { remove?: StoredVersion[] } {
  const { finish, head: before, writing = [] } = partition;
  const all = [...(finish?.remove ?? []), ...(before?.stored === undefined ? [] : [before.stored]), ...writing];
  const old = all.filter(({ version }) => version !== head.stored?.version);
  const remove = old.map(({ handle, ...rest }, index) =>
    handle === undefined || index < old.length - MAX_HANDLES ? rest : { ...rest, handle },
  );
  return remove.length === 0 ? {} : { remove };
}
