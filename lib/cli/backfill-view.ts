/** A backfill as people see it: in words, as JSON, and as a bar that moves. */
import { setTimeout as pause } from "node:timers/promises";
import { stderr } from "node:process";
import { endedRuns, remainingMs } from "../core/backfill.ts";
import type { BackfillDocument } from "../core/documents.ts";
import { paceOf } from "./elsewhere.ts";
import type { Shell } from "./shell.ts";
import { plain } from "./shell.ts";
import { countText, durationText } from "./tables.ts";
import type { Workbench } from "./workbench.ts";

/** Partitions that nothing is left to do about. */
export function doneOf({ counts }: Pick<BackfillDocument, "counts">): number {
  return counts.passedOver + endedRuns(counts);
}

/** `412 of 1,000 partitions (41 %): 400 succeeded, 2 failed, 10 passed over, 4 under way; about 3 min 20 s left` */
export function progressText(backfill: BackfillDocument, now: number): string {
  const { counts, underWay, total, endedAt, status } = backfill;
  const done = doneOf(backfill);
  const percent = Math.floor((done / total) * 100);
  const parts = [
    `${counts.succeeded.toLocaleString("en")} succeeded`,
    ...part(counts.skipped, "skipped"),
    ...part(counts.failed, "failed"),
    ...part(counts.passedOver, "passed over"),
    ...part(underWay.length, "under way"),
  ];
  const left = remainingMs(backfill, now);
  const time = endedAt !== undefined || status !== "running" ? "" : `; ${leftText(left)}`;
  return `${done.toLocaleString("en")} of ${countText(total, "partition")} (${percent} %): ${parts.join(", ")}${time}`;
}

const BAR = { most: 40, full: "█", empty: "░" } as const;

/** The progress as a bar that fits into a terminal so wide: `████████████░░░░░░░░░░░░░░░░░░ 41 %`. Full only when all is done. */
export function barText(backfill: Pick<BackfillDocument, "counts" | "total">, columns: number): string {
  const done = doneOf(backfill);
  const width = Math.max(1, Math.min(BAR.most, columns - 6));
  const full = Math.min(width, Math.floor((done / backfill.total) * width));
  return `${BAR.full.repeat(full)}${BAR.empty.repeat(width - full)} ${Math.floor((done / backfill.total) * 100)} %`;
}

function part(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${count.toLocaleString("en")} ${what}`];
}

/** An upper bound: partitions that are passed over take no time. */
function leftText(ms: number | undefined): string {
  return ms === undefined ? "no estimate yet" : `at most about ${durationText(ms)} left`;
}

/** What `--json` says of it. */
export function backfillResult(backfill: BackfillDocument, now: number): object {
  const { id, asset, from, to, total, which, status, reason, counts, underWay, failures, perDay, order } = backfill;
  const left = remainingMs(backfill, now);
  return {
    backfill: id,
    asset,
    from,
    to,
    which,
    ...(backfill.singleRun === undefined ? {} : { singleRun: true }),
    order: order ?? "oldest-first",
    status,
    ...(reason === undefined ? {} : { reason }),
    total,
    done: doneOf(backfill),
    counts,
    underWay: underWay.map(({ partition }) => partition),
    ...(perDay === undefined ? {} : { perDay }),
    ...(left === undefined ? {} : { remainingSeconds: Math.round(left / 1_000) }),
    failures,
    createdAt: new Date(backfill.createdAt).toISOString(),
    ...(backfill.endedAt === undefined ? {} : { endedAt: new Date(backfill.endedAt).toISOString() }),
  };
}

const LOOK_EVERY_MS = 200;
/** Between two lines where there is no terminal. */
const LINE_EVERY_MS = 5_000;

/** Shows it until it has ended: a bar in a terminal, else a line now and then. Rejects when the shell is interrupted. */
export async function followBackfill(
  shell: Shell,
  bench: Pick<Workbench, "store" | "deployment">,
  id: string,
  now: () => number,
): Promise<BackfillDocument> {
  const shown = new Set<string>();
  const bar = shell.columns === undefined || shell.json ? undefined : await openBar();
  let linedAt = now();
  try {
    for (;;) {
      const backfill = await bench.store.get("backfill", id);
      if (backfill === undefined) throw new Error(`the backfill ${id} has gone`);
      for (const { partition, runId, reason } of backfill.failures) {
        if (shown.has(runId)) continue;
        shown.add(runId);
        const line = plain(`${partition} failed (run ${runId}): ${reason}`);
        if (bar === undefined) shell.print(shell.paint("red", line));
        else bar.above(line);
      }
      bar?.show(backfill, now());
      if (backfill.endedAt !== undefined) return backfill;
      if (bar === undefined && now() - linedAt >= LINE_EVERY_MS) {
        shell.print(progressText(backfill, now()));
        linedAt = now();
      }
      await pause(paceOf(bench, LOOK_EVERY_MS), undefined, { signal: shell.signal });
    }
  } finally {
    bar?.close();
  }
}

interface Bar {
  show(backfill: BackfillDocument, now: number): void;
  above(line: string): void;
  close(): void;
}

/** On stderr, as all that is about the command itself. */
async function openBar(): Promise<Bar> {
  const { MultiBar } = await import("cli-progress");
  const format = "{bar} {percentage} % · {value}/{total} · {words}";
  const bars = new MultiBar({ format, stream: stderr, hideCursor: true, barsize: 30, gracefulExit: false });
  let bar: ReturnType<typeof bars.create> | undefined;
  return {
    show(backfill, now) {
      const { counts, underWay, total, endedAt } = backfill;
      const left = endedAt === undefined ? `, ${leftText(remainingMs(backfill, now))}` : "";
      const words = `${counts.failed} failed, ${underWay.length} under way${left}`;
      const done = doneOf(backfill);
      if (bar === undefined) bar = bars.create(total, done, { words });
      else bar.update(done, { words });
    },
    above: (line) => bars.log(`${line}\n`),
    close: () => bars.stop(),
  };
}
