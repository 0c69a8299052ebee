import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import type { RunDocument } from "../../core/documents.ts";
import { example } from "../command.ts";
import { deployable, paceOf } from "../elsewhere.ts";
import type { ExitCode, Runner } from "../command.ts";
import { runResult } from "../follow.ts";
import { settleOrLeave } from "../settle-or-leave.ts";
import { plain } from "../shell.ts";
import type { Shell } from "../shell.ts";
import { timeText } from "../tables.ts";
import { UsageError } from "../usage-error.ts";
import type { Workbench } from "../workbench.ts";

const LOOK_EVERY_MS = 50;

export function cancelCommand(run: Runner): Command {
  return deployable(new Command("cancel"))
    .description("end a run: what it has under way is stopped, and it publishes nothing any more")
    .argument("<run>", "the run's id, as `sluice runs` shows it")
    .option("--reason <text>", "why, for the history")
    .addHelpText("after", example("sluice cancel 4f1d0a2b3c4d5e6f --reason 'wrong config'"))
    .action(
      run(async ({ shell, bench: open }, id: string, { reason }: { readonly reason?: string }) => {
        const bench = await open();
        const answer = await bench.operations.cancel(id, reason);
        switch (answer.kind) {
          case "unknown":
            throw new UsageError(`there is no run ${JSON.stringify(id)}: see \`sluice runs\``);
          case "folded": {
            const { asset, partition } = answer;
            const where = `${asset} ${partition}`.trimEnd();
            return refuse(shell, `run ${id} does not wait by itself: another request of ${where} stands for both`);
          }
          case "ended": {
            const { status, endedAt = 0 } = answer.run;
            return refuse(shell, `run ${id} has ended already: ${status} at ${timeText(endedAt)} UTC`, answer.run);
          }
          case "canceled":
            return await tell(shell, bench, answer.run);
          default:
            return await waitForEnd(shell, bench, id);
        }
      }),
    );
}

function refuse(shell: Shell, reason: string, run?: RunDocument): ExitCode {
  shell.value({ ...(run === undefined ? {} : runResult(run)), refused: reason });
  shell.warn(`error: ${plain(reason)}`);
  return 1;
}

async function waitForEnd(shell: Shell, bench: Workbench, id: string): Promise<ExitCode> {
  const elsewhere = bench.remote || !(await settleOrLeave(shell, bench));
  for (;;) {
    const run = await bench.store.get("run", id);
    if (run?.endedAt !== undefined) return await tell(shell, bench, run);
    if (!elsewhere)
      return refuse(shell, `run ${id} is to be canceled, and sleeps: ${run?.reason ?? "nobody executes it"}`, run);
    await pause(paceOf(bench, LOOK_EVERY_MS), undefined, { signal: shell.signal });
  }
}

async function tell(shell: Shell, { store }: Workbench, run: RunDocument): Promise<ExitCode> {
  const [event] = (await store.history({ run: run.id, types: ["run.canceled"], limit: 1 })).items;
  const jobs = event?.type === "run.canceled" ? (event.jobs ?? []) : [];
  shell.value({ ...runResult(run), jobs });
  const what = `${run.name} ${run.partition}`.trimEnd();
  shell.print(plain(`run ${run.id} of ${what}: ${run.status}, ${run.reason ?? ""}`));
  for (const { jobId, outcome } of jobs)
    shell.print(`the warehouse job ${jobId} ${outcome === "stopped" ? "was stopped" : "had ended by itself"}`);
  return run.status === "canceled" ? 0 : 1;
}
