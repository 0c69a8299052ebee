/** The three ways of uploading: `media`, `multipart` and `resumable`. */
import { randomUUID } from "node:crypto";
import { createWriteStream, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ApiError, type Call, jsonOf, jsonReply, parseJson, type Reply } from "../http-fake.ts";
import { textValues } from "./notifications.ts";
import { checkObjectName } from "./names.ts";
import type { Attributes, NewObject, ObjectFiles, StoredObject } from "./object-files.ts";
import { check, preconditionsOf } from "./preconditions.ts";
import { objectResource } from "./resources.ts";

type Json = Readonly<Record<string, unknown>>;

/** All but the last part of a resumable upload come in multiples of this. */
const GRANULE = 256 * 1024;

interface Session {
  readonly file: string;
  readonly object: NewObject;
  /** The size that was promised at the start. */
  readonly length: number | undefined;
  finished: StoredObject | undefined;
  /** A session that is over: 410 when it died, 499 when it was cancelled. */
  over: number | undefined;
  /** Requests of one session take turns. */
  turn: Promise<unknown>;
}

export interface UploadSessions {
  insert(call: Call, bucket: string, base: string): Promise<Reply>;
  resume(call: Call, base: string): Promise<Reply>;
  kill(): void;
  open(): number;
}

export function uploadSessions(store: ObjectFiles): UploadSessions {
  const sessions = new Map<string, Session>();

  function started(call: Call, bucket: string, body: Json): NewObject {
    const name = call.query.get("name") ?? text(body["name"]);
    if (name === undefined) throw new ApiError(400, "required", "Required");
    store.bucket(bucket);
    checkObjectName(name);
    const preconditions = preconditionsOf(call.query);
    check(preconditions, store.find(bucket, name));
    const expected = { crc32c: text(body["crc32c"]), md5Hash: text(body["md5Hash"]) };
    return { bucket, name, preconditions, expected, attributes: attributesOf(body) };
  }

  async function simple(call: Call, bucket: string): Promise<StoredObject> {
    const object = started(call, bucket, {});
    const file = await received(store, call.body);
    const contentType = call.headers["content-type"];
    const expected = hashesOf(call) ?? object.expected;
    return await store.commit(file, {
      ...object,
      expected,
      attributes: contentType === undefined ? {} : { contentType },
    });
  }

  async function multipart(call: Call, bucket: string): Promise<StoredObject> {
    // gcloud puts single quotes around it.
    const quoted = /^multipart\/related;.*boundary=("[^"]+"|'[^']+'|[^;]+)/i.exec(
      call.headers["content-type"] ?? "",
    )?.[1];
    const boundary = quoted?.replace(/^(["'])(.*)\1$/, "$2");
    if (boundary === undefined) {
      throw new ApiError(400, "badContent", "Multipart content type must be multipart/related with a boundary.");
    }
    const file = store.temporary();
    try {
      const { metadata, contentType } = await readMultipart(call.body, boundary, file);
      const object = started(call, bucket, parseJson(metadata));
      const attributes = { ...object.attributes, contentType: object.attributes.contentType ?? contentType };
      return await store.commit(file, { ...object, attributes, expected: hashesOf(call) ?? object.expected });
    } finally {
      rmSync(file, { force: true });
    }
  }

  async function resumable(call: Call, bucket: string, base: string): Promise<Reply> {
    const object = started(call, bucket, await jsonOf(call));
    const contentType = header(call, "x-upload-content-type");
    const length = header(call, "x-upload-content-length");
    const id = randomUUID();
    const file = store.temporary();
    writeFileSync(file, "");
    const attributes = contentType === undefined ? object.attributes : { ...object.attributes, contentType };
    sessions.set(id, {
      file,
      object: { ...object, attributes },
      length: length === undefined ? undefined : Number(length),
      finished: undefined,
      over: undefined,
      turn: Promise.resolve(),
    });
    const query = new URLSearchParams({ uploadType: "resumable", name: object.name, upload_id: id });
    const location = `${base}/upload/storage/v1/b/${bucket}/o?${query.toString()}`;
    return { status: 200, headers: { location, "x-guploader-uploadid": id, "content-type": "text/plain" } };
  }

  /** What the session has so far, in the answer that asks for more. */
  function incomplete(session: Session): Reply {
    const { size } = statSync(session.file);
    return { status: 308, headers: size === 0 ? {} : { range: `bytes=0-${size - 1}` } };
  }

  async function finish(session: Session, call: Call, base: string): Promise<Reply> {
    const expected = hashesOf(call) ?? session.object.expected;
    try {
      session.finished = await store.commit(session.file, { ...session.object, expected });
    } catch (error) {
      session.over = 410;
      throw error;
    }
    return jsonReply(200, objectResource(session.finished, base));
  }

  async function take(session: Session, call: Call, base: string): Promise<Reply> {
    if (session.over !== undefined) throw sessionOver(session.over);
    if (call.method === "DELETE") {
      if (session.finished === undefined) rmSync(session.file, { force: true });
      session.over = 499;
      return { status: 499 };
    }
    if (session.finished !== undefined) return jsonReply(200, objectResource(session.finished, base));

    const range = rangeOf(call.headers["content-range"]);
    const { size: had } = statSync(session.file);
    const promised = range.total ?? session.length;
    if (range.first === undefined) return promised === had ? await finish(session, call, base) : incomplete(session);
    if (range.first > had) {
      const message = `Invalid request.  According to the Content-Range header, the upload offset is ${range.first} byte(s), which exceeds already uploaded size of ${had} byte(s).`;
      throw new ApiError(400, "badRequest", message);
    }
    const whole = await append(session.file, call.body, had - range.first);
    const { size } = statSync(session.file);
    const isLast = range.last === undefined || (promised !== undefined && range.last + 1 === promised);
    if (!whole) {
      // What came in full granules is kept, the rest of them was in a buffer that is lost.
      truncateSync(session.file, Math.max(had, size - (size % GRANULE)));
      throw new Error("the upload broke off");
    }
    const problem = misfit(range, promised, had, size);
    if (problem !== undefined) {
      truncateSync(session.file, had);
      throw new ApiError(400, "badRequest", `Invalid request.  ${problem}`);
    }
    if (isLast) return await finish(session, call, base);
    truncateSync(session.file, size - (size % GRANULE));
    return incomplete(session);
  }

  return {
    async insert(call, bucket, base) {
      const uploadType = call.query.get("uploadType");
      if (uploadType === "media") return jsonReply(200, objectResource(await simple(call, bucket), base));
      if (uploadType === "multipart") return jsonReply(200, objectResource(await multipart(call, bucket), base));
      if (uploadType === "resumable") return await resumable(call, bucket, base);
      throw new ApiError(
        400,
        "wrongUrlForUpload",
        "Upload requests must include an uploadType URL parameter and a URL path beginning with /upload/",
      );
    },
    async resume(call, base) {
      const session = sessions.get(call.query.get("upload_id") ?? "");
      if (session === undefined) throw new ApiError(404, "notFound", "Upload session not found.");
      const turn = session.turn.then(() => take(session, call, base));
      session.turn = turn.catch(() => undefined);
      return await turn;
    },
    kill() {
      for (const session of sessions.values()) {
        if (session.finished !== undefined || session.over !== undefined) continue;
        session.over = 410;
        rmSync(session.file, { force: true });
      }
    },
    open: () =>
      [...sessions.values()].filter(({ finished, over }) => finished === undefined && over === undefined).length,
  };
}

function sessionOver(status: number): ApiError {
  return status === 499
    ? new ApiError(499, "clientClosedRequest", "The upload was cancelled.")
    : new ApiError(410, "gone", "The requested upload session is no longer available.");
}

interface ContentRange {
  /** Absent when only the state is asked for. */
  readonly first: number | undefined;
  /** Absent when the body goes on to the object's end. */
  readonly last: number | undefined;
  readonly total: number | undefined;
}

function rangeOf(value: string | undefined): ContentRange {
  if (value === undefined) return { first: 0, last: undefined, total: undefined };
  const match = /^bytes (?:\*|(\d+)-(\d+|\*))\/(\d+|\*)$/.exec(value.trim());
  const number = (part: string | undefined) => (part === undefined || part === "*" ? undefined : Number(part));
  const range = { first: number(match?.[1]), last: number(match?.[2]), total: number(match?.[3]) };
  if (match === null || (range.last !== undefined && range.last < (range.first ?? 0))) {
    throw new ApiError(400, "badRequest", `Failed to parse Content-Range header: ${value}`);
  }
  return range;
}

/** What is wrong with the bytes that came, in words. */
function misfit(range: ContentRange, promised: number | undefined, had: number, size: number): string | undefined {
  const { last } = range;
  if (last !== undefined && size !== Math.max(had, last + 1))
    return "The body's length does not fit the Content-Range header.";
  if (promised !== undefined && size > promised) return `The object has more than the promised ${promised} byte(s).`;
  if (last === undefined && promised !== undefined && size !== promised) {
    return `The object has ${size} byte(s) and not the promised ${promised}.`;
  }
  const isLast = last === undefined || last + 1 === promised;
  if (!isLast && size - had < GRANULE) {
    return `The number of bytes uploaded is required to be equal or greater than ${GRANULE}, except for the final request (it's recommended to be the exact multiple of ${GRANULE}).  The received request contained ${size - had} bytes, which does not meet this requirement.`;
  }
  return undefined;
}

/** Appends a body without its first `skip` bytes; false when it broke off. */
async function append(file: string, body: Readable, skip: number): Promise<boolean> {
  const output = createWriteStream(file, { flags: "a" });
  let left = skip;
  try {
    await pipeline(
      body,
      async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          const dropped = Math.min(left, chunk.length);
          left -= dropped;
          if (dropped < chunk.length) yield chunk.subarray(dropped);
        }
      },
      output,
    );
    return true;
  } catch {
    // What was written already must be in the file before its size is looked at.
    if (!output.closed) await new Promise<void>((resolve) => output.once("close", () => resolve()));
    return false;
  }
}

