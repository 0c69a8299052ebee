/** What an author's code finds around it in a test, whatever it is: a context, its config, and rows to go through. */
import type { z } from "zod";
import type { BaseContext, Log } from "../core/definition.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { faultText, readConfig } from "../core/read-config.ts";

/** A line that the code has written into its log. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields?: Metadata;
}

/** Rows that a test gives. */
export type Given<Row> = Iterable<Row> | AsyncIterable<Row>;

/** `Name` must be given where there is something to give, and may be where nobody knows by the type, as in a factory's response. */
export type Wanted<Name extends string, Keys, Value> = [Keys] extends [never]
  ? { readonly [N in Name]?: undefined }
  : string extends Keys
    ? { readonly [N in Name]?: Value }
    : { readonly [N in Name]: Value };

/** As a request carries it: defaults may be left out. */
export type GivenConfig<C> = C extends z.ZodType
  ? Record<never, never> extends z.input<C>
    ? { readonly config?: z.input<C> }
    : { readonly config: z.input<C> }
  : { readonly config?: undefined };

/** What every call of code may be given. */
export interface Common {
  /** What `context.requestedAt` says. Default 0. */
  readonly requestedAt?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The context that all code has, with a log that only keeps its lines. */
export function surroundings({ requestedAt = 0, signal }: Common): {
  readonly context: BaseContext;
  readonly logs: readonly LogLine[];
} {
  const logs: LogLine[] = [];
  const write =
    (level: LogLine["level"]) =>
    (message: string, fields?: Metadata): void =>
      void logs.push({ level, message, ...(fields === undefined ? {} : { fields }) });
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const context = {
    runId: "0000000000000000",
    requestedAt,
    signal: signal ?? new AbortController().signal,
    log,
  };
  return { context, logs };
}

/** The config as the schema reads it. Throws `PermanentError` (`bad-config`) as a run would; `of` says whose it is. */
export function parsedConfig(schema: z.ZodObject | undefined, given: unknown, of = "the config"): unknown {
  if (schema === undefined) return given ?? {};
  const { data, faults } = readConfig(schema, given ?? {});
  if (faults === undefined) return data;
  throw new PermanentError(`${of} does not fit: ${faultText(faults)}`, { code: "bad-config" });
}

/** What is given as an array can be read again, as a run's rows can. */
export function again<Row>(rows: Given<Row>): AsyncIterable<Row> {
  return { [Symbol.asyncIterator]: () => once(rows) };
}

async function* once<Row>(rows: Given<Row>): AsyncGenerator<Row, void, void> {
  yield* rows;
}
