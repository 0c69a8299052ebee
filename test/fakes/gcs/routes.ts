/** The paths of the JSON API. */
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { ApiError, type Call, jsonOf, jsonReply, type Reply } from "../http-fake.ts";
import { listObjects, select } from "./listing.ts";
import { checkObjectName } from "./names.ts";
import type { Notifier } from "./notifications.ts";
import { composeObjects, copyObject } from "./copying.ts";
import type { ObjectFiles, StoredObject } from "./object-files.ts";
import { check, preconditionsOf } from "./preconditions.ts";
import { bucketResource, etagOf, notificationResource, objectResource } from "./resources.ts";
import { attributesOf, type UploadSessions } from "./uploads.ts";

interface Parts {
  readonly store: ObjectFiles;
  readonly sessions: UploadSessions;
  readonly notifications: Notifier;
}

type Handler = (call: Call, segments: readonly string[]) => Promise<Reply> | Reply;

export function gcsRoutes({ store, sessions, notifications }: Parts): (call: Call) => Promise<Reply> {
  const baseOf = (call: Call) => `http://${call.headers.host ?? "127.0.0.1"}`;
  const objectReply = (call: Call, object: StoredObject) => jsonReply(200, objectResource(object, baseOf(call)));

  /** The object that a request names, with its generation and preconditions. */
  function named(call: Call, bucket: string, name: string, notModified?: number): StoredObject {
    const object = store.get(bucket, name, call.query.get("generation") ?? undefined);
    check(preconditionsOf(call.query), object, notModified);
    return object;
  }

  const routes: readonly (readonly [string, string, Handler])[] = [
    [
      "GET",
      "b",
      (call) => {
        if (!call.query.has("project")) throw new ApiError(400, "required", "Required parameter: project");
        const items = [...store.buckets.values()].map((bucket) => bucketResource(bucket, baseOf(call)));
        return jsonReply(200, { kind: "storage#buckets", items });
      },
    ],
    [
      "POST",
      "b",
      async (call) => {
        if (!call.query.has("project")) throw new ApiError(400, "required", "Required parameter: project");
        const { name, location } = await jsonOf(call);
        if (typeof name !== "string") throw new ApiError(400, "required", "Required: name");
        const bucket = store.createBucket(name, typeof location === "string" ? location : "US");
        return jsonReply(200, bucketResource(bucket, baseOf(call)));
      },
    ],
    ["GET", "b/*", (call, [bucket = ""]) => jsonReply(200, bucketResource(store.bucket(bucket), baseOf(call)))],
    [
      "DELETE",
      "b/*",
      (_call, [bucket = ""]) => {
        store.deleteBucket(bucket);
        return { status: 204 };
      },
    ],
    [
      "GET",
      "b/*/storageLayout",
      (_call, [bucket = ""]) => {
        const { name, location } = store.bucket(bucket);
        const locationType = location.includes("-") ? "region" : "multi-region";
        return jsonReply(200, {
          kind: "storage#storageLayout",
          bucket: name,
          location: location.toUpperCase(),
          locationType,
        });
      },
    ],
    ["GET", "b/*/o", (call, [bucket = ""]) => jsonReply(200, listObjects(store, bucket, call.query, baseOf(call)))],
    [
      "POST",
      "b/*/o",
      (call, [bucket = ""]) => {
        if (call.query.has("upload_id")) return sessions.resume(call, baseOf(call));
        return sessions.insert(call, bucket, baseOf(call));
      },
    ],
    ["PUT", "b/*/o", (call) => sessions.resume(call, baseOf(call))],
    ["DELETE", "b/*/o", (call) => sessions.resume(call, baseOf(call))],
    [
      "GET",
      "b/*/o/*",
      (call, [bucket = "", name = ""]) => {
        const object = named(call, bucket, name, 304);
        return call.query.get("alt") === "media" ? media(call, object) : objectReply(call, object);
      },
    ],
    [
      "DELETE",
      "b/*/o/*",
      (call, [bucket = "", name = ""]) => {
        store.remove(named(call, bucket, name));
        return { status: 204 };
      },
    ],
    [
      "PATCH",
      "b/*/o/*",
      async (call, [bucket = "", name = ""]) => {
        const body = await jsonOf(call);
        const object = named(call, bucket, name);
        const given = Object.entries(attributesOf(body)).filter(([key]) => key in body);
        return objectReply(call, store.update(object, { ...object.attributes, ...Object.fromEntries(given) }));
      },
    ],
    [
      "POST",
      "b/*/o/*/compose",
      async (call, [bucket = "", name = ""]) => objectReply(call, await composeObjects(store, call, bucket, name)),
    ],
    [
      "POST",
      "b/*/o/*/copyTo/b/*/o/*",
      async (call, segments) => objectReply(call, await copyObject(store, call, segments)),
    ],
    [
      "POST",
      "b/*/o/*/rewriteTo/b/*/o/*",
      async (call, segments) => {
        const object = await copyObject(store, call, segments);
        const size = String(object.size);
        const resource = objectResource(object, baseOf(call));
        const progress = { totalBytesRewritten: size, objectSize: size, done: true };
        return jsonReply(200, { kind: "storage#rewriteResponse", ...progress, resource });
      },
    ],
    [
      "GET",
      "b/*/notificationConfigs",
      (call, [bucket = ""]) => {
        const { name } = store.bucket(bucket);
        const items = notifications.list(name).map((config) => notificationResource(config, baseOf(call)));
        return jsonReply(200, { kind: "storage#notifications", ...(items.length > 0 && { items }) });
      },
    ],
    [
      "POST",
      "b/*/notificationConfigs",
      async (call, [bucket = ""]) => {
        const { name } = store.bucket(bucket);
        return jsonReply(200, notificationResource(notifications.create(name, await jsonOf(call)), baseOf(call)));
      },
    ],
    [
      "GET",
      "b/*/notificationConfigs/*",
      (call, [bucket = "", id = ""]) =>
        jsonReply(200, notificationResource(notifications.get(store.bucket(bucket).name, id), baseOf(call))),
    ],
    [
      "DELETE",
      "b/*/notificationConfigs/*",
      (_call, [bucket = "", id = ""]) => {
        notifications.delete(store.bucket(bucket).name, id);
        return { status: 204 };
      },
    ],
    [
      "GET",
      "projects/*/serviceAccount",
      (_call, [project = ""]) =>
        jsonReply(200, {
          kind: "storage#serviceAccount",
          email_address: `service-123456789012@gs-project-accounts.iam.gserviceaccount.com`,
          projectId: project,
        }),
    ],
  ];

  return async (call) => {
    const match = /^(?:\/(upload|resumable\/upload|download))?\/storage\/v1\/(.+)$/.exec(call.path);
    const [, kind, path = ""] = match ?? [];
    const isUpload = kind !== undefined && kind !== "download";
    for (const [method, pattern, handler] of routes) {
      const segments = method === call.method ? fit(pattern, path) : undefined;
      if (segments === undefined) continue;
      if (isUpload !== (pattern === "b/*/o" && method !== "GET")) break;
      return projected(call, await handler(call, segments));
    }
    // Inserting below the plain path is the one mistake with an answer of its own.
    if (call.method === "POST" && fit("b/*/o", path))
      return await sessions.insert({ ...call, query: new URLSearchParams() }, "", "");
    throw new ApiError(404, "notFound", "Not Found");
  };
}

