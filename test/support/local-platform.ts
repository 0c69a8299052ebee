/** A whole platform in a temporary folder: the front door of the end-to-end tests. */
import { randomUUID } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openPlatform } from "../../lib/cli/platform.ts";
import type { Platform, PlatformOptions } from "../../lib/cli/platform.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import type { RunDocument } from "../../lib/core/documents.ts";
import type { EventType, SluiceEvent, StoredEvent } from "../../lib/core/events.ts";
import { watchBuckets } from "../../lib/local/bucket-watcher.ts";
import type { BucketWatcher } from "../../lib/local/bucket-watcher.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import { leftoversIn } from "./leftovers.ts";
import type { Rows } from "./parquet.ts";

export interface LocalPlatformOptions extends Partial<Omit<PlatformOptions, "definitions">> {
  /** What a module in `functions/` would export. */
  readonly exports: Readonly<Record<string, unknown>>;
  /** Whether files in the bucket folders are noticed by themselves. Default false. */
  readonly watch?: boolean;
}

export interface LocalPlatform extends Platform {
  readonly home: string;
  readonly definitions: Definitions;
  readonly watcher: BucketWatcher | undefined;
  /** What watcher and bus complained about. */
  readonly complaints: readonly string[];
  /** Writes the object by the store and announces it, as a bucket does. */
  put(uri: string, bytes: Uint8Array | string): Promise<ObjectInfo>;
  /** Copies the bytes into the bucket's folder as a person would: under a hidden name, then renamed. */
  dropFile(uri: string, bytes: Uint8Array | string): void;
  publish(topic: string, data?: unknown, attributes?: Readonly<Record<string, string>>): Promise<string>;
  /** Hands a push message to the runtime, past the bus. */
  deliver(consumer: Consumer, data: unknown): Promise<void>;
  /** Works until nothing is left to do, deadlines for which it takes no more than `patienceMs` (default 10 s) of waiting included. */
  quiet(patienceMs?: number): Promise<void>;
  rows(sql: string): Promise<Rows>;
  history(...types: readonly EventType[]): Promise<readonly StoredEvent[]>;
  eventsOf<T extends EventType>(type: T): Promise<readonly Extract<StoredEvent, { readonly type: T }>[]>;
  allRuns(): Promise<readonly RunDocument[]>;
  /** Everything that a finished piece of work must not leave behind, one line each; empty when all is put away. */
  leftovers(): Promise<readonly string[]>;
  /** Closes the platform and keeps its folder. */
  shut(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Definitions from what a module would export. Throws the first problem. */
export function definitionsOf(exports: Readonly<Record<string, unknown>>): Definitions {
  const { definitions, problems } = collectDefinitions([{ file: "functions/test.ts", exports }]);
  if (problems[0] !== undefined) throw problems[0];
  return definitions;
}

export async function localPlatform(options: LocalPlatformOptions): Promise<LocalPlatform> {
  const { exports, watch = false, ...given } = options;
  const definitions = definitionsOf(exports);
  const home = options.home ?? mkdtempSync(join(tmpdir(), "sluice-e2e-"));
  const complaints: string[] = [];
  const complain = (error: unknown): void => {
    complaints.push(error instanceof Error ? error.message : String(error));
  };
  const platform = await openPlatform({
    settleMs: 100,
    onError: complain,
    ...given,
    home,
    definitions: () => definitions,
  });
  platform.bus.start();
  const watcher = watch
    ? watchBuckets({
        store: platform.objects,
        clock: systemClock(),
        onFinalized: (object) => platform.announceObject(object),
        onError: complain,
      })
    : undefined;
  await watcher?.ready;
  const { objects, bus, runtime, events, warehouse } = platform;
  let open = true;

  const pathOf = (uri: string): string => objects.resolveUri(uri);
  const shut = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await watcher?.close();
    await platform.close(2_000);
  };

  const rows = async (sql: string): Promise<Rows> => {
    const { rows: stream } = await warehouse.query(sql);
    const found: Record<string, unknown>[] = [];
    for await (const row of stream) found.push({ ...row });
    return found;
  };

  const history = async (...types: readonly EventType[]): Promise<readonly StoredEvent[]> => {
    const found: StoredEvent[] = [];
    for (let after: string | undefined; ;) {
      const query = { order: "oldest" as const, limit: 1000, ...(types.length === 0 ? {} : { types }) };
      const page = await events.history(after === undefined ? query : { ...query, after });
      found.push(...page.items);
      after = page.next;
      if (after === undefined) return found;
    }
  };

  const allRuns = async (): Promise<readonly RunDocument[]> => {
    const found: RunDocument[] = [];
    for (let after: string | undefined; ;) {
      const page = await events.runs(after === undefined ? { limit: 1000 } : { limit: 1000, after });
      found.push(...page.items);
      after = page.next;
      if (after === undefined) return found;
    }
  };

  const leftovers = async (): Promise<readonly string[]> => {
    const found = [...(await leftoversIn({ definitions, events, warehouse }))];
    for (const depth of bus.depth()) {
      if (Object.values(depth).some((value) => typeof value === "number" && value > 0))
        found.push(`messages ${JSON.stringify(depth)}`);
    }
    for (const dead of bus.deadLetters()) found.push(`dead letter ${JSON.stringify(dead)}`);
    return found;
  };

  return {
    ...platform,
    home,
    definitions,
    watcher,
    complaints,
    async put(uri, bytes) {
      const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/(.*)$/s.exec(uri) ?? [];
      const object = await objects.write(bucket, name, [Buffer.from(bytes)]);
      await platform.announceObject(object);
      return object;
    },
    dropFile(uri, bytes) {
      const path = pathOf(uri);
      mkdirSync(dirname(path), { recursive: true });
      const hidden = join(home, "incoming");
      writeFileSync(hidden, bytes);
      const beside = join(dirname(path), ".incoming");
      copyFileSync(hidden, beside);
      renameSync(beside, path);
      rmSync(hidden);
    },
    publish: (topic, data, attributes) =>
      bus.publish(topic, { data, ...(attributes === undefined ? {} : { attributes }) }),
    deliver: (consumer, data) => runtime.receive(consumer, { body: pushOf(data) }),
    async quiet(patienceMs = 10_000) {
      // Only what is waited counts, not what the work itself takes: that is longer on a busy machine.
      for (let left = patienceMs; ;) {
        await platform.settle();
        const next = Math.min((await events.nextDue()) ?? Infinity, bus.nextAt() ?? Infinity);
        const wait = Math.max(0, next - Date.now());
        if (wait > left) return;
        left -= wait;
        await new Promise((resolve) => setTimeout(resolve, Math.max(5, wait)));
      }
    },
    rows,
    history,
    async eventsOf<T extends EventType>(type: T) {
      // `history` returns only events of the asked type.
      return (await history(type)) as readonly Extract<StoredEvent, { readonly type: T }>[];
    },
    allRuns,
    leftovers,
    shut,
    async [Symbol.asyncDispose]() {
      await shut();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** A Pub/Sub push message with a JSON body; the text itself when it is one already. */
export function pushOf(data: unknown, more: Readonly<Record<string, unknown>> = {}): unknown {
  return {
    message: {
      ...(data === undefined ? {} : { data: Buffer.from(JSON.stringify(data)).toString("base64") }),
      messageId: randomUUID(),
      publishTime: new Date().toISOString(),
      ...more,
    },
    subscription: "projects/local/subscriptions/test",
  };
}

/** The one line that a failed or skipped run, or a refusal, gives. */
export function lineOf(event: SluiceEvent): string {
  switch (event.type) {
    case "run.failed":
    case "run.skipped":
      return `${event.code}: ${event.reason}`;
    case "object.refused":
    case "message.refused":
      return event.reason;
    default:
      return event.type;
  }
}
