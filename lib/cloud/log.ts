/** Structured logs, as Cloud Logging reads them: one filter by label finds everything about a run, an asset or a partition. */
import type { SluiceEvent } from "../core/events.ts";
import type { EventStore } from "../ports/event-store.ts";
import { messageOf, severityOf } from "./event-message.ts";
import type { Severity } from "./event-message.ts";

export interface LogLine {
  readonly severity: Severity;
  readonly message: string;
  readonly "logging.googleapis.com/labels"?: Readonly<Record<string, string>>;
  readonly "logging.googleapis.com/trace"?: string;
  readonly event?: unknown;
}

export interface StructuredLog {
  /** One line on the process's output. */
  write(line: LogLine): void;
  /** The trace that lines belong to from now on, from the header `traceparent` or `x-cloud-trace-context`. */
  runIn<T>(trace: string | undefined, work: () => Promise<T>): Promise<T>;
  event(event: SluiceEvent): void;
}

export interface LogOptions {
  readonly project: string;
  /** Takes one line, without its end. */
  print(line: string): void;
  /** Carries the trace along with whatever is done for a request. */
  readonly traces: { run<T>(trace: string | undefined, work: () => Promise<T>): Promise<T>; get(): string | undefined };
}

export function structuredLog({ project, print, traces }: LogOptions): StructuredLog {
  const write = (line: LogLine): void => {
    const trace = traces.get();
    const traced = trace === undefined ? {} : { "logging.googleapis.com/trace": `projects/${project}/traces/${trace}` };
    print(JSON.stringify({ ...line, ...traced }));
  };
  return {
    write,
    runIn: (trace, work) => traces.run(trace, work),
    event(event) {
      const { asset, partition, run } = event;
      const labels = Object.entries({ asset, partition, run }).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      );
      write({
        severity: severityOf(event),
        message: messageOf(event),
        "logging.googleapis.com/labels": Object.fromEntries(labels.map(([name, value]) => [`sluice_${name}`, value])),
        event: fitting(event),
      });
    },
  };
}

/** Cloud Logging drops an entry of more than 256 KB, and with it what its run did. */
const MAX_EVENT_BYTES = 100_000;
const MAX_FIELD_BYTES = 4_000;

/** The event as an entry holds it: of one that is too large, such as one with thousands of inputs, without its large fields. */
function fitting(event: SluiceEvent): unknown {
  if (bytesOf(event) <= MAX_EVENT_BYTES) return event;
  const fields = Object.entries(event);
  const isLarge = ([, value]: readonly [string, unknown]): boolean => bytesOf(value) > MAX_FIELD_BYTES;
  const leftOut = Object.fromEntries(fields.filter(isLarge).map(([name, value]) => [name, sizeText(value)]));
  return { ...Object.fromEntries(fields.filter((field) => !isLarge(field))), leftOut };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "");
}

function sizeText(value: unknown): string {
  const entries = Array.isArray(value) ? `${value.length} entries, ` : "";
  return `${entries}${bytesOf(value)} bytes: see \`sluice events\``;
}

/** A trace's id from the headers of a request: 32 hexadecimal digits. */
export function traceOf(headers: Readonly<Record<string, string | undefined>>): string | undefined {
  const found = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(headers["traceparent"] ?? "");
  return found?.[1] ?? /^([0-9a-f]{32})(?:\/|;|$)/.exec(headers["x-cloud-trace-context"] ?? "")?.[1];
}

/** The store, with every event that it stores said in the log as well. A decision that is made twice is said once. */
export function loggedEvents(store: EventStore, log: Pick<StructuredLog, "event">): EventStore {
  return {
    ...store,
    async transact(refs, decide) {
      let events: readonly SluiceEvent[] = [];
      const result = await store.transact(refs, (documents) => {
        const decision = decide(documents);
        events = decision.events;
        return decision;
      });
      events.forEach((event) => log.event(event));
      return result;
    },
    async append(events) {
      await store.append(events);
      events.forEach((event) => log.event(event));
    },
  };
}
