/**
 * A resumable upload. The client opens the session; the blocks go to its URI as Google's documentation describes, because
 * the client's own upload stream can neither be aborted nor go on after a break in the middle of a body.
 */
import { text } from "node:stream/consumers";
import { z } from "zod";
import { messageOf, RetryableError } from "../core/errors.ts";
import { attempting } from "./storage-attempts.ts";
import type { Block } from "./storage-blocks.ts";
import { deadline, type Found, lookUp, metadataOf, objectIn, send, type StorageClient } from "./storage-client.ts";
import { failureOf, StorageResponseError, StorageTimeoutError } from "./storage-errors.ts";
import { settle, type Writing } from "./storage-settle.ts";

/** Where a session stands: done, or how many bytes it has. */
type State = { readonly object: Found } | { readonly offset: number };

/** Uploads `first` and then `rest`. The object is there once the last block is; whatever fails before leaves no trace. */
export async function uploadBlocks(writing: Writing, first: Block, rest: AsyncGenerator<Block>): Promise<Found> {
  const session = { uri: await openSession(writing) };
  const checksum = new writing.client.sdk.CRC32C();
  let isDone = false;
  try {
    let start = 0;
    for (let block: Block = first; ;) {
      checksum.update(block.bytes);
      const object = await sendBlock(writing, session, block, start, checksum.toString());
      if (object !== undefined) {
        isDone = true;
        return object;
      }
      start += block.bytes.length;
      const next = await rest.next();
      if (next.done === true) throw new Error("a body that ends without its last block");
      block = next.value;
    }
  } finally {
    if (!isDone) cancel(writing.client, session.uri);
  }
}

async function openSession(writing: Writing): Promise<string> {
  const { client, purpose, name, token, match, signal } = writing;
  const opened = await attempting<{ readonly uri: string } | Found>(
    client.options,
    purpose,
    async () => {
      const [uri] = await client.storage
        .bucket(purpose.bucket)
        .file(name)
        .createResumableUpload({
          metadata: metadataOf(token),
          preconditionOpts: { ...(match !== undefined && { ifGenerationMatch: match }) },
        });
      return { uri };
    },
    { ...(signal && { signal }), settle: (failure) => settle(writing, failure) },
  );
  if ("uri" in opened) return opened.uri;
  throw new RetryableError(`${purpose.uri} was written before its upload began; look again and decide anew`);
}

/** The finished object after the last block; `undefined` after any other. */
async function sendBlock(
  writing: Writing,
  session: { uri: string },
  { bytes, last }: Block,
  start: number,
  crc32c: string,
): Promise<Found | undefined> {
  const { client, purpose, name, token, signal } = writing;
  const { bucket, uri } = purpose;
  const end = start + bytes.length;
  const total = last ? String(end) : "*";
  let tried = 0;

  const request = async (range: string, body?: Uint8Array): Promise<State> => {
    const hash = last ? { "x-goog-hash": `crc32c=${crc32c}` } : undefined;
    const answer = await send(client, {
      method: "PUT",
      url: session.uri,
      headers: { "content-range": `bytes ${range}/${total}`, ...hash },
      body: body ?? new Uint8Array(),
      signal: deadline(client, signal),
    });
    const found = await text(answer.body);
    if (answer.status === 200 || answer.status === 201) return { object: objectIn(bucket, JSON.parse(found)) };
    if (answer.status !== 308) throw new StorageResponseError(answer.status, found);
    return { offset: rangeSchema.parse(answer.headers.get("range")) };
  };

  async function sendRest(): Promise<Found | undefined> {
    let state: State = tried++ === 0 ? { offset: start } : await request("*");
    while (!("object" in state) && (state.offset < end || last)) {
      const at: number = state.offset;
      if (at < start || at > end) throw broken(`it has ${at} bytes where ${start} were sent and confirmed`);
      state = at === end ? await request("*") : await request(`${at}-${end - 1}`, bytes.subarray(at - start));
      if ("offset" in state && state.offset <= at)
        throw new StorageTimeoutError(`the upload did not get past byte ${at}`);
    }
    return "object" in state ? state.object : undefined;
  }

  /** A session that ended: by success, which the object's token shows, or for good. */
  async function afterSession(reason: string): Promise<Found> {
    const there = await lookUp(client, bucket, name);
    if (there?.token === token) return there;
    if (start > 0) throw broken(reason);
    // Nothing but this block was sent, so that a new session can begin with it.
    session.uri = await openSession(writing);
    tried = 0;
    throw new StorageTimeoutError(`the upload session ended: ${reason}`);
  }

  const broken = (reason: string) =>
    new RetryableError(`the upload of ${uri} broke off after ${start} bytes: ${reason}; write it again`);

  return await attempting<Found | undefined>(
    client.options,
    purpose,
    async () => {
      try {
        return await sendRest();
      } catch (error) {
        const { status } = failureOf(error);
        if (status === 404 || status === 410) return await afterSession(messageOf(error));
        throw error;
      }
    },
    { ...(signal && { signal }), settle: (failure) => settle(writing, failure) },
  );
}

/** `bytes=0-N`, of which nothing is sent while there is no byte. */
const rangeSchema = z
  .string()
  .regex(/^bytes=0-\d+$/)
  .transform((range) => Number(range.slice("bytes=0-".length)) + 1)
  .nullable()
  .transform((offset) => offset ?? 0);

/** Frees what the session holds; it would end by itself after a week. */
function cancel(client: StorageClient, uri: string): void {
  send(client, { method: "DELETE", url: uri, signal: AbortSignal.timeout(5000) })
    .then(({ body }) => void body.resume())
    .catch(() => undefined);
}
