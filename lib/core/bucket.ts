import { DefinitionError } from "./errors.ts";

/** Cloud Storage's rules for bucket names. Returns the name, or throws `DefinitionError`. */
export function checkBucket(bucket: string): string {
  const legal =
    /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/.test(bucket) &&
    bucket.length >= 3 &&
    bucket.length <= (bucket.includes(".") ? 222 : 63) &&
    bucket.split(".").every((part) => part.length >= 1 && part.length <= 63 && !/^-|-$/.test(part)) &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(bucket) &&
    !bucket.startsWith("goog") &&
    !bucket.includes("google");
  if (legal) return bucket;
  throw new DefinitionError(`${JSON.stringify(bucket.slice(0, 80))} is not a legal bucket name`, {
    remedy: "use 3 to 63 lower-case letters, digits, -, _ and dots, beginning and ending with a letter or digit",
  });
}
