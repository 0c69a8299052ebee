/** Whether a slot is as its last commit left it: what the history says, against what the warehouse says of the table. */
import type { Intent, SlotCommit } from "./documents.ts";

export type SlotStatus =
  /** Nothing was ever published, and nothing is there. */
  | "empty"
  | "as committed"
  /** A publish is under way, or was cut off: the next run settles it. */
  | "publishing"
  | "unsettled"
  /** Somebody else has written. */
  | "changed"
  | "missing"
  | "foreign";

export interface SlotFacts {
  readonly committed?: SlotCommit | undefined;
  readonly intent?: Intent | undefined;
  /** Whether the intent's run is gone. */
  readonly abandoned?: boolean;
  /**
   * When the job of the last commit had ended, by the clock of `changedAt`; `undefined` where there is no other clock, and
   * `unknown` where there is one, and the warehouse does not know the job any more.
   */
  readonly endedAt?: number | "unknown" | undefined;
  /** When the table, or the partition of it, was last changed by anybody; `undefined` where it is not there. */
  readonly changedAt: number | undefined;
  /** What the last commit published, where that is known. A partition of no rows is none. */
  readonly rows?: number | undefined;
}

export interface SlotVerdict {
  readonly status: SlotStatus;
  /** Whether the slot is not what Sluice has published in it. */
  readonly drift: boolean;
  readonly reason: string;
}

/** A table may say that it was changed a moment after the job that changed it had ended. */
export const MOMENT_MS = 2_000;

/**
 * The last change is compared with the end of the publish's own job, and a write by others within `MOMENT_MS` after it is not
 * seen. Without that, with the commit: `slackMs` is by how much the time of a change may be later than the commit that it belongs
 * to, or the clocks differ, and a write within it, or before the commit was written down, is not seen.
 */
export function verifySlot(facts: SlotFacts, slackMs: number): SlotVerdict {
  const { committed, intent, changedAt, endedAt } = facts;
  const limit = typeof endedAt === "number" ? endedAt + MOMENT_MS : (committed?.at ?? -Infinity) + slackMs;
  if (intent !== undefined) {
    // Since it was opened, its own publish may have changed the table, or may do so any moment.
    const before = changedAt !== undefined && changedAt > limit && changedAt < intent.openedAt - slackMs;
    if (before && committed !== undefined) return changed(committed, changedAt);
    const what = `${intent.jobId} of run ${intent.runId} is open since ${time(intent.openedAt)}`;
    if (facts.abandoned !== true) return good("publishing", what);
    return good("unsettled", `${what}, and its run is gone: the next run settles it`);
  }
  if (committed === undefined) {
    if (changedAt === undefined) return good("empty", "nothing was published yet");
    return drift("foreign", `it is there, and Sluice has published nothing in it; last changed ${time(changedAt)}`);
  }
  if (changedAt === undefined) {
    if (facts.rows === 0) return good("as committed", `no rows, by run ${committed.runId}`);
    return drift(
      "missing",
      `${committed.jobId} of run ${committed.runId} published it ${time(committed.at)}, and it is gone`,
    );
  }
  if (changedAt > limit) return changed(committed, changedAt);
  const compared =
    endedAt === "unknown" ? ", by the commit's time alone: the warehouse does not know the job any more" : "";
  return good("as committed", `by ${committed.jobId} of run ${committed.runId}, ${time(committed.at)}${compared}`);
}

function changed({ jobId, runId, at }: SlotCommit, changedAt: number): SlotVerdict {
  return drift("changed", `changed ${time(changedAt)}, after the last publish, ${jobId} of run ${runId}, ${time(at)}`);
}

function good(status: SlotStatus, reason: string): SlotVerdict {
  return { status, drift: false, reason };
}

function drift(status: SlotStatus, reason: string): SlotVerdict {
  return { status, drift: true, reason };
}

function time(at: number): string {
  return new Date(at).toISOString();
}
