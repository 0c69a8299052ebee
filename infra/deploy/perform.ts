/** One try of a step: its calls, one after the other, with their placeholders filled and their files written. */
import { messageOf } from "../../lib/core/errors.ts";
import { editedPolicy } from "../plan/policy.ts";
import type { EditedPolicy } from "../plan/policy.ts";
import { isPolicyCall } from "../plan/step.ts";
import type { PolicyCall, Step, ToolCall } from "../plan/step.ts";
import type { Caller } from "./calling.ts";
import type { Fault } from "./faults.ts";
import { prepared, unauthenticated } from "./prepared.ts";
import { faultOfCall } from "./roles.ts";
import type { Tried } from "./run-steps.ts";

/** A call that has not done what it should. */
class CallFault extends Error {
  override readonly name = "CallFault";
  readonly fault: Fault;
  readonly command: string;
  constructor(fault: Fault, command: string) {
    super(fault.reason);
    this.fault = fault;
    this.command = command;
  }
}

/** Tries the step's calls from the one with the index `from` on. Rejects where no other step could do better either. */
export async function attemptStep(
  options: Pick<Caller, "tools" | "values" | "file">,
  step: Step,
  from: number,
): Promise<Tried> {
  for (const [index, call] of step.calls.entries()) {
    if (index < from) continue;
    try {
      await (isPolicyCall(call) ? changePolicy(options, call) : perform(options, call));
    } catch (error) {
      if (!(error instanceof CallFault)) throw error;
      const { fault, command } = error;
      if (fault.kind === "unauthenticated") throw unauthenticated(fault);
      return { kind: "fault", at: index, fault, command };
    }
  }
  return { kind: "done" };
}

/** One call, and what comes in its place where it says so. The result is what it wrote on stdout. Throws `CallFault`. */
async function perform(options: Pick<Caller, "tools" | "values" | "file">, call: ToolCall): Promise<string> {
  const { tool, args, command, missing } = await prepared(options, call);
  if (missing.length > 0) throw new CallFault(unknownValue(missing), command);
  const result = await options.tools.run({ tool, args });
  if (result.code === 0) {
    learn(options, call, result.stdout, command);
    return result.stdout;
  }
  const fault = faultOfCall({ tool, args }, result);
  const instead = fault.kind === "exists" ? call.ifExists : fault.kind === "missing" ? call.ifMissing : undefined;
  if (instead === undefined) throw new CallFault(fault, command);
  for (const other of instead) await perform(options, other);
  return "";
}

async function changePolicy(
  options: Pick<Caller, "tools" | "values" | "file">,
  { read, write, edit }: PolicyCall,
): Promise<void> {
  const text = await perform(options, read);
  const { command } = await prepared(options, read);
  let policy: EditedPolicy;
  try {
    policy = editedPolicy(text, edit, options.values);
  } catch (error) {
    throw new CallFault({ kind: "failed", reason: messageOf(error) }, command);
  }
  if (!policy.changed) return;
  const values = new Map(options.values).set("etag:policy", policy.etag);
  try {
    await perform({ ...options, values }, { ...write, files: { ...write.files, "policy.json": policy.text } });
  } catch (error) {
    // Somebody has changed it since it was read: the next try reads it again.
    if (error instanceof CallFault && error.fault.kind === "precondition")
      throw new CallFault({ ...error.fault, kind: "conflict" }, error.command);
    throw error;
  }
}

function unknownValue(missing: readonly string[]): Fault {
  return { kind: "failed", reason: `${missing.join(", ")} is not known: deploy with --refresh` };
}

function learn(
  { values }: Pick<Caller, "tools" | "values" | "file">,
  { gives = {} }: ToolCall,
  stdout: string,
  command: string,
): void {
  const entries = Object.entries(gives);
  if (entries.length === 0) return;
  const told = jsonFrom(stdout, command);
  for (const [name, path] of entries) {
    const value = fieldOf(told, path);
    if (value === undefined)
      throw new CallFault({ kind: "failed", reason: `its answer lacks ${path}, which tells ${name}` }, command);
    values.set(name, value);
  }
}

function jsonFrom(text: string, command: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CallFault({ kind: "failed", reason: `its answer is not JSON: ${text.trim().slice(0, 80)}` }, command);
  }
}

function fieldOf(value: unknown, path: string): string | undefined {
  let inner = value;
  for (const name of path.split(".")) {
    if (inner === null || typeof inner !== "object") return undefined;
    // Any field of an object may be asked for.
    inner = (inner as Readonly<Record<string, unknown>>)[name];
  }
  return typeof inner === "string" || typeof inner === "number" ? String(inner) : undefined;
}
