/** The work done by the `sluice dev` that runs for the same home, asked over its control server. */
import { createInterface } from "node:readline/promises";
import { Readable } from "node:stream";
import { PermanentError } from "../core/errors.ts";
import type { DocumentKind, Documents } from "../core/documents.ts";
import type { ReplayAnswer } from "../runtime/dead-letters.ts";
import type { CancelAnswer } from "../runtime/operations.ts";
import type { DevAddress } from "./dev-file.ts";
import { answers, failure, objectAnswer, queryLine } from "./wire.ts";
import type { AnswerOf, Operation, RequestOf } from "./wire.ts";
import type { QueryResult, Workbench } from "./workbench.ts";

export function remoteWorkbench(dev: DevAddress): Workbench {
  const headers = { authorization: `Bearer ${dev.token}` };

  async function request(path: string, init: RequestInit & { duplex?: "half" }): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(dev.url + path, { ...init, headers });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new PermanentError("sluice dev has stopped; what it did not finish goes on when it runs again", {
        code: "gone",
        cause: error,
      });
    }
    if (!response.ok) throw failureOf(await response.json().catch(() => undefined), response.status);
    return response;
  }

  async function call<O extends Operation>(operation: O, body: RequestOf<O>): Promise<AnswerOf<O>> {
    const response = await request(`/api/${operation}`, { method: "POST", body: JSON.stringify(body) });
    const parsed = answers[operation].safeParse(await response.json());
    if (!parsed.success) throw unreadable(operation);
    // The schema is the operation's own; the compiler does not follow the pair through the table.
    return parsed.data as AnswerOf<O>;
  }

  const operate = async <T>(request: RequestOf<"operate">): Promise<T> => (await call("operate", request)).answer as T;
  const because = (reason: string | undefined) => (reason === undefined ? {} : { reason });

  return {
    remote: true,
    store: {
      async get<K extends DocumentKind>(kind: K, id: string) {
        // The document of the kind that was asked for, or none.
        return ((await call("get", { kind, id })) ?? undefined) as Documents[K] | undefined;
      },
      history: ({ asset, types, ...query }) =>
        call("history", {
          ...query,
          ...(asset === undefined ? {} : { asset: typeof asset === "string" ? asset : [...asset] }),
          ...(types === undefined ? {} : { types: [...types] }),
        }),
      runs: (query) => call("runs", query),
      partitions: (query) => call("partitions", query),
      sensors: () => call("sensors", {}),
    },
    catalog: () => call("catalog", {}),
    async publish(topic, { data, attributes }) {
      return (await call("publish", { topic, data, attributes: { ...attributes } })).messageId;
    },
    async put(uri, body, signal) {
      const path = `/api/object?uri=${encodeURIComponent(uri)}`;
      // Streams of web requests may only be sent half-duplex.
      const response = await request(path, { method: "PUT", body: ReadableStream.from(body), duplex: "half", signal });
      return objectAnswer.parse(await response.json());
    },
    async query(sql, signal) {
      const response = await request("/api/query", { method: "POST", body: sql, signal });
      const lines = linesOf(response);
      const first = await lines.next();
      if (first.done === true || !("columns" in first.value)) throw unreadable("query");
      return { columns: first.value.columns, rows: rowsOf(lines) };
    },
    // One clock for all.
    tables: { slackMs: 0, changes: async (table) => (await call("changes", table)).changes ?? undefined },
    async switchSensor(name, status) {
      await call("switchSensor", { name, status });
    },
    operations: {
      // Each answer is what the same operation has returned at the other end, of the same version.
      cancel: (run, reason) => operate<CancelAnswer>({ what: "cancel", run, ...because(reason) }),
      pause: (asset, reason) => operate<boolean>({ what: "pause", asset, ...because(reason) }),
      resume: (asset) => operate<boolean>({ what: "resume", asset }),
      replayDeadLetter: (deadLetter) => operate<ReplayAnswer>({ what: "replay-dead-letter", deadLetter }),
    },
    async settle() {
      while (!(await call("settle", {})).settled);
    },
    async close() {},
  };
}

type Line = Exclude<ReturnType<typeof queryLine.parse>, { error: unknown }>;

/** Throws what the server says went wrong, and for an answer that ends before its end. */
async function* linesOf(response: Response): AsyncGenerator<Line, void, undefined> {
  if (response.body === null) throw unreadable("query");
  const reader = createInterface({ input: Readable.fromWeb(response.body), crlfDelay: Infinity });
  for await (const text of reader) {
    const line = queryLine.parse(JSON.parse(text));
    if ("error" in line) throw failureOf(line, 200);
    yield line;
    if ("end" in line) return;
  }
  throw unreadable("query");
}

async function* rowsOf(lines: AsyncIterable<Line>): QueryResult["rows"] {
  for await (const line of lines) if ("row" in line) yield line.row;
}

function failureOf(body: unknown, status: number): Error {
  const parsed = failure.safeParse(body);
  if (!parsed.success) return new PermanentError(`sluice dev answered with status ${status}`, { code: "unreadable" });
  const { message, code } = parsed.data.error;
  return new PermanentError(message, code === undefined ? {} : { code });
}

function unreadable(operation: string): PermanentError {
  return new PermanentError(
    `the answer of sluice dev to ${operation} cannot be read; is it of another version? Start it anew`,
    { code: "unreadable" },
  );
}
