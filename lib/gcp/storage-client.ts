/** The client, loaded when it is first used, and what the adapter reads from its answers. */
import type { Readable } from "node:stream";
import type * as StorageSdk from "@google-cloud/storage";
import { z } from "zod";
import type { ObjectInfo } from "../ports/object-store.ts";
import { attempting, type AttemptOptions } from "./storage-attempts.ts";
import { failureOf } from "./storage-errors.ts";

export interface StorageClient {
  readonly sdk: Pick<typeof StorageSdk, "CRC32C">;
  readonly storage: StorageSdk.Storage;
  readonly options: AttemptOptions;
}

export interface StorageAddress {
  readonly projectId?: string;
  readonly apiEndpoint?: string;
}

/** Application default credentials, and nothing else; another endpoint than Google's is spoken to without any. */
export async function openStorage(address: StorageAddress, options: AttemptOptions): Promise<StorageClient> {
  const [sdk, { PassThroughClient }] = await Promise.all([import("./sdk/storage.ts"), import("./sdk/auth.ts")]);
  const authClient = address.apiEndpoint === undefined ? {} : { authClient: new PassThroughClient() };
  // The client cannot be told to give up a request, and shares the state of its retries between all of them.
  const storage = new sdk.Storage({ ...address, ...authClient, retryOptions: { autoRetry: false } });
  return { sdk, storage, options };
}

export interface RawRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
}

/**
 * A request with the client's credentials, and past its streams: those cannot be aborted, hold every download twice, and
 * warn of a leak at each. The body of the answer is as it was sent, encoded or not.
 */
export async function send({ storage }: StorageClient, request: RawRequest): Promise<RawAnswer> {
  const { method, url, headers = {}, body, signal } = request;
  // The transport hands what it does not know on to node-fetch, which would otherwise decode.
  const untyped = { compress: false };
  const response = await storage.authClient.request<Readable>({
    ...untyped,
    method,
    url,
    headers: { ...headers },
    ...(body !== undefined && { data: body }),
    signal,
    responseType: "stream",
    retry: false,
    // As an error, this one makes the client renew credentials that have just expired, and ask again.
    validateStatus: (status) => status !== 401,
  });
  return { status: response.status, headers: response.headers, body: response.data };
}

/** Aborts with the signal, or when a request has taken too long: what was given up is not to take effect later. */
export function deadline({ options }: StorageClient, signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readable;
}

/** The metadata key under which a write leaves its token, so that it can tell its own object from others'. */
const TOKEN_KEY = "sluice-write";

/** What a write says about its object. */
export function metadataOf(token: string) {
  return { contentType: "application/octet-stream", metadata: { [TOKEN_KEY]: token } };
}

const int64 = z.union([z.string().regex(/^\d{1,19}$/), z.int().transform(String)]);

const objectSchema = z.object({
  name: z.string(),
  generation: int64,
  size: int64.transform(Number),
  updated: z.iso.datetime({ offset: true }),
  metadata: z.object({ [TOKEN_KEY]: z.string().optional() }).optional(),
});

const pageSchema = z.object({ items: z.array(objectSchema).default([]), nextPageToken: z.string().optional() });

const FIELDS = "name,generation,size,updated";

export interface Found extends ObjectInfo {
  readonly token: string | undefined;
}

export function objectIn(bucket: string, resource: unknown): Found {
  const { name, generation, size, updated, metadata } = objectSchema.parse(resource);
  return { bucket, name, generation, size, updated: Date.parse(updated), token: metadata?.[TOKEN_KEY] };
}

export function infoOf({ bucket, name, generation, size, updated }: ObjectInfo): ObjectInfo {
  return { bucket, name, generation, size, updated };
}

/** One try; `undefined` where there is no object, or no bucket. */
export async function lookUp({ storage }: StorageClient, bucket: string, name: string): Promise<Found | undefined> {
  try {
    const [resource]: readonly unknown[] = await storage.bucket(bucket).request({
      uri: `/o/${encodeURIComponent(name)}`,
      qs: { fields: `${FIELDS},metadata` },
    });
    return objectIn(bucket, resource);
  } catch (error) {
    if (failureOf(error).status === 404) return undefined;
    throw error;
  }
}

export async function statObject(client: StorageClient, bucket: string, name: string): Promise<Found | undefined> {
  const purpose = { bucket, uri: `gs://${bucket}/${name}`, verb: "read" } as const;
  return await attempting(client.options, purpose, () => lookUp(client, bucket, name));
}

/** One page; `undefined` where there is no bucket. */
export async function listPage(
  client: StorageClient,
  bucket: string,
  query: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly objects: readonly ObjectInfo[]; readonly next: string | undefined } | undefined> {
  const purpose = { bucket, uri: `gs://${bucket}/${query["prefix"] ?? ""}`, verb: "list" } as const;
  return await attempting(client.options, purpose, async () => {
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));
    try {
      const [body]: readonly unknown[] = await client.storage.bucket(bucket).request({
        uri: "/o",
        qs: { ...given, fields: `items(${FIELDS}),nextPageToken` },
      });
      const { items, nextPageToken } = pageSchema.parse(body);
      const objects = items.map(({ name, generation, size, updated }) => {
        return { bucket, name, generation, size, updated: Date.parse(updated) };
      });
      return { objects, next: nextPageToken };
    } catch (error) {
      if (failureOf(error).status === 404) return undefined;
      throw error;
    }
  });
}

/** Deletes that generation. After a lost answer, an object that is gone counts as deleted here: its generation never comes back. */
export async function deleteObject(
  client: StorageClient,
  bucket: string,
  name: string,
  generation: string,
): Promise<"deleted" | "changed" | "missing"> {
  const purpose = { bucket, uri: `gs://${bucket}/${name}`, verb: "delete" } as const;
  return await attempting<"deleted" | "changed" | "missing">(
    client.options,
    purpose,
    async () => {
      await client.storage.bucket(bucket).request({
        method: "DELETE",
        uri: `/o/${encodeURIComponent(name)}`,
        qs: { ifGenerationMatch: generation },
      });
      return "deleted";
    },
    {
      async settle({ status }, { unclear }) {
        if (status !== 404 && status !== 412) return undefined;
        const isThere = status === 412 && (await statObject(client, bucket, name)) !== undefined;
        if (isThere) return "changed";
        return unclear ? "deleted" : "missing";
      },
    },
  );
}
