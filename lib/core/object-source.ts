/**
 * The objects that an asset is loaded from, as plain data: it sits in the manifest, so that the bucket's router can
 * route a notification without loading the asset.
 */
import { checkBucket } from "./bucket.ts";
import { compileFilePattern } from "./file-pattern.ts";
import type { Completeness, FilePattern } from "./file-pattern.ts";
import type { Interval, Window } from "./interval.ts";

export interface ObjectSource {
  readonly bucket: string;
  /** Literal text, without a slash at its end; empty for the whole bucket. */
  readonly pathBase: string;
  /** RE2, anchored at both ends, with a group `interval_timestamp`. */
  readonly fileMatch: string;
  readonly interval: Interval;
  /** When an interval is whole; must be given where several objects of one interval can match. */
  readonly complete?: Completeness;
  /** Publish although objects that were loaded before are gone from the listing. Default false. */
  readonly allowMissing?: boolean;
}

/** A source whose pattern is compiled and checked. */
export interface ObjectMatcher {
  readonly source: ObjectSource;
  readonly pattern: FilePattern;
}

export type Routed =
  | { readonly kind: "partition"; readonly window: Window; readonly role: "data" | "marker" }
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly reason: string };

/** Throws `DefinitionError` for an illegal bucket name or pattern, or a missing completeness rule. */
export function compileObjectSource(source: ObjectSource): ObjectMatcher {
  checkBucket(source.bucket);
  return { source, pattern: compileFilePattern(source) };
}

/** Which partition an object of the source's bucket belongs to, by its name alone. */
export function routeObject(matcher: ObjectMatcher, name: string): Routed {
  const marker = matcher.pattern.matchMarker(name);
  if (marker.kind === "match") return { kind: "partition", window: marker.window, role: "marker" };
  if (marker.kind === "refused") return marker;
  const match = matcher.pattern.match(name);
  return match.kind === "match" ? { kind: "partition", window: match.window, role: "data" } : match;
}
