/**
 * Writing an object. A body that fits into one block goes up in one request; a larger one through a resumable session,
 * block by block, so that a block is all that is ever held.
 *
 * Every write leaves a token with its object. An answer that was lost is thus no riddle: whoever finds the token knows that
 * the write took effect, and a precondition that fails only because of that is none that failed.
 */
import { text } from "node:stream/consumers";
import type { ObjectInfo } from "../ports/object-store.ts";
import { attempting } from "./storage-attempts.ts";
import { blocksOf } from "./storage-blocks.ts";
import {
  deadline,
  type Found,
  infoOf,
  lookUp,
  metadataOf,
  objectIn,
  send,
  type StorageClient,
} from "./storage-client.ts";
import { StorageResponseError } from "./storage-errors.ts";
import { uploadBlocks } from "./storage-session.ts";
import { settle, type Writing } from "./storage-settle.ts";

export interface WriteRequest {
  readonly bucket: string;
  readonly name: string;
  readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly ifGeneration: string | null | undefined;
  readonly signal: AbortSignal | undefined;
  readonly blockBytes: number;
}

export async function writeObject(client: StorageClient, request: WriteRequest): Promise<ObjectInfo> {
  const { bucket, name, ifGeneration, signal } = request;
  const purpose = { bucket, uri: `gs://${bucket}/${name}`, verb: "write" } as const;
  // Generation 0 is an object that is not there.
  const match = ifGeneration === null ? "0" : ifGeneration;
  const writing: Writing = { client, purpose, name, token: client.options.random.id(), match, signal };
  const blocks = blocksOf(request.body, request.blockBytes, signal);
  try {
    const first = await blocks.next();
    // There is always one, and it may be empty.
    if (first.done === true) throw new Error("a body without a block");
    const object = first.value.last
      ? await insert(writing, first.value.bytes)
      : await uploadBlocks(writing, first.value, blocks);
    return infoOf(object);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await blocks.return(undefined);
  }
}

/** One request, with the checksum in it: what arrives damaged is refused, and not stored. */
async function insert(writing: Writing, bytes: Buffer): Promise<Found> {
  const { client, purpose, name, token, signal } = writing;
  const checksum = new client.sdk.CRC32C();
  checksum.update(bytes);
  const metadata = { name, ...metadataOf(token), crc32c: checksum.toString() };
  // The boundary is as unlikely to be in the content as the token is to come twice.
  const boundary = `sluice-${token}`;
  const body = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(metadata)}\r\n`,
    ),
    Buffer.from(`--${boundary}\r\ncontent-type: ${metadata.contentType}\r\n\r\n`),
    bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return await attempting(
    client.options,
    purpose,
    async ({ unclear }) => {
      if (writing.match !== undefined || !unclear) return await post(writing, body, boundary, writing.match);
      // Not to write it twice, another try over whatever is there stands on what that is now.
      const there = await lookUp(client, purpose.bucket, name);
      return there?.token === token ? there : await post(writing, body, boundary, there?.generation ?? "0");
    },
    { ...(signal && { signal }), settle: (failure) => settle(writing, failure) },
  );
}

async function post(writing: Writing, body: Buffer, boundary: string, match: string | undefined): Promise<Found> {
  const { client, purpose, signal } = writing;
  const query = new URLSearchParams({
    uploadType: "multipart",
    ...(match !== undefined && { ifGenerationMatch: match }),
  });
  const answer = await send(client, {
    method: "POST",
    url: `${client.storage.apiEndpoint}/upload/storage/v1/b/${purpose.bucket}/o?${query.toString()}`,
    headers: { "content-type": `multipart/related; boundary=${boundary}` },
    body,
    signal: deadline(client, signal),
  });
  const found = await text(answer.body);
  if (answer.status === 200) return objectIn(purpose.bucket, JSON.parse(found));
  // Others wrote in between: what is to be written over any object is then written over theirs.
  const overAny = answer.status === 412 && writing.match === undefined;
  throw new StorageResponseError(overAny ? 503 : answer.status, found);
}
