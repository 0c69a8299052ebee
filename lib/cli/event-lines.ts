/** Events in words, one line each. */
import type { RunDocument } from "../core/documents.ts";
import type { EventType, Metadata, SluiceEvent } from "../core/events.ts";
import type { Cause } from "../core/request.ts";
import { longMetadata, metadataText } from "./metadata-text.ts";
import type { Paint, Style } from "./shell.ts";
import { plain } from "./shell.ts";
import { clockText, countText, durationText } from "./tables.ts";

export interface EventText {
  /** The asset, job, sensor or bucket that it is about. */
  readonly subject: string;
  readonly partition: string;
  readonly text: string;
  readonly style?: Style;
  /** Metadata that the text does not have, or not in full. */
  readonly details?: Metadata;
  /** Says nothing that its neighbours don't say; live views leave it out. */
  readonly minor?: true;
}

export interface EventTexts {
  of(event: SluiceEvent): EventText;
  /** Tells of a run whose start was not among the events. */
  learn(run: Pick<RunDocument, "id" | "name" | "kind">): void;
  knows(runId: string): boolean;
}

interface Known {
  readonly name: string;
  readonly kind: string;
  readonly startedAt?: number;
}

/** Remembers the names and starts of the runs that it has seen, of the last thousands of them. */
export function eventTexts(): EventTexts {
  const runs = new Map<string, Known>();
  const remember = (id: string, known: Known): void => {
    runs.delete(id);
    runs.set(id, known);
    if (runs.size <= REMEMBERED) return;
    for (const oldest of runs.keys()) return void runs.delete(oldest);
  };
  return {
    learn: ({ id, name, kind }) => {
      if (!runs.has(id)) remember(id, { name, kind });
    },
    knows: (id) => runs.has(id),
    of(event) {
      if (event.type === "run.started" && event.run !== undefined) {
        remember(event.run, { name: event.name, kind: event.kind, startedAt: event.at });
      }
      const run = event.run === undefined ? undefined : runs.get(event.run);
      const subject = event.asset ?? run?.name ?? (event.run === undefined ? "" : `run ${event.run}`);
      return { subject, partition: event.partition ?? "", ...bodyText(event, run) };
    },
  };
}

const REMEMBERED = 10_000;

type BodyText = Omit<EventText, "subject" | "partition"> & { readonly subject?: string };

