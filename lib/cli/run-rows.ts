/** Runs as rows of a table. */
import type { RunDocument, RunStatus } from "../core/documents.ts";
import type { Style } from "./shell.ts";
import type { Row } from "./tables.ts";
import { clockText, durationText, timeText } from "./tables.ts";

export const RUN_HEAD = ["CREATED (UTC)", "RUN", "OF", "PARTITION", "STATUS", "TOOK", "WHY"] as const;

const STYLES: Readonly<Record<RunStatus, Style>> = {
  running: "cyan",
  parked: "yellow",
  succeeded: "green",
  failed: "red",
  skipped: "dim",
  canceled: "yellow",
};

export function runRows(runs: readonly RunDocument[]): Row[] {
  return runs.map((run) => [
    timeText(run.createdAt),
    { text: run.id, style: "dim" },
    run.name,
    run.partition,
    { text: run.status, style: STYLES[run.status] },
    run.endedAt === undefined ? "" : durationText(run.endedAt - run.createdAt),
    whyText(run),
  ]);
}

function whyText({ status, reason = "", wakeAt }: RunDocument): string {
  return status === "parked" && wakeAt !== undefined ? `until ${clockText(wakeAt)}: ${reason}` : reason;
}
