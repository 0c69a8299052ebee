/**
 * What the rehearsal talks to in the place of Google's services: one address that remembers documents, and says to everything
 * else that all is well. It proves nothing about anybody; for that there are the emulators, and the tests' own fakes.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { z } from "zod";

export interface Stage {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  close(): void;
}

/** What one call is answered with; what is undefined is not there. */
type Reply = unknown;

const name = z.string();
const fields = z.record(z.string(), z.unknown());
const batchGet = z.object({ documents: z.array(name) });
const commit = z.object({
  writes: z.array(
    z.union([
      z.object({ delete: name }),
      z.object({
        update: z.object({ name, fields: fields.default({}) }),
        updateMask: z.object({ fieldPaths: z.array(z.string()).default([]) }).optional(),
      }),
    ]),
  ),
});
const job = z.looseObject({
  configuration: z.looseObject({
    load: z.object({ destinationTable: z.looseObject({ tableId: z.string() }) }).optional(),
  }),
});

export interface StageOptions {
  /** The object that every bucket holds. */
  readonly object: string;
  /** The columns of every table, as BigQuery says them. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Now, in milliseconds. */
  now(): number;
}

export async function openStage({ object, columns, now }: StageOptions): Promise<Stage> {
  const documents = new Map<string, Readonly<Record<string, unknown>>>();
  const jobs: unknown[] = [];
  const tables = new Set<string>();

  function firestore(call: string, body: unknown): Reply {
    const at = new Date(now()).toISOString();
    if (call === "batchGet")
      return batchGet.parse(body).documents.map((found) => ({
        ...(documents.has(found)
          ? { found: { name: found, fields: documents.get(found), createTime: at, updateTime: at } }
          : { missing: found }),
        readTime: at,
      }));
    if (call !== "commit") return [{ readTime: at }];
    const { writes } = commit.parse(body);
    for (const write of writes) {
      if ("delete" in write) {
        documents.delete(write.delete);
        continue;
      }
      const { update, updateMask } = write;
      const before = Object.entries(updateMask === undefined ? {} : (documents.get(update.name) ?? {}));
      const kept = before.filter(([field]) => updateMask?.fieldPaths.includes(field) !== true);
      documents.set(update.name, { ...Object.fromEntries(kept), ...update.fields });
    }
    return { writeResults: writes.map(() => ({ updateTime: at })), commitTime: at };
  }

  function bigquery(method: string, path: string, body: unknown): Reply {
    if (path.endsWith("/jobs")) {
      const { configuration } = job.parse(body);
      jobs.push(body);
      tables.add(configuration.load?.destinationTable.tableId ?? "");
      return body;
    }
    if (/\/jobs\//.test(path)) {
      const statistics = { creationTime: `${now()}`, endTime: `${now()}`, load: { outputRows: "1" } };
      return { ...job.parse(jobs.at(-1)), status: { state: "DONE" }, statistics };
    }
    if (path.endsWith("/rowAccessPolicies")) return {};
    const table = /\/tables\/([^/]+)$/.exec(path)?.[1] ?? "";
    if (method === "GET" && !tables.has(table)) return undefined;
    const schema = { fields: columns };
    return { type: "TABLE", etag: "e", schema, numRows: "1", lastModifiedTime: `${now()}` };
  }

  function answer(method: string, path: string, body: unknown): Reply {
    const call = /\/documents:(\w+)$/.exec(path)?.[1];
    if (call !== undefined) return firestore(call, body);
    if (path.startsWith("/bigquery/")) return bigquery(method, path, body);
    const listed = { name: object, generation: "1", size: "1", updated: new Date(now()).toISOString() };
    if (path.endsWith("/o")) return { items: [listed] };
    return { messageIds: ["1"] };
  }

  const server = createServer((request, response) => {
    void (async () => {
      const { pathname } = new URL(request.url ?? "/", "http://stage");
      const { method = "GET" } = request;
      const body = method === "GET" ? undefined : await json(request).catch(() => undefined);
      const reply = answer(method, pathname, body);
      const error = { code: 404, message: "Not found", errors: [{ reason: "notFound", message: "Not found" }] };
      response.writeHead(reply === undefined ? 404 : 200, { "content-type": "application/json; charset=UTF-8" });
      response.end(JSON.stringify(reply ?? { error }));
    })().catch(() => void response.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the stage listens on no port");
  return {
    host: `127.0.0.1:${address.port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