function bodyText(event: SluiceEvent, run: Known | undefined): BodyText {
  switch (event.type) {
    case "run.started": {
      if (event.tookOver === true) return { text: "took over from a run that had died", style: "yellow" };
      const again = event.attempt > 1 ? `, attempt ${event.attempt}` : "";
      return { text: `started (${causeText(event.cause)}${again})`, style: "dim" };
    }
    case "run.coalesced":
      if (event.reason !== undefined) return { text: `waits: ${event.reason}`, style: "dim" };
      return { text: "waits for the run that holds the partition", style: "dim" };
    case "run.parked": {
      const until = clockText(event.wakeAt);
      if (event.code === "retry") return { text: `failed, tries again at ${until}: ${event.reason}`, style: "yellow" };
      return { text: `sleeps until ${until}: ${event.reason}`, style: "yellow" };
    }
    case "run.restarted":
      return { text: `starts over: ${event.reason}`, style: "yellow" };
    case "run.succeeded": {
      const minor = event.kind === "job" ? {} : { minor: true as const };
      const said = event.reason === undefined ? "" : `: ${event.reason}`;
      const text = `succeeded${since(event.at, run)}${said}${metadataText(event.metadata)}`;
      const shown = event.reason === undefined ? minor : {};
      return { text, style: "green", details: longMetadata(event.metadata), ...shown };
    }
    case "run.skipped":
      return { text: `skipped: ${event.reason}`, style: "dim" };
    case "run.failed":
      return { text: `failed: ${event.reason}`, style: "red" };
    case "run.cancel-requested":
      return { text: `is to be canceled${event.reason === undefined ? "" : `: ${event.reason}`}`, style: "yellow" };
    case "run.canceled":
      return { text: `canceled: ${event.reason}${jobsText(event.jobs)}`, style: "yellow" };
    case "asset.paused":
      return { text: `paused${event.reason === undefined ? "" : `: ${event.reason}`}`, style: "yellow" };
    case "asset.resumed":
      return { text: "goes on after its pause", style: "cyan" };
    case "check.evaluated": {
      const { check, passed, blocking, severity, message, metadata = {} } = event.result;
      const said = { details: metadata };
      if (passed) return { text: `check ${check} passed`, style: "dim", minor: true, ...said };
      const why = message === undefined ? "" : `: ${message}`;
      const style = blocking || severity === "error" ? "red" : "yellow";
      const how = blocking ? " and blocks" : severity === "warn" ? " (warning)" : "";
      return { text: `check ${check} failed${how}${why}`, style, ...said };
    }
    case "materialized": {
      const rows = event.rows === undefined ? "" : ` ${countText(event.rows, "row")}`;
      const table = event.table === undefined ? "" : ` → ${event.table}`;
      if (event.reported === true) {
        const version = event.dataVersion === undefined ? "" : ` version ${event.dataVersion}`;
        const text = `reported${version}${table}${metadataText(event.metadata)}`;
        return { text, style: "green", details: longMetadata(event.metadata) };
      }
      const back = event.rolledBackFrom === undefined ? "" : `, rolled back from ${event.rolledBackFrom}`;
      const text = `materialized${rows}${since(event.at, run)}${table}${back}`;
      return { text, style: "green", details: event.metadata ?? {} };
    }
    case "observed": {
      const text = `observed version ${event.dataVersion}${metadataText(event.metadata)}`;
      return { text, style: "green", details: longMetadata(event.metadata) };
    }
    case "asset.renamed":
      return { text: `took over the history of ${event.from}` };
    case "publish.settled":
      return {
        text:
          event.outcome === "rolled-forward"
            ? "finished the publish of a run that had died"
            : "closed the publish of a run that had died",
        style: "yellow",
      };
    case "schema.extended":
      return { text: `new columns in ${event.table}: ${event.columns.join(", ")}` };
    case "sensor.ticked": {
      const what =
        event.requested.length === 0
          ? (event.skipReason ?? "nothing to request")
          : `requested ${countText(event.requested.length, "run")}`;
      return { subject: event.sensor, text: `ticked: ${what}`, style: "dim" };
    }
    case "sensor.switched":
      return { subject: event.sensor, text: event.status === "running" ? "was started" : "was stopped" };
    case "backfill.started": {
      const { backfill, from, to, total, which } = event;
      const what = { missing: "missing ones of", failed: "failed ones of", all: "all of" }[which];
      const text = `backfill ${backfill} started: ${what} ${countText(total, "partition")}, ${from} to ${to}`;
      return { text, style: "cyan" };
    }
    case "backfill.cancelled": {
      const why = event.reason === undefined ? "" : `: ${event.reason}`;
      return { text: `backfill ${event.backfill} was cancelled${why}`, style: "yellow" };
    }
    case "backfill.resumed":
      return { text: `backfill ${event.backfill} goes on`, style: "cyan" };
    case "backfill.ended": {
      const { succeeded, skipped, failed, passedOver } = event.counts;
      const text = `backfill ${event.backfill} ended: ${succeeded} succeeded, ${skipped} skipped, ${failed} failed, ${passedOver} passed over`;
      return { text, style: failed > 0 ? "red" : "green" };
    }
    case "freshness.failed":
      return { text: `is late: ${event.reason}`, style: "red" };
    case "freshness.restored":
      return { text: `is fresh again: ${event.reason}`, style: "green" };
    case "alert.sent": {
      const told = event.count === 1 ? "" : ` (${event.count} times)`;
      return { text: `alert ${event.alert} was sent: ${event.about}${told}`, style: "dim" };
    }
    case "alert.delayed": {
      const { alert, retryAt, reason } = event;
      return { text: `alert ${alert} is late, tried again at ${clockText(retryAt)}: ${reason}`, style: "yellow" };
    }
    case "alert.failed": {
      const tries = countText(event.attempts, "attempt");
      return { text: `alert ${event.alert} could not be sent in ${tries}: ${event.reason}`, style: "red" };
    }
    case "partition.sealed":
      return { text: "sealed: its objects may be deleted, and it takes no more runs" };
    case "partition.unsealed":
      return { text: "opened again" };
    case "object.deleted":
      return { text: `deleted ${event.uri}` };
    case "object.kept":
      return { text: `kept ${event.uri}: ${event.reason}` };
    case "object.refused":
      return { text: `refused ${event.uri}: ${event.reason}`, style: "yellow" };
    case "table.dropped":
      return { text: `dropped ${event.table}: ${event.reason}` };
    case "message.refused":
      return { text: `refused a message on ${event.topic}: ${event.reason}`, style: "yellow" };
    case "message.dead-lettered": {
      const why = event.reason === undefined ? "" : `: ${event.reason}`;
      const text = `dead letter ${event.deadLetter} of ${event.subscription} after ${countText(event.attempts, "attempt")}${why}`;
      return { text, style: "red" };
    }
    case "message.replayed":
      return { text: `dead letter ${event.deadLetter} was published again on ${event.topic}`, style: "cyan" };
    case "log": {
      const styles: Partial<Record<typeof event.level, Style>> = { debug: "dim", warn: "yellow", error: "red" };
      const style = styles[event.level];
      const text = `${event.level}: ${event.message}${metadataText(event.fields)}`;
      return { text, details: longMetadata(event.fields), ...(style === undefined ? {} : { style }) };
    }
  }
}

