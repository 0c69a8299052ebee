/** Reading an object: a download that breaks off goes on where it was, at the same generation, and the whole is checked. */
import { text } from "node:stream/consumers";
import { PermanentError, RetryableError } from "../core/errors.ts";
import { pause, within } from "./storage-attempts.ts";
import { send, type StorageClient } from "./storage-client.ts";
import { errorFor, failureOf, StorageResponseError, StorageTimeoutError } from "./storage-errors.ts";

export interface ReadRequest {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What the first answer says about the object. */
interface Seen {
  readonly generation: string | undefined;
  readonly size: number | undefined;
  /** Base64. */
  readonly crc32c: string | undefined;
}

/** Bytes as they are stored: what was uploaded with a content encoding stays encoded. */
export async function* readObject(
  client: StorageClient,
  { bucket, name, generation, signal }: ReadRequest,
): AsyncGenerator<Uint8Array> {
  const uri = `gs://${bucket}/${name}`;
  const { options } = client;
  const checksum = new client.sdk.CRC32C();
  let seen: Seen | undefined;
  let at = 0;
  for (let failed = 0; ;) {
    const pinned = generation ?? seen?.generation;
    const url = urlOf(client, bucket, name, pinned);
    try {
      for await (const piece of download(client, url, at, signal, (found) => (seen ??= found))) {
        at += piece.length;
        failed = 0;
        checksum.update(piece);
        yield piece;
      }
      if (seen?.size === undefined || at >= seen.size) break;
      throw new StorageTimeoutError(`the download ended after ${at} of ${seen.size} bytes`);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof RetryableError) throw error;
      if (at > 0 && at === seen?.size) break;
      const failure = failureOf(error);
      if (failure.status === 404) throw at === 0 ? notFound(uri, generation) : replaced(uri, at);
      failed += 1;
      if (!failure.passing || failed >= options.attempts) throw errorFor(failure, { bucket, uri, verb: "read" }, error);
      await pause(options, failed, signal);
    }
  }
  if (seen?.crc32c !== undefined && seen.crc32c !== checksum.toString()) {
    throw new RetryableError(`${uri} arrived damaged: its CRC32C is not ${seen.crc32c}; read it again`);
  }
}

/** One try, from the byte `start` on. */
async function* download(
  client: StorageClient,
  url: string,
  start: number,
  signal: AbortSignal | undefined,
  onSeen: (seen: Seen) => void,
): AsyncGenerator<Buffer> {
  signal?.throwIfAborted();
  const { timeoutMs } = client.options;
  const leaving = new AbortController();
  // An object that is stored encoded comes as it is stored only to those who take that encoding.
  const headers = { "accept-encoding": "gzip", ...(start > 0 && { range: `bytes=${start}-` }) };
  try {
    const answer = send(client, { method: "GET", url, headers, signal: leaving.signal });
    // When it is given up, nobody else takes its error.
    answer.catch(() => undefined);
    const { status, headers: found, body } = await within(timeoutMs, answer, signal);
    body.on("error", () => undefined);
    if (status !== 200 && status !== 206) {
      throw new StorageResponseError(status, await within(timeoutMs, text(body), signal));
    }
    if (status === 200 && start > 0)
      throw new StorageTimeoutError(`the download began anew instead of at byte ${start}`);
    if (status === 200) onSeen(seenIn(found));
    const pieces: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
    for (;;) {
      const next = await within(timeoutMs, pieces.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    leaving.abort();
  }
}

function urlOf({ storage }: StorageClient, bucket: string, name: string, generation: string | undefined): string {
  const pinned = generation === undefined ? "" : `&generation=${encodeURIComponent(generation)}`;
  return `${storage.apiEndpoint}/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}?alt=media${pinned}`;
}

function seenIn(headers: Headers): Seen {
  const size = headers.get("x-goog-stored-content-length");
  const crc32c = /(?:^|,)\s*crc32c=([^,\s]+)/.exec(headers.get("x-goog-hash") ?? "")?.[1];
  const generation = headers.get("x-goog-generation") ?? undefined;
  return { generation, size: size === null ? undefined : Number(size), crc32c };
}

function notFound(uri: string, generation: string | undefined): PermanentError {
  const which = generation === undefined ? "" : ` at generation ${generation}`;
  return new PermanentError(`${uri} does not exist${which}; list the bucket to see what does`, { code: "not-found" });
}

function replaced(uri: string, at: number): RetryableError {
  return new RetryableError(`${uri} was replaced or deleted after ${at} bytes of it were read; read it again`);
}
