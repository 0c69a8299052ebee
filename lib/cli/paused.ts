/** Paused assets, as lists say it. */
import type { PauseDocument } from "../core/documents.ts";
import { plain } from "./shell.ts";
import { timeText } from "./tables.ts";

/** `since 2024-05-01 10:00:00 UTC (the source is broken)` */
export function pausedSince({ at, reason }: PauseDocument): string {
  return `since ${timeText(at)} UTC${reason === undefined ? "" : ` (${plain(reason)})`}`;
}

/** What `--json` says of it. */
export function pausedValue(pause: PauseDocument | undefined): object {
  if (pause === undefined) return {};
  const { at, reason } = pause;
  return { paused: { at: new Date(at).toISOString(), ...(reason === undefined ? {} : { reason }) } };
}