function jobsText(jobs: Extract<SluiceEvent, { readonly type: "run.canceled" }>["jobs"] = []): string {
  return jobs
    .map(({ jobId, outcome }) => `; the warehouse job ${jobId} ${outcome === "stopped" ? "was stopped" : "had ended"}`)
    .join("");
}

function causeText(cause: Cause): string {
  switch (cause.kind) {
    case "manual":
      return "by hand";
    case "object":
      // The bucket is the asset's own.
      return cause.uri.replace(/^gs:\/\/[^/]+\//, "");
    case "schedule":
      return "by its schedule";
    case "sensor":
      return `by ${cause.sensor}`;
    case "materialization":
      return `after ${cause.asset}`;
    case "reconcile":
      return "to catch up";
    case "backfill":
      return `by backfill ${cause.id}`;
    case "dependent":
      return `for ${cause.asset}`;
    case "replay":
      return `again, as run ${cause.run}`;
    case "job":
      return `by ${cause.job}`;
  }
}

function since(at: number, run: Known | undefined): string {
  return run?.startedAt === undefined ? "" : ` in ${durationText(at - run.startedAt)}`;
}

/** The line of a live view; undefined for what it leaves out. */
export function liveLine(event: SluiceEvent, texts: EventTexts, paint: Paint): string | undefined {
  const { subject, partition, text, style, minor } = texts.of(event);
  if (minor === true) return undefined;
  const what = style === undefined ? plain(text) : paint(style, plain(text));
  const where = [subject, partition].filter((part) => part !== "").map(plain);
  return [paint("dim", clockText(event.at)), ...where, what].join("  ");
}

const ALL_TYPES: Readonly<Record<EventType, true>> = {
  "run.started": true,
  "run.coalesced": true,
  "run.parked": true,
  "run.restarted": true,
  "run.succeeded": true,
  "run.skipped": true,
  "run.failed": true,
  "run.cancel-requested": true,
  "run.canceled": true,
  "asset.paused": true,
  "asset.resumed": true,
  "check.evaluated": true,
  materialized: true,
  observed: true,
  "asset.renamed": true,
  "publish.settled": true,
  "schema.extended": true,
  "sensor.ticked": true,
  "sensor.switched": true,
  "backfill.started": true,
  "backfill.cancelled": true,
  "backfill.resumed": true,
  "backfill.ended": true,
  "freshness.failed": true,
  "freshness.restored": true,
  "alert.sent": true,
  "alert.delayed": true,
  "alert.failed": true,
  "partition.sealed": true,
  "partition.unsealed": true,
  "object.deleted": true,
  "object.kept": true,
  "object.refused": true,
  "table.dropped": true,
  "message.refused": true,
  "message.dead-lettered": true,
  "message.replayed": true,
  log: true,
};
// The keys of the record are exactly the types.
export const EVENT_TYPES: readonly EventType[] = Object.keys(ALL_TYPES) as EventType[];
