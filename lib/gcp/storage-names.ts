/** Names that Cloud Storage takes. They are checked before a request, since some of them would change its path. */
import { PermanentError } from "../core/errors.ts";

const maxNameBytes = 1024;

/** Throws `PermanentError` (`bad-name`) for an illegal one. */
export function checkBucket(bucket: string): void {
  const parts = bucket.split(".");
  const isLegal =
    /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(bucket) && parts.every((part) => part.length >= 1 && part.length <= 63);
  if (isLegal) return;
  throw badName(
    `bucket ${JSON.stringify(shorten(bucket))}`,
    "a bucket is 3 to 63 lower-case letters, digits, dashes, underscores and single dots, with a letter or digit at both ends",
  );
}

/** Throws `PermanentError` (`bad-name`) for an illegal one. */
export function checkObject(bucket: string, name: string): void {
  checkBucket(bucket);
  const problem = problemOf(name);
  if (problem !== undefined) throw badName(`object ${JSON.stringify(shorten(name))} in bucket ${bucket}`, problem);
}

function problemOf(name: string): string | undefined {
  if (name === "") return "a name has at least one character";
  if (!name.isWellFormed()) return "a name is valid Unicode, and this one has half a surrogate pair";
  if (Buffer.byteLength(name) > maxNameBytes) return `a name has at most ${maxNameBytes} bytes of UTF-8`;
  if (/[\r\n]/.test(name)) return "Cloud Storage takes no line breaks in names";
  if (name === "." || name === "..") return "Cloud Storage takes neither . nor .. as a whole name";
  if (name.startsWith(".well-known/acme-challenge/"))
    return "Cloud Storage keeps .well-known/acme-challenge/ for itself";
  return undefined;
}

function badName(what: string, remedy: string): PermanentError {
  return new PermanentError(`${what} has an illegal name: ${remedy}`, { code: "bad-name" });
}

function shorten(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}…`;
}
