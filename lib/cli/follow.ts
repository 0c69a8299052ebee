/** Shows what a request causes while it happens, until it is over. */
import { setTimeout as pause } from "node:timers/promises";
import type { RunDocument } from "../core/documents.ts";
import { paceOf } from "./elsewhere.ts";
import { eventTexts, liveLine } from "./event-lines.ts";
import type { Shell } from "./shell.ts";
import { trailOf } from "./trail.ts";
import type { Roots, Trail } from "./trail.ts";
import type { ReadableStore, Workbench } from "./workbench.ts";

const LOOK_EVERY_MS = 50;

/** Where the history ends now; what comes after it is new. */
export async function endOfHistory(store: ReadableStore): Promise<string | undefined> {
  return (await store.history({ limit: 1 })).items[0]?.position;
}

export interface Follower {
  /** Until the request was refused, or the runs that were asked for are over: by default, until one of them has ended. */
  untilEnded(areOver?: (runs: readonly RunDocument[]) => boolean): Promise<void>;
  /** Until nothing can be done now: what followed is over, what sleeps is asleep. */
  untilSettled(): Promise<void>;
  /** The runs that were asked for. */
  runs(): Promise<readonly RunDocument[]>;
  refusal(): string | undefined;
}

/**
 * Prints a line for each event that the roots have caused since `from`; `tellsRefusal`: whoever asks says itself that the
 * request was refused. Rejects when the shell is interrupted.
 */
export function follow(
  shell: Shell,
  bench: Workbench,
  from: string | undefined,
  roots: Roots,
  { tellsRefusal = false }: { readonly tellsRefusal?: boolean } = {},
): Follower {
  const trail: Trail = trailOf(bench.store, roots);
  const texts = eventTexts();
  let position = from;

  const look = async (): Promise<void> => {
    for (;;) {
      const after = position === undefined ? {} : { after: position };
      const { items, next } = await bench.store.history({ order: "oldest", limit: 500, ...after });
      for (const event of items) {
        position = event.position;
        if (!(await trail.includes(event))) continue;
        if (tellsRefusal && event.type === "message.refused" && event.messageId === roots.messageId) continue;
        if (event.run !== undefined && !texts.knows(event.run)) {
          const run = await bench.store.get("run", event.run);
          if (run !== undefined) texts.learn(run);
        }
        const line = liveLine(event, texts, shell.paint);
        if (line !== undefined) shell.print(line);
      }
      if (next === undefined) return;
    }
  };
  const lookUntil = async (isOver: () => Promise<boolean>): Promise<void> => {
    for (;;) {
      // Asked before the look, so that what had happened by then is shown.
      const over = await isOver();
      await look();
      if (over) return;
      await pause(paceOf(bench, LOOK_EVERY_MS), undefined, { signal: shell.signal });
    }
  };

  return {
    untilEnded: (areOver = (runs) => runs.some(({ endedAt }) => endedAt !== undefined)) =>
      lookUntil(async () => trail.refusal !== undefined || areOver(await trail.runs())),
    async untilSettled() {
      let settled = false;
      const settling = bench.settle().finally(() => {
        settled = true;
      });
      // Its rejection is seen below, once the events before it have been shown.
      settling.catch(() => undefined);
      await lookUntil(async () => settled);
      await settling;
    },
    runs: () => trail.runs(),
    refusal: () => trail.refusal,
  };
}

/** What `--json` says of a run. */
export function runResult(run: RunDocument): object {
  const { id, kind, name, partition, status, code, reason, materializationId, attempt, createdAt, endedAt } = run;
  return {
    run: id,
    kind,
    name,
    ...(partition === "" ? {} : { partition }),
    status,
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
    ...(materializationId === undefined ? {} : { materializationId }),
    attempt,
    createdAt: new Date(createdAt).toISOString(),
    ...(endedAt === undefined ? {} : { endedAt: new Date(endedAt).toISOString() }),
  };
}