async function received(store: ObjectFiles, body: Readable): Promise<string> {
  const file = store.temporary();
  try {
    await pipeline(body, createWriteStream(file));
    return file;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}

/** The first part as text; the second one goes to the file as it comes. Lines end as the first one does: gcloud's with a bare line feed. */
async function readMultipart(body: Readable, boundary: string, file: string) {
  const bad = (what: string) => new ApiError(400, "badContent", `Malformed multipart body: ${what}.`);
  let head = Buffer.alloc(0);
  let found: { readonly metadata: string; readonly contentType: string; readonly end: Buffer } | undefined;
  let tail = Buffer.alloc(0);

  /** The start of the second part's content, once its headers are there. */
  function readHead(): Buffer | undefined {
    if (head.length > 1024 * 1024) throw bad("the metadata is too long");
    const line = head.indexOf("\n");
    if (line < 0) return undefined;
    const lineEnd = head[line - 1] === 13 ? "\r\n" : "\n";
    if (head.subarray(0, line).toString().trimEnd() !== `--${boundary}`)
      throw bad("it does not start with its boundary");
    const delimiter = `${lineEnd}--${boundary}`;
    const firstBlank = head.indexOf(lineEnd + lineEnd, line - lineEnd.length);
    const second = firstBlank < 0 ? -1 : head.indexOf(delimiter, firstBlank + lineEnd.length);
    const secondBlank = second < 0 ? -1 : head.indexOf(lineEnd + lineEnd, second);
    if (secondBlank < 0) return undefined;
    const partHeaders = head.subarray(second, secondBlank).toString();
    const contentType = /^content-type:[ \t]*(.+?)[ \t\r]*$/im.exec(partHeaders)?.[1] ?? "application/octet-stream";
    const metadata = head.subarray(firstBlank + 2 * lineEnd.length, second).toString();
    found = { metadata, contentType, end: Buffer.from(`${delimiter}--`) };
    return head.subarray(secondBlank + 2 * lineEnd.length);
  }

  await pipeline(
    body,
    async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        let content: Buffer = chunk;
        if (found === undefined) {
          head = Buffer.concat([head, chunk]);
          const rest = readHead();
          if (rest === undefined) continue;
          content = rest;
        }
        tail = Buffer.concat([tail, content]);
        // The end may come in two chunks, and a line break may follow it.
        const kept = (found?.end.length ?? 0) + 2;
        if (tail.length <= kept) continue;
        yield tail.subarray(0, tail.length - kept);
        tail = Buffer.from(tail.subarray(tail.length - kept));
      }
      if (found === undefined) throw bad("there are fewer than two parts");
      const end = tail.lastIndexOf(found.end);
      if (end < 0) throw bad("the closing boundary is missing");
      yield tail.subarray(0, end);
    },
    createWriteStream(file),
  );
  if (found === undefined) throw bad("there are fewer than two parts");
  return found;
}

export function attributesOf(body: Json): Attributes {
  const metadata = body["metadata"];
  return {
    contentType: text(body["contentType"]),
    contentEncoding: text(body["contentEncoding"]),
    contentDisposition: text(body["contentDisposition"]),
    contentLanguage: text(body["contentLanguage"]),
    cacheControl: text(body["cacheControl"]),
    metadata: metadata === undefined || metadata === null ? undefined : textValues(metadata),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function header(call: Call, name: string): string | undefined {
  const value = call.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The checksums of an `X-Goog-Hash` header. */
function hashesOf(call: Call): NewObject["expected"] | undefined {
  const value = header(call, "x-goog-hash");
  if (value === undefined) return undefined;
  const find = (kind: string) => new RegExp(`(?:^|,)\\s*${kind}=([^,\\s]+)`).exec(value)?.[1];
  return { crc32c: find("crc32c"), md5Hash: find("md5") };
}
