/** Rights to objects below prefixes, as roles on buckets with conditions. */
import type { Binding } from "../manifest.ts";

export interface ObjectRight {
  readonly member: string;
  readonly bucket: string;
  readonly project?: string;
  /** Empty for all of the bucket. */
  readonly prefix: string;
  /** `list` sees names and sizes only. IAM cannot keep listing to a prefix, so it always is of a whole bucket. */
  readonly level: "list" | "read" | "change";
  readonly reason: string;
}

/** There is no role that writes or deletes alone; this one does not touch the bucket's own settings. */
const ROLES = {
  list: "roles/storage.legacyBucketReader",
  read: "roles/storage.objectViewer",
  change: "roles/storage.objectUser",
} as const;

/** So many bindings of one role for one member, with different conditions, are the most that a policy holds. */
export const MAX_CONDITIONS = 20;

/** A right that another one of the same member covers is left out, and its reason is kept. */
export function objectBindings(rights: readonly ObjectRight[]): Binding[] {
  const groups = Map.groupBy(rights, ({ member, bucket }) => `${member} ${bucket}`);
  return [...groups.values()].flatMap((group) => {
    const widest = group.filter((right) => !group.some((other) => coversMore(other, right)));
    const distinct = new Map(widest.map((right) => [`${right.level} ${right.prefix}`, right]));
    return [...distinct.values()].map((right) => {
      const covered = group.filter((other) => covers(right, other) || sameRight(right, other));
      return bindingOf(right, [...new Set(covered.map(({ reason }) => reason))].sort());
    });
  });
}

function sameRight(a: ObjectRight, b: ObjectRight): boolean {
  return a.level === b.level && a.prefix === b.prefix;
}

function coversMore(a: ObjectRight, b: ObjectRight): boolean {
  return covers(a, b) && !(covers(b, a) || sameRight(a, b));
}

/** A role without a condition lists as well. */
function covers(a: ObjectRight, b: ObjectRight): boolean {
  if (sameRight(a, b)) return true;
  if (b.level === "list") return a.level !== "list" && a.prefix === "";
  return (a.level === "change" || a.level === b.level) && isBelow(b.prefix, a.prefix);
}

/** As the runtime has it: a prefix without a slash is a folder, or one object. */
function isBelow(name: string, prefix: string): boolean {
  return prefix === "" || name === prefix || name.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}

function bindingOf({ member, bucket, project, prefix, level }: ObjectRight, reasons: string[]): Binding {
  const resource = { kind: "bucket" as const, name: bucket, ...(project === undefined ? {} : { project }) };
  const common = { resource, role: ROLES[level], member, reasons };
  if (prefix === "") return common;
  const base = `projects/_/buckets/${bucket}/objects/${prefix}`;
  const below = `resource.name.startsWith(${JSON.stringify(prefix.endsWith("/") ? base : `${base}/`)})`;
  const expression = prefix.endsWith("/") ? below : `resource.name == ${JSON.stringify(base)} || ${below}`;
  return { ...common, condition: { title: `below ${prefix}`.slice(0, 100), expression } };
}
