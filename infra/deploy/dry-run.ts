/** A plan as the commands that it consists of, for a person's eyes and shell. */
import { isPolicyCall } from "../plan/step.ts";
import type { Call, Plan, PolicyCall, Step, ToolCall } from "../plan/step.ts";
import type { Caller } from "./calling.ts";
import { prepared } from "./prepared.ts";

type Context = Pick<Caller, "values" | "file">;

/**
 * In an order in which they could be run one after the other; what begins with `#` explains. What only the cloud will know, such as the
 * address of a function that is not there yet, stays as it is in the plan: `{url:asset-x}`.
 */
export async function commandLines(
  context: Context,
  plan: Plan,
  before: readonly ToolCall[],
): Promise<readonly string[]> {
  const known = { ...context, values: new Map([...context.values, ...plan.values]) };
  const lines: string[] = [];
  if (before.length > 0)
    lines.push("# before anything else, for the state of the deployment", ...(await linesOf(known, before)));
  for (const step of plan.steps) lines.push(`# ${headingOf(step)}`, ...(await linesOf(known, step.calls)));
  return lines;
}

function headingOf({ id, action, reason }: Step): string {
  return `${action} ${id}: ${reason}`;
}

async function linesOf(context: Context, calls: readonly Call[], indent = ""): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const call of calls) {
    if (isPolicyCall(call)) lines.push(...(await policyLines(context, call)));
    else {
      const { command } = await prepared(context, call);
      lines.push(`${indent}${command}`);
      if ((call.ifExists ?? []).length > 0)
        lines.push("#   if it is there already:", ...(await linesOf(context, call.ifExists ?? [], "#   ")));
      if ((call.ifMissing ?? []).length > 0)
        lines.push("#   if it is not there:", ...(await linesOf(context, call.ifMissing ?? [], "#   ")));
    }
  }
  return lines;
}

/** What is written depends on what will be read. */
async function policyLines(context: Context, { read, write, edit }: PolicyCall): Promise<readonly string[]> {
  const values = new Map(context.values).set("file:policy.json", "policy.json").set("etag:policy", "ETAG");
  const here = { ...context, values };
  const first = await prepared(here, read);
  const second = await prepared(here, write);
  const grants = edit.wanted.map(
    ({ role, member, condition }) => `${role} for ${member}${condition === undefined ? "" : ` if ${condition.title}`}`,
  );
  return [`${first.command} > policy.json`, ...grants.map((grant) => `#   with ${grant}`), second.command];
}
