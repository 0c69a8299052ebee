/**
 * What surrounds an author's code: the lines that it writes into its run's history, without the secrets that it has read,
 * and the clients that have to be closed after it.
 */
import type { Log } from "../core/definition.ts";
import { eventOf } from "../core/run-identity.ts";
import { DefinitionError, PermanentError, messageOf } from "../core/errors.ts";
import type { Metadata, MetadataValue } from "../core/events.ts";
import type { Execution } from "./execution.ts";

export interface RunLog {
  readonly log: Log;
  /** From now on, this text is replaced by `[secret]` wherever it would be written. */
  redact(secret: string): void;
  clean(text: string): string;
  cleanMetadata(metadata: Metadata): Metadata;
  /** Disposes of the client when the work ends, if it is one that can be disposed of; the last made goes first. */
  disposeAtEnd(client: unknown): void;
  /** Resolves when everything is disposed of. A client that cannot be closed is a line in the log, and no failure. */
  dispose(): Promise<void>;
  /** Resolves when every line is in the store, or has failed to get there. */
  flush(): Promise<void>;
}

/**
 * Does the work with a log: its lines are stored when it ends, and no error leaves it with a secret. `part` tells the lines of
 * one part of a run from those of another; those of the same part and attempt are stored once.
 */
export async function logged<T>(
  execution: Execution,
  work: (log: RunLog) => Promise<T>,
  part: "log" | "remove" | `log-check-${string}` = "log",
): Promise<T> {
  const log = runLog(execution, part);
  try {
    return await work(log);
  } catch (error) {
    throw redacted(error, log.clean);
  } finally {
    await log.dispose();
    await log.flush();
  }
}

function runLog(execution: Execution, part: string): RunLog {
  const { services, identity, run } = execution;
  const secrets: string[] = [];
  let count = 0;
  let written: Promise<unknown> = Promise.resolve();

  const clean = (text: string): string => secrets.reduce((shown, secret) => shown.replaceAll(secret, "[secret]"), text);
  const cleanValue = (value: MetadataValue): MetadataValue => {
    if (typeof value === "string") return clean(value);
    if (value === null || typeof value !== "object") return value;
    if (isList(value)) return value.map(cleanValue);
    return cleanMetadata(value);
  };
  const cleanMetadata = (metadata: Metadata): Metadata =>
    Object.fromEntries(Object.entries(metadata).map(([name, value]) => [clean(name), cleanValue(value)]));
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields?: Metadata): void => {
      const base = eventOf(identity, `${part}-${run.attempt}-${++count}`, services.clock.now());
      const shown = fields === undefined ? {} : { fields: cleanMetadata(fields) };
      const event = { ...base, type: "log" as const, level, message: clean(message), ...shown };
      // A log line is no reason to fail a run: the store's own trouble shows in the next transaction.
      written = written.then(() => services.events.append([event])).catch(() => undefined);
    };
  const clients = new AsyncDisposableStack();
  return {
    disposeAtEnd: (client) => {
      if (isDisposable(client)) clients.use(client);
    },
    dispose: () =>
      clients
        .disposeAsync()
        .catch((error: unknown) => write("warn")(`a client could not be closed: ${messageOf(error)}`)),
    log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") },
    redact: (secret) => {
      if (secret.length < 4) return;
      // In an address, it is written so.
      const written = [secret, encodeURIComponent(secret), new URLSearchParams([["", secret]]).toString().slice(1)];
      secrets.push(...new Set(written));
    },
    clean,
    cleanMetadata,
    flush: async () => {
      await written;
    },
  };
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(value: object): value is readonly MetadataValue[] {
  return Array.isArray(value);
}

/** The same error, its message and stack without secrets. */
function redacted(error: unknown, clean: (text: string) => string): unknown {
  if (error instanceof DefinitionError)
    return new PermanentError(clean(messageOf(error)), { code: "bad-definition", cause: error });
  if (!(error instanceof Error)) return error;
  error.message = clean(error.message);
  if (error.stack !== undefined) error.stack = clean(error.stack);
  return error;
}

function isDisposable(client: unknown): client is AsyncDisposable | Disposable {
  return typeof client === "object" && client !== null && (Symbol.asyncDispose in client || Symbol.dispose in client);
}
