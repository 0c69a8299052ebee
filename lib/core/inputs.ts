/** What a partition is loaded from: whether it is whole, what changed since the last load, and its fingerprint. */
import { durationMs } from "./duration.ts";
import type { InputObject } from "./documents.ts";
import { canonicalJson, hash } from "./hash.ts";
import type { ObjectMatcher } from "./object-source.ts";

export interface FingerprintParts {
  readonly inputs: readonly InputObject[];
  /** Versions of upstream assets, by key. */
  readonly upstreams?: Readonly<Record<string, string>>;
  /** Whatever of the definition decides the result, as a JSON value. */
  readonly definition: unknown;
  readonly codeVersion?: string | undefined;
  /** Makes this run's fingerprint its own, for a forced run. */
  readonly nonce?: string | undefined;
}

/** Equal fingerprints mean equal results: 64 hexadecimal digits, whatever the order of inputs and of object keys. */
export function fingerprintOf(parts: FingerprintParts): string {
  const inputs = sortByName(parts.inputs).map(({ bucket, name, generation }) => [bucket, name, generation]);
  return hash(
    canonicalJson(inputs),
    canonicalJson(parts.upstreams ?? {}),
    canonicalJson(parts.definition ?? null),
    canonicalJson([parts.codeVersion ?? null, parts.nonce ?? null]),
  );
}

export interface InputChanges {
  readonly added: readonly InputObject[];
  readonly removed: readonly InputObject[];
  /** Same name, another generation; as they are now. */
  readonly changed: readonly InputObject[];
}

/** What differs between two lists of objects, each part in order of names. */
export function compareInputs(before: readonly InputObject[], now: readonly InputObject[]): InputChanges {
  const old = new Map(before.map((input) => [uriOf(input), input]));
  const current = new Set(now.map(uriOf));
  return {
    added: sortByName(now.filter((input) => !old.has(uriOf(input)))),
    removed: sortByName(before.filter((input) => !current.has(uriOf(input)))),
    changed: sortByName(
      now.filter((input) => {
        const past = old.get(uriOf(input));
        return past !== undefined && past.generation !== input.generation;
      }),
    ),
  };
}

/** An object as a listing gives it. `updated` is in milliseconds. */
export interface ListedObject extends InputObject {
  readonly updated: number;
}

export type InputDecision =
  | { readonly kind: "ready"; readonly inputs: readonly InputObject[] }
  /** No object of the interval is there, and none was: nothing to load. */
  | { readonly kind: "none" }
  /** Objects that were loaded before are gone; publishing would lose their rows. */
  | { readonly kind: "missing"; readonly names: readonly string[] }
  /** Not whole yet. Without `until` only another event can change that. */
  | { readonly kind: "wait"; readonly until?: number; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

export interface InputQuestion {
  readonly matcher: ObjectMatcher;
  /** The key of the partition asked about; objects of others are left aside. */
  readonly partition: string;
  /** A listing of at least `matcher.pattern.prefixOf(window)`, in any order. */
  readonly objects: Iterable<ListedObject>;
  /** What the partition's head was loaded from. */
  readonly loadedBefore?: readonly InputObject[] | undefined;
  /** Overrides the source's own `allowMissing`. */
  readonly allowMissing?: boolean | undefined;
  readonly now: number;
}

/**
 * Whether a partition can be loaded, from which objects, in order of names. An empty listing is never `ready`. What is
 * not whole yet is waited for before anything is called missing: a producer that replaces files deletes some first.
 */
export function decideInputs(question: InputQuestion): InputDecision {
  const { matcher, partition, loadedBefore = [], now } = question;
  const { objects, texts, marked } = objectsOf(matcher, partition, question.objects);
  const refusal = refusalOf(matcher, objects, texts);
  if (refusal !== undefined) return { kind: "refused", reason: refusal };
  if (objects.length > 0) {
    const wait = waitOf(matcher, objects, marked, now);
    if (wait !== undefined) return wait;
  }
  const { removed } = compareInputs(loadedBefore, objects);
  const allowMissing = question.allowMissing ?? matcher.source.allowMissing ?? false;
  if (removed.length > 0 && !allowMissing) return { kind: "missing", names: removed.map(({ name }) => name) };
  if (objects.length === 0) return { kind: "none" };
  return { kind: "ready", inputs: objects.map(withoutUpdated) };
}

function objectsOf(matcher: ObjectMatcher, partition: string, listed: Iterable<ListedObject>) {
  const byName = new Map<string, ListedObject>();
  const texts = new Set<string>();
  let marked = false;
  for (const object of listed) {
    const match = matcher.pattern.match(object.name);
    if (match.kind === "match" && match.window.key === partition) {
      byName.set(object.name, object);
      texts.add(match.text);
    }
    const marker = matcher.pattern.matchMarker(object.name);
    marked ||= marker.kind === "match" && marker.window.key === partition;
  }
  return { objects: sortByName([...byName.values()]), texts: [...texts].sort(), marked };
}

function refusalOf(
  matcher: ObjectMatcher,
  objects: readonly ListedObject[],
  texts: readonly string[],
): string | undefined {
  const { complete } = matcher.source;
  if (texts.length > 1) {
    return `the interval is spelled in ${texts.length} ways, as ${texts.slice(0, 3).join(" and ")}: keep the objects of one`;
  }
  if (!matcher.pattern.variable && objects.length > 1) {
    return `${objects.length} objects match, but the pattern allows one: ${namesOf(objects)}`;
  }
  if (complete !== undefined && "count" in complete && objects.length > complete.count) {
    return `${objects.length} objects are there, but complete.count is ${complete.count}: delete what is too much, or raise the count`;
  }
  return undefined;
}

function waitOf(
  matcher: ObjectMatcher,
  objects: readonly ListedObject[],
  marked: boolean,
  now: number,
): InputDecision | undefined {
  const { complete } = matcher.source;
  if (complete === undefined) return undefined;
  if ("marker" in complete) {
    return marked ? undefined : { kind: "wait", reason: `the marker ${complete.marker} is not there yet` };
  }
  if ("count" in complete) {
    if (objects.length === complete.count) return undefined;
    return { kind: "wait", reason: `${objects.length} of ${complete.count} objects are there` };
  }
  const newest = objects.reduce((latest, { updated }) => Math.max(latest, updated), -Infinity);
  const until = newest + durationMs(complete.settle);
  return until > now ? { kind: "wait", until, reason: `no change for ${complete.settle} is awaited` } : undefined;
}

function withoutUpdated({ bucket, name, generation, size }: ListedObject): InputObject {
  return { bucket, name, generation, size };
}

function namesOf(objects: readonly InputObject[]): string {
  const shown = objects.slice(0, 3).map(({ name }) => JSON.stringify(name));
  return `${shown.join(", ")}${objects.length > 3 ? ", …" : ""}`;
}

/** `gs://bucket/name`. */
export function uriOf({ bucket, name }: Pick<InputObject, "bucket" | "name">): string {
  return `gs://${bucket}/${name}`;
}

function sortByName<T extends InputObject>(objects: readonly T[]): T[] {
  if (objects.length < 2) return [...objects];
  return objects
    .map((object) => ({ object, uri: uriOf(object) }))
    .sort((a, b) => (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0))
    .map(({ object }) => object);
}
