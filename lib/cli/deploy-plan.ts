/** A plan as people read it before they say yes. */
import type { Binding } from "../../infra/manifest.ts";
import type { Plan, Step } from "../../infra/plan/step.ts";
import { shellLine } from "../../infra/gcloud.ts";
import type { Shell, Style } from "./shell.ts";
import { plain } from "./shell.ts";
import { countText, durationText, fittingLines } from "./tables.ts";

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
  const lines = rows.length === 0 ? [] : fittingLines(shell, rows);
  for (const [index, step] of steps.entries()) {
    shell.print(lines[index]);
    for (const line of grantLines(step)) shell.print(`    ${plain(line)}`);
  }
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

type Grant = Pick<Binding, "role" | "member" | "condition">;

/** So many reasons of a role are told; `--json` has all. */
const REASONS = 4;

/** What a policy's step changes, with the reason for each role: one line for all who get a role for the same reasons. */
function grantLines({ grants }: Step): readonly string[] {
  if (grants === undefined) return [];
  const alike = <T extends Grant>(all: readonly T[], reasonsOf: (one: T) => readonly string[]): (readonly T[])[] => [
    ...Map.groupBy(all, (one) => JSON.stringify([one.role, one.condition?.title, reasonsOf(one)])).values(),
  ];
  return [
    ...alike(grants.added, ({ reasons }) => reasons).map(
      (own) => `${grantText(own)}: ${reasonsText(own[0]?.reasons ?? [])}`,
    ),
    ...alike(grants.removed, () => []).map((own) => `no longer ${grantText(own)}`),
  ];
}

function reasonsText(reasons: readonly string[]): string {
  const more = reasons.length - REASONS;
  return `${reasons.slice(0, REASONS).join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/** `roles/run.invoker for sluice-push@my-project (below in/)` */
function grantText(own: readonly Grant[]): string {
  const members = own.map(({ member }) =>
    member.replace(/^serviceAccount:/, "").replace(/\.iam\.gserviceaccount\.com$/, ""),
  );
  const { role, condition } = own[0] ?? {};
  return `${role ?? ""} for ${members.join(", ")}${condition === undefined ? "" : ` (${condition.title})`}`;
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
    steps: steps.map(({ id, kind, action, reason, needs, grants }) => ({
      id,
      kind,
      action,
      reason,
      needs,
      ...(grants === undefined
        ? {}
        : {
            grants: grants.added.map(({ role, member, condition, reasons }) => ({ role, member, condition, reasons })),
            revokes: grants.removed,
          }),
    })),
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
