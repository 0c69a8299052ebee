/** What things are called in the cloud: legal, of bounded length, stable across deployments. */
import type { Unit } from "../lib/core/units.ts";
import { shortHash } from "../lib/core/hash.ts";

/** What a function is called in an environment. `functionNameOf` is also what it looks itself up by, whatever the environment. */
export function deployedNameOf(prefix: string, unit: Pick<Unit, "kind" | "name">): string {
  const name = functionNameOf(unit);
  return prefix.length + name.length <= MAX_FUNCTION
    ? `${prefix}${name}`
    : resourceName(`${prefix}${name}`, MAX_FUNCTION);
}

/** A function's name becomes the name of a Cloud Run service: lower-case letters, digits and hyphens. */
const MAX_FUNCTION = 63;

/**
 * `asset-gitcoin-passport-scores`, `job-…`, `sensor-…` (of a sensor, or the router of a bucket), `reconcile`. A name that had to be cut, or
 * whose letters had to be changed beyond `/` and `_`, ends in a hash of what it stands for.
 */
export function functionNameOf({ kind, name }: Pick<Unit, "kind" | "name">): string {
  const prefix = kind === "bucket" ? "sensor" : kind;
  return resourceName(name === "" ? prefix : `${prefix}/${name}`, MAX_FUNCTION);
}

/** Pub/Sub's own bounds of the names of topics and subscriptions. */
const MIN_PUBSUB = 3;
const MAX_PUBSUB = 255;

/**
 * A subscription's name in the cloud: its name in the plan behind the environment's prefix. One that had to be cut ends in a hash of
 * all of it; two long keys make a long name.
 */
export function subscriptionNameOf(prefix: string, name: string): string {
  const full = `${prefix}${name}`;
  if (full.length <= MAX_PUBSUB) return full;
  const tail = `.${shortHash([full], 12)}`;
  return `${full.slice(0, MAX_PUBSUB - tail.length)}${tail}`;
}

/** Why Pub/Sub would refuse the name of a topic or subscription; `undefined` for a legal one. */
export function pubsubFault(name: string): string | undefined {
  if (name.length < MIN_PUBSUB || name.length > MAX_PUBSUB)
    return `has ${name.length} characters, and Pub/Sub takes ${MIN_PUBSUB} to ${MAX_PUBSUB}`;
  if (!/^[A-Za-z][A-Za-z0-9._~+%-]*$/.test(name)) return "does not begin with a letter, or has an illegal character";
  return name.toLowerCase().startsWith("goog") ? "begins with goog, which Google keeps to itself" : undefined;
}

/** A queue's name is taken for a week after it was deleted, so it says nothing that changes. */
export function queueNameOf(prefix: string): string {
  return `${prefix}sluice`;
}

/** A service account's name: 6 to 30 lower-case letters, digits and hyphens. */
export function accountNameOf(prefix: string, text: string): string {
  const name = resourceName(`${prefix}${text}`, 30);
  return name.length >= 6 ? name : `${name}-account`;
}

/** Lower-case letters, digits and single hyphens, at most `max` characters. */
export function resourceName(text: string, max: number): string {
  const plain = text.replaceAll(/[/_]/g, "-");
  const legal = plain
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, "-")
    .replaceAll(/-+/g, "-")
    .replace(/^-|-$/g, "");
  if (legal === plain && legal.length <= max) return legal;
  const tail = `-${shortHash([text], 8)}`;
  return `${legal.slice(0, max - tail.length).replace(/-$/, "")}${tail}`;
}
