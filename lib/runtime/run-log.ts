/** The lines that an author's code writes into its run's history, without the secrets that the run has read. */
import type { Log } from "../core/definition.ts";
import { eventOf } from "../core/claim.ts";
import type { Metadata, MetadataValue } from "../core/events.ts";
import type { Execution } from "./execution.ts";

export interface RunLog {
  readonly log: Log;
  /** From now on, this text is replaced by `[secret]` wherever it would be written. */
  redact(secret: string): void;
  clean(text: string): string;
  /** Resolves when every line is in the store, or has failed to get there. */
  flush(): Promise<void>;
}

export function runLog(execution: Execution): RunLog {
  const { services, identity, run } = execution;
  const secrets: string[] = [];
  let count = 0;
  let written: Promise<unknown> = Promise.resolve();

  const clean = (text: string): string => secrets.reduce((shown, secret) => shown.replaceAll(secret, "[secret]"), text);
  const cleanValue = (value: MetadataValue): MetadataValue => {
    if (typeof value === "string") return clean(value);
    if (value === null || typeof value !== "object") return value;
    // Parsing what was just serialised gives plain metadata again.
    return JSON.parse(clean(JSON.stringify(value))) as MetadataValue;
  };
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields?: Metadata): void => {
      const base = eventOf(identity, `log-${run.attempt}-${++count}`, services.clock.now());
      const shown =
        fields === undefined
          ? {}
          : { fields: Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, cleanValue(v)])) };
      const event = { ...base, type: "log" as const, level, message: clean(message), ...shown };
      // A log line is no reason to fail a run: the store's own trouble shows in the next transaction.
      written = written.then(() => services.events.append([event])).catch(() => undefined);
    };
  return {
    log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") },
    redact: (secret) => {
      if (secret.length >= 4) secrets.push(secret);
    },
    clean,
    flush: async () => {
      await written;
    },
  };
}
