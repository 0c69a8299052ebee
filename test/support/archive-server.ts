/** A web server that serves one tarball, as a repository's host does, and can be told to fail. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

export interface ArchiveServer {
  readonly url: string;
  /** How often the archive was asked for. */
  readonly requests: number;
  /** What the next requests are answered with instead, one after the other: a status, or the archive cut short. */
  fail(...answers: readonly (number | "cut")[]): void;
  serve(archive: string | Uint8Array): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `archive` is a file's path, or bytes. */
export async function archiveServer(archive: string | Uint8Array): Promise<ArchiveServer> {
  const failures: (number | "cut")[] = [];
  let requests = 0;
  let served = archive;
  const server = createServer((_request, response) => {
    requests += 1;
    const failure = failures.shift();
    if (typeof failure === "number") return void response.writeHead(failure).end("no");
    void send(failure === "cut");
    async function send(cut: boolean): Promise<void> {
      const size = typeof served === "string" ? (await stat(served)).size : served.length;
      // A server that closes the connection at the end is the harder case for clients.
      response.writeHead(200, { "content-type": "application/gzip", "content-length": size, connection: "close" });
      if (cut && typeof served !== "string")
        return void response.end(served.subarray(0, size >> 1), () => response.destroy());
      if (typeof served === "string") createReadStream(served, cut ? { end: size >> 1 } : {}).pipe(response);
      else response.end(served);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // The server listens on a port, so its address is one.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/archive.tar.gz`,
    get requests() {
      return requests;
    },
    fail: (...answers) => void failures.push(...answers),
    serve(next) {
      served = next;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A gzipped tarball of text files below one top folder, with the commit where GitHub writes it. */
export async function tarballOf(files: Readonly<Record<string, string>>, commit = "c".repeat(40)): Promise<Uint8Array> {
  const encoder = new TextEncoder();
  const entries = Object.entries(files).map(([path, text]) => {
    const body = encoder.encode(text);
    return { header: { name: `top/${path}`, size: body.length, type: "file" as const }, body };
  });
  const comment = encoder.encode(paxRecord("comment", commit));
  const global = {
    header: { name: "pax_global_header", size: comment.length, type: "pax-global-header" as const },
    body: comment,
  };
  return gzipSync(await packTar([global, ...entries]));
}

/** `"<length> key=value\n"`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}