/** The decoded segments that the pattern's stars stand for. */
function fit(pattern: string, path: string): string[] | undefined {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return undefined;
  const segments: string[] = [];
  for (const [index, part] of wanted.entries()) {
    const text = given[index] ?? "";
    if (part === "*") segments.push(decoded(text));
    else if (part !== text) return undefined;
  }
  return segments;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiError(400, "invalid", `Malformed path segment ${segment}`);
  }
}

/** Leaves out what the `fields` parameter does not name. */
function projected(call: Call, reply: Reply): Reply {
  const fields = call.query.get("fields");
  if (fields === null || fields === "" || typeof reply.body !== "string" || reply.status !== 200) return reply;
  if (!reply.headers?.["content-type"]?.startsWith("application/json")) return reply;
  return { ...reply, body: JSON.stringify(select(JSON.parse(reply.body), fields)) };
}

async function media(call: Call, object: StoredObject): Promise<Reply> {
  checkObjectName(object.name);
  const { size, attributes } = object;
  // Opened before anybody can replace the object, so that what was begun is read to its end.
  const handle = await open(object.path);
  const isGzip = attributes.contentEncoding === "gzip";
  const asStored = !isGzip || /\bgzip\b/.test(call.headers["accept-encoding"] ?? "");
  const headers = {
    "content-type": attributes.contentType ?? "application/octet-stream",
    etag: etagOf(object),
    "x-goog-generation": object.generation,
    "x-goog-metageneration": String(object.metageneration),
    "x-goog-hash": `crc32c=${object.crc32c}${object.md5Hash === undefined ? "" : `,md5=${object.md5Hash}`}`,
    "x-goog-storage-class": "STANDARD",
    "x-goog-stored-content-encoding": attributes.contentEncoding ?? "identity",
    "x-goog-stored-content-length": String(size),
    "last-modified": new Date(object.updated).toUTCString(),
    ...(attributes.contentEncoding !== undefined && asStored && { "content-encoding": attributes.contentEncoding }),
    ...(attributes.cacheControl !== undefined && { "cache-control": attributes.cacheControl }),
  };
  if (!asStored) {
    const warning = { warning: "214 UploadServer gunzipped" };
    return { status: 200, headers: { ...headers, ...warning }, body: handle.createReadStream().pipe(createGunzip()) };
  }
  const range = rangeOf(call.headers.range, size);
  if (range === "unsatisfiable") {
    await handle.close();
    throw new ApiError(416, "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.", {
      "content-range": `bytes */${size}`,
    });
  }
  const [start, end] = range ?? [0, size - 1];
  const length = { "content-length": String(end - start + 1) };
  const partial = range === undefined ? {} : { "content-range": `bytes ${start}-${end}/${size}` };
  if (end < start) {
    await handle.close();
    return { status: 200, headers: { ...headers, ...length } };
  }
  return {
    status: range === undefined ? 200 : 206,
    headers: { ...headers, ...length, ...partial },
    body: handle.createReadStream({ start, end }),
  };
}

/** First and last byte of a `Range` header; one that makes no sense is ignored, as HTTP asks for. */
function rangeOf(value: string | undefined, size: number): readonly [number, number] | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(value ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (match === null || (from === "" && to === "")) return undefined;
  if (from === "") return Number(to) === 0 || size === 0 ? "unsatisfiable" : [Math.max(0, size - Number(to)), size - 1];
  const start = Number(from);
  const end = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < start) return undefined;
  return start >= size ? "unsatisfiable" : [start, end];
}
