/** Objects made of other objects: copy, rewrite, compose. */
import { createReadStream, createWriteStream, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { ApiError, type Call, jsonOf } from "../http-fake.ts";
import type { Attributes, ObjectFiles, StoredObject } from "./object-files.ts";
import { check, preconditionsOf } from "./preconditions.ts";
import { attributesOf } from "./uploads.ts";

export async function copyObject(
  store: ObjectFiles,
  call: Call,
  [fromBucket = "", fromName = "", bucket = "", name = ""]: readonly string[],
): Promise<StoredObject> {
  const body = await jsonOf(call);
  const source = store.get(fromBucket, fromName, call.query.get("sourceGeneration") ?? undefined);
  check(preconditionsOf(call.query, "Source"), source);
  const attributes: Attributes = Object.keys(body).length === 0 ? source.attributes : attributesOf(body);
  return await store.copy(source, {
    bucket,
    name,
    attributes,
    preconditions: preconditionsOf(call.query),
    expected: {},
  });
}

export async function composeObjects(
  store: ObjectFiles,
  call: Call,
  bucket: string,
  name: string,
): Promise<StoredObject> {
  const { sourceObjects, destination } = await jsonOf(call);
  if (!Array.isArray(sourceObjects) || sourceObjects.length === 0) {
    throw new ApiError(400, "required", "You must provide at least one source component.");
  }
  if (sourceObjects.length > 32) {
    const message = `The number of source components provided (${sourceObjects.length}) exceeds the maximum (32)`;
    throw new ApiError(400, "invalid", message);
  }
  const sources = z
    .array(z.object({ name: z.string(), generation: z.coerce.string().optional() }))
    .parse(sourceObjects)
    .map((source) => store.get(bucket, source.name, source.generation));
  const file = store.temporary();
  try {
    for (const source of sources)
      await pipeline(createReadStream(source.path), createWriteStream(file, { flags: "a" }));
    const attributes = attributesOf(z.record(z.string(), z.unknown()).parse(destination ?? {}));
    const object = { bucket, name, attributes, preconditions: preconditionsOf(call.query), expected: {} };
    return await store.commit(
      file,
      object,
      sources.reduce((sum, source) => sum + (source.componentCount ?? 1), 0),
    );
  } finally {
    rmSync(file, { force: true });
  }
}
