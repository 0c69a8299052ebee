/** A gzipped tarball over HTTP, entry by entry: nothing is written to disk, and no more than one file is held in memory. */
import { createTarDecoder } from "modern-tar";
import { PermanentError, RetryableError } from "sluice";
// Node 24's own agent ends the process when a server closes a connection whose body is still being read.
import { Agent, fetch } from "undici";

export interface TarballFile {
  /** Below the archive's one top folder. */
  readonly path: string;
  /** The commit that GitHub writes into the tarballs that it serves. */
  readonly commit: string | undefined;
  text(): Promise<string>;
}

/** Larger files are refused: each is held in memory as a whole. */
const MAX_BYTES = 1_000_000;

/** The plain files of the archive. Throws `PermanentError` for an address that has none, and for a file that is too large. */
export async function* tarballFiles(url: string, signal: AbortSignal): AsyncGenerator<TarballFile, void, void> {
  const dispatcher = new Agent();
  try {
    const response = await fetch(url, { signal, dispatcher });
    if (response.ok && response.body !== null) {
      yield* filesOf(response.body.pipeThrough(new DecompressionStream("gzip")), signal);
      return;
    }
    const reason = `${url} answers ${response.status}`;
    if (response.status === 429 || response.status >= 500) throw new RetryableError(reason);
    throw new PermanentError(`${reason}: correct the archive's address`, { code: "no-archive" });
  } catch (error) {
    // Undici says `fetch failed`, or `terminated` in the middle; the reason is the cause.
    const cause = error instanceof TypeError && !signal.aborted ? error.cause : undefined;
    throw cause instanceof Error ? unreachable(url, cause) : error;
  } finally {
    // Whoever leaves early needs no more of it.
    await dispatcher.destroy();
  }
}

function unreachable(url: string, cause: Error): RetryableError {
  // Where several addresses of a name were tried, only the code is there.
  const why = cause.message !== "" ? cause.message : "code" in cause ? String(cause.code) : cause.name;
  const remedy = "look at the network, or give another address of the archive";
  return new RetryableError(`${new URL(url).origin} cannot be read: ${why} (${remedy})`, { cause });
}

async function* filesOf(tar: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<TarballFile, void, void> {
  const decoder = createTarDecoder({ strict: true });
  const archive = tar.pipeTo(decoder.writable, { signal });
  // An archive that breaks off in the middle of an entry leaves its reader waiting for the rest.
  const broken = archive.then(() => new Promise<never>(() => undefined));
  broken.catch(() => undefined);
  const intact = <T>(step: Promise<T>): Promise<T> => Promise.race([step, broken]);
  const entries = decoder.readable.getReader();
  for (;;) {
    const { done, value } = await intact(entries.read());
    if (done) return;
    const { header, body } = value;
    const path = header.name.slice(header.name.indexOf("/") + 1);
    let read = false;
    if (header.type === "file" && !path.split("/").includes("..")) {
      if (header.size > MAX_BYTES)
        throw new PermanentError(`${path} has ${header.size} bytes, more than ${MAX_BYTES}`, { code: "too-large" });
      const text = (): Promise<string> => {
        read = true;
        return intact(new Response(body).text());
      };
      yield { path, commit: header.pax?.["comment"], text };
    }
    // The next entry comes only when this one is drained.
    if (!read) await intact(body.cancel());
  }
}
