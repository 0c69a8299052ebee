/**
 * Object names and file paths, both ways.
 *
 * `gs://b/n` is the file `root/b/n`, so that people can drop files by hand. What a folder could not hold, or what would
 * lead out of it, is percent-encoded, segment by segment:
 *
 * - an empty segment is `%2F`, so `a//b` is `a/%2F/b` and `a/` is `a/%2F`;
 * - a leading dot is `%2E`, so `../x` is `%2E./x`; a file whose own name starts with a dot is never an object, because
 *   editors, copy tools and desktops leave such files behind;
 * - control characters and backslashes are `%0A`, `%5C`, …;
 * - text that already looks like one of these codes gets a `25` behind its `%`: the name `a%0Ab` is the file `a%250Ab`.
 *
 * Everything else is left as it is, `%20` included. Every name has one path, and every path at most one name.
 */
import { join } from "node:path";
import { PermanentError } from "../core/errors.ts";

const maxNameBytes = 1024;
/** What ext4, XFS, APFS and NTFS take. */
const maxSegmentBytes = 255;

const control = "[01][0-9A-F]|5C|7F";
// Control characters are what this is about.
const toEncode = new RegExp(`%((?:25)*(?:${control}))|[\\u0000-\\u001f\\\\\\u007f]`, "g");
const toDecode = new RegExp(`%((?:25)*)(${control})`, "g");

/** One segment of an object name as a file name. */
export function encodeSegment(segment: string): string {
  if (segment === "") return "%2F";
  const encoded = segment.replaceAll(toEncode, (match, lookAlike: string | undefined) =>
    lookAlike === undefined ? `%${hexByte(match)}` : `%25${lookAlike}`,
  );
  if (encoded.startsWith(".")) return `%2E${encoded.slice(1)}`;
  return /^%(?:25)*(?:2E|2F$)/.test(encoded) ? `%25${encoded.slice(1)}` : encoded;
}

/** The segment that a file name stands for; `undefined` when no object is ever stored under it. */
export function decodeSegment(file: string): string | undefined {
  const inner = file.replaceAll(toDecode, (_match, escapes: string, hex: string) =>
    escapes === "" ? String.fromCharCode(Number.parseInt(hex, 16)) : `%${escapes.slice(2)}${hex}`,
  );
  const segment = decodeStart(inner);
  return encodeSegment(segment) === file ? segment : undefined;
}

function decodeStart(text: string): string {
  if (text === "%2F") return "";
  if (text.startsWith("%2E")) return `.${text.slice(3)}`;
  return /^%(?:25)+(?:2E|2F$)/.test(text) ? `%${text.slice(3)}` : text;
}

function hexByte(character: string): string {
  return character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
}

/** An object name as a relative path with `/`. Never leads upwards. Lengths are not checked. */
export function encodeName(name: string): string {
  return name.split("/").map(encodeSegment).join("/");
}

/** The object name of a relative path with `/`; `undefined` when it is no object's. */
export function decodePath(path: string): string | undefined {
  const segments = path.split("/").map(decodeSegment);
  if (segments.includes(undefined)) return undefined;
  const name = segments.join("/");
  return name !== "" && fitsName(name) ? name : undefined;
}

/** Whether a name is as long as an object's may be. */
export function fitsName(name: string): boolean {
  return Buffer.byteLength(name) <= maxNameBytes;
}

/** Whether a folder of this name is a bucket. */
export function isBucketName(bucket: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes("..");
}

/** The folder of a bucket; throws `PermanentError` (`bad-name`) for an illegal one. */
export function bucketPath(root: string, bucket: string): string {
  if (!isBucketName(bucket)) {
    throw badName(
      `bucket ${JSON.stringify(bucket)}`,
      "a bucket is 3 to 63 lower-case letters, digits, dashes, underscores and single dots, with a letter or digit at both ends",
    );
  }
  return join(root, bucket);
}

/** The file of an object; throws `PermanentError` (`bad-name`) for a name that is illegal or that a folder cannot hold. */
export function objectPath(root: string, bucket: string, name: string): string {
  const folder = bucketPath(root, bucket);
  const where = () => `object ${JSON.stringify(shorten(name))} in bucket ${bucket}`;
  if (name === "") throw badName(where(), "a name has at least one character");
  if (!name.isWellFormed()) throw badName(where(), "a name is valid Unicode, and this one has half a surrogate pair");
  if (!fitsName(name)) throw badName(where(), `a name has at most ${maxNameBytes} bytes of UTF-8`);
  const path = encodeName(name);
  if (path.split("/").some((segment) => Buffer.byteLength(segment) > maxSegmentBytes)) {
    throw badName(where(), `a folder holds at most ${maxSegmentBytes} bytes between two slashes; use shorter parts`);
  }
  return join(folder, path);
}

/** Splits `gs://bucket/name`; throws `PermanentError` (`bad-name`) for anything else. */
export function parseObjectUri(uri: string): { readonly bucket: string; readonly name: string } {
  const match = /^gs:\/\/([^/]+)\/(.+)$/s.exec(uri);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw badName(`object URI ${JSON.stringify(shorten(uri))}`, "write it as gs://bucket/name");
  }
  return { bucket: match[1], name: match[2] };
}

export function badName(what: string, remedy: string): PermanentError {
  return new PermanentError(`${what} has an illegal name: ${remedy}`, { code: "bad-name" });
}

function shorten(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}…`;
}
