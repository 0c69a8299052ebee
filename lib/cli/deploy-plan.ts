/** A plan as people read it before they say yes. */
import type { Plan, Step } from "../../infra/plan/step.ts";
import { shellLine } from "../../infra/gcloud.ts";
import type { Shell, Style } from "./shell.ts";
import { plain } from "./shell.ts";
import { countText, durationText, printTable } from "./tables.ts";

const SIGNS: Readonly<Record<Step["action"], { readonly sign: string; readonly style: Style }>> = {
  create: { sign: "+", style: "green" },
  update: { sign: "~", style: "yellow" },
  delete: { sign: "-", style: "red" },
};

export function printDeployPlan(shell: Shell, { steps, withheld, foreign, notes, unchanged, seconds }: Plan): void {
  const rows = steps.map(({ id, action, reason }) => {
    const { sign, style } = SIGNS[action];
    return [{ text: `${sign} ${id}`, style }, reason];
  });
  if (rows.length > 0) printTable(shell, rows);
  for (const note of notes) shell.print(plain(note));
  if (foreign.length > 0) {
    shell.print("to be granted by the owners of other projects:");
    for (const { binding, command } of foreign)
      shell.print(`  ${shellLine(command)}  # ${binding.reasons.map(plain).join("; ")}`);
  }
  if (withheld.length > 0) {
    shell.print(`no longer wanted, and deleted with --prune only:`);
    for (const { id, reason } of withheld) shell.print(`  ${id} (${reason})`);
  }
  const time = steps.length === 0 ? "" : `; about ${durationText(seconds * 1_000)}`;
  shell.print(`${countsText(steps)}, ${countText(unchanged.length, "unchanged", "unchanged")}${time}`);
}

/** `3 to create, 1 to update` */
export function countsText(steps: readonly Pick<Step, "action">[]): string {
  const count = (action: Step["action"]): number => steps.filter((step) => step.action === action).length;
  const parts = (["create", "update", "delete"] as const).flatMap((action) =>
    count(action) === 0 ? [] : [`${count(action)} to ${action}`],
  );
  return parts.length === 0 ? "nothing to do" : parts.join(", ");
}

/** What `--json` says of it. */
export function planValue({ environment, steps, unchanged, withheld, foreign, notes, seconds }: Plan): object {
  return {
    environment,
    steps: steps.map(({ id, kind, action, reason, needs }) => ({ id, kind, action, reason, needs })),
    unchanged: unchanged.map(({ id }) => id),
    withheld: withheld.map(({ id, reason }) => ({ id, reason })),
    foreign: foreign.map(({ project, binding, command }) => ({
      project,
      role: binding.role,
      member: binding.member,
      reasons: binding.reasons,
      command: shellLine(command),
    })),
    notes,
    estimatedSeconds: seconds,
  };
}
