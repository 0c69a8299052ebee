import { DefinitionError } from "./errors.ts";

/** Segments joined by slashes, such as `gitcoin/passport_scores`; what `assetKey` has accepted. */
export type AssetKey = string;

/** A key as authors write it: a text, or its segments, each of them alone or several in a list. */
export type KeyOption = string | readonly (string | readonly string[])[];

const MAX_LENGTH = 200;
const segment = /^[A-Za-z0-9_-]+$/;

/**
 * The canonical key for `"gitcoin/passport_scores"`, `["gitcoin", "passport_scores"]` or `[["gitcoin"], "passport_scores"]`. Every segment is made of
 * letters, digits, `_` and `-`, and the whole is at most 200 characters; otherwise throws `DefinitionError`.
 */
export function assetKey(parts: KeyOption): AssetKey {
  const segments: readonly string[] = typeof parts === "string" ? parts.split("/") : parts.flat();
  const key = segments.join("/");
  const shown = (): string => JSON.stringify(key.length > MAX_LENGTH ? `${key.slice(0, 40)}…` : key);
  if (segments.length === 0 || key === "") {
    throw new DefinitionError("an asset key is empty", { remedy: "name it like gitcoin/passport_scores" });
  }
  const bad = segments.find((part) => !segment.test(part));
  if (bad !== undefined) {
    const what = bad === "" ? "an empty segment" : `the segment ${JSON.stringify(bad.slice(0, 40))}`;
    throw new DefinitionError(`the asset key ${shown()} has ${what}`, {
      remedy: "segments are letters, digits, _ and -, joined by single slashes",
    });
  }
  if (key.length > MAX_LENGTH) {
    throw new DefinitionError(`the asset key ${shown()} has ${key.length} characters`, {
      remedy: `use at most ${MAX_LENGTH}`,
    });
  }
  return key;
}

/** The segments of a key, validated. */
export function keyParts(key: AssetKey): readonly string[] {
  return assetKey(key).split("/");
}

/** The topic that requests of an asset arrive on: `asset.gitcoin.passport_scores`. */
export function topicOf(key: AssetKey): string {
  return `asset.${keyParts(key).join(".")}`;
}

/** The topic that announces an asset's materializations: `materialized.gitcoin.passport_scores`. */
export function materializedTopicOf(key: AssetKey): string {
  return `materialized.${keyParts(key).join(".")}`;
}

/** A job's or sensor's name: one segment of a key. Returns it, or throws `DefinitionError`. */
export function checkName(name: string, what: string): string {
  if (!segment.test(name) || name.length > MAX_LENGTH) {
    throw new DefinitionError(`the ${what} name ${JSON.stringify(name.slice(0, 80))} is not a legal name`, {
      remedy: `use 1 to ${MAX_LENGTH} letters, digits, _ and -`,
    });
  }
  return name;
}

/** The topic that requests of a job arrive on: `job.passport_scores_clean_up_job`. */
export function jobTopicOf(name: string): string {
  return `job.${checkName(name, "job")}`;
}

/** The topic that a sensor's own messages (objects to look at, wake-ups) arrive on: `sensor.passport_scores_clean_up_sensor`. */
export function sensorTopicOf(name: string): string {
  return `sensor.${checkName(name, "sensor")}`;
}

/** The topic of a bucket's finalize notifications: `bucket.my-bucket`. The bucket's own dots stay. */
export function bucketTopicOf(bucket: string): string {
  return `bucket.${bucket}`;
}

export type ParsedTopic =
  | { readonly kind: "asset" | "materialized"; readonly key: AssetKey }
  | { readonly kind: "job" | "sensor"; readonly name: string }
  | { readonly kind: "bucket"; readonly bucket: string };

/** What a topic stands for; `undefined` for a name that none of the functions above makes. */
export function parseTopic(topic: string): ParsedTopic | undefined {
  const dot = topic.indexOf(".");
  if (dot < 0) return undefined;
  const kind = topic.slice(0, dot);
  const rest = topic.slice(dot + 1);
  if (kind === "bucket") return rest === "" ? undefined : { kind, bucket: rest };
  const segments = rest.split(".");
  if (!segments.every((part) => segment.test(part)) || rest.length > MAX_LENGTH) return undefined;
  if (kind === "job" || kind === "sensor") return segments.length === 1 ? { kind, name: rest } : undefined;
  // A segment cannot hold a dot, so the dots are exactly the key's slashes.
  return kind === "asset" || kind === "materialized" ? { kind, key: segments.join("/") } : undefined;
}
