/** What a deployment does, while it does it: lines, and below them a bar where there is a terminal. All of it on stderr. */
import { stderr } from "node:process";
import type { DeployEvent } from "../../infra/deploy.ts";
import type { Plan, Step } from "../../infra/plan/step.ts";
import type { Shell, Style } from "./shell.ts";
import { plain } from "./shell.ts";
import { durationText } from "./tables.ts";

export interface DeployProgress {
  show(event: DeployEvent): void;
  /** A line about the whole. */
  say(line: string): void;
  /** Leaves the terminal as it was; may be called twice. */
  close(): void;
}

export interface ProgressBar {
  /** `words` stand behind the count, with what divides them from it; none when all is done. */
  show(done: number, words: string): void;
  above(line: string): void;
  close(): void;
}

export interface ProgressOptions {
  /** Writes a line; with a bar, above that. */
  line(text: string, style?: Style): void;
  /** Where there is a terminal. */
  openBar?: (total: number) => ProgressBar;
  now(): number;
}

const DONE: Readonly<Record<Step["action"], string>> = { create: "created", update: "updated", delete: "deleted" };
/** So many are named of those that are under way. */
const NAMED = 3;

export function deployProgress({ line, openBar, now }: ProgressOptions): DeployProgress {
  /** With when it began. */
  const underWay = new Map<string, { readonly step: Step; readonly since: number }>();
  let bar: ProgressBar | undefined;
  let total = 0;
  let over = 0;
  let plan: Plan | undefined;
  let began = 0;
  /** Seconds that the steps which are over usually take. */
  let spent = 0;

  const say = (text: string, style?: Style): void => {
    if (bar === undefined) line(text, style);
    else bar.above(text);
  };
  const counted = (text: string, style?: Style): void =>
    say(bar === undefined ? `[${String(over).padStart(String(total).length)}/${total}] ${text}` : text, style);
  const draw = (): void => {
    const names = [...underWay.keys()];
    const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
    const left = over === total ? 0 : timeLeft(plan, spent, underWay.values(), now(), began);
    // A narrow terminal cuts the end off.
    const words = [
      ...(left > WORTH_SAYING_MS ? [`about ${durationText(left)} left`] : []),
      ...(names.length > 0 ? [`${names.slice(0, NAMED).join(", ")}${more}`] : []),
    ];
    bar?.show(over, words.map((word) => ` · ${word}`).join(""));
  };
  const end = ({ id, seconds }: Step): void => {
    underWay.delete(id);
    over += 1;
    spent += seconds;
  };

  return {
    say,
    show(event) {
      switch (event.type) {
        case "reading":
        case "planned":
          return;
        case "locked":
          return say(`waiting: ${event.message}`);
        case "overtaken":
          return say("somebody has deployed meanwhile: looking again");
        case "stolen":
          return say(`took over from ${event.from.holder}, who has not finished`, "yellow");
        case "begun":
          ({ plan } = event);
          total = plan.steps.length;
          began = now();
          bar = openBar?.(total);
          return draw();
        case "started":
          underWay.set(event.step.id, { step: event.step, since: now() });
          return draw();
        case "waiting":
          underWay.delete(event.step.id);
          say(`${event.step.id}: ${plain(event.fault.reason)}; again in ${durationText(event.ms)}`, "yellow");
          return draw();
        case "done":
          end(event.step);
          counted(`${event.step.id}: ${DONE[event.step.action]} in ${durationText(event.ms)}`);
          return draw();
        case "failed":
          end(event.step);
          counted(`${event.step.id}: failed: ${plain(event.fault.reason)}`, "red");
          return draw();
        case "blocked":
          // One that fails may hold up hundreds: the end says how many.
          end(event.step);
          return draw();
      }
    },
    close() {
      bar?.close();
      bar = undefined;
    },
  };
}

/** A step that takes longer than usual is never taken for done. */
const NEARLY = 0.95;
const WORTH_SAYING_MS = 5_000;

/**
 * From what was planned, and from how fast it goes: the less is left, the more the latter counts. `spent`: seconds that those which are
 * over usually take.
 */
function timeLeft(
  plan: Pick<Plan, "steps" | "seconds"> | undefined,
  spent: number,
  underWay: Iterable<{ readonly step: Step; readonly since: number }>,
  now: number,
  began: number,
): number {
  if (plan === undefined) return 0;
  const all = plan.steps.reduce((sum, { seconds }) => sum + seconds, 0);
  let made = spent;
  for (const { step, since } of underWay) made += Math.min((now - since) / 1_000, NEARLY * step.seconds);
  const share = all === 0 ? 0 : Math.min(1, made / all);
  return (plan.seconds * 1_000 * (1 - share) + (now - began)) * (1 - share);
}

/** On stderr; a bar where that is a terminal, and neither with `--json`. */
export async function openDeployProgress(shell: Shell): Promise<DeployProgress> {
  const line = (text: string, style?: Style): void => {
    if (!shell.json) shell.warn(text, style);
  };
  const now = (): number => performance.now();
  if (!stderr.isTTY || shell.json) return deployProgress({ line, now });
  const { MultiBar } = await import("cli-progress");
  return deployProgress({
    line,
    now,
    openBar(total) {
      const format = "{bar} {percentage} % · {value}/{total}{words}";
      const bars = new MultiBar({ format, stream: stderr, hideCursor: true, barsize: 20, gracefulExit: false });
      const bar = bars.create(total, 0, { words: "" });
      return {
        show(done, words) {
          bar.update(done, { words });
        },
        above: (text) => bars.log(`${text}\n`),
        close: () => bars.stop(),
      };
    },
  });
}
