/** Calls that are made on the way to a plan, and for the state: each tried again where that can help. */
import { availableParallelism } from "node:os";
import { backoff } from "../../lib/core/backoff.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { Clock, Random } from "../../lib/ports/clock.ts";
import type { ToolResult, Tools } from "../gcloud.ts";
import type { ToolCall } from "../plan/step.ts";
import { RETRY_RULES } from "./faults.ts";
import type { Fault, FaultKind } from "./faults.ts";
import { prepared, unauthenticated } from "./prepared.ts";
import type { CallContext } from "./prepared.ts";
import { faultOfCall } from "./roles.ts";

export interface Caller extends CallContext {
  readonly tools: Tools;
  /** What calls tell is added. */
  readonly values: Map<string, string>;
  readonly clock: Clock;
  readonly random: Random;
}

export type Answer = ToolResult & { readonly fault?: Fault };

/** Throws `PermanentError`, with the command, for any lasting fault that is not among the `expected` kinds. */
export async function callTool(
  caller: Caller,
  call: ToolCall,
  expected: readonly FaultKind[] = [],
  signal?: AbortSignal,
): Promise<Answer> {
  const { tools, clock, random } = caller;
  const { tool, args, command, missing } = await prepared(caller, call);
  if (missing.length > 0) throw new PermanentError(`${missing.join(", ")} is not known, for the command ${command}`);
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    const result = await tools.run({ tool, args });
    if (result.code === 0) return result;
    const fault = faultOfCall({ tool, args }, result);
    if (expected.includes(fault.kind)) return { ...result, fault };
    if (fault.kind === "unauthenticated") throw unauthenticated(fault);
    const instead = fault.kind === "exists" ? call.ifExists : fault.kind === "missing" ? call.ifMissing : undefined;
    if (instead !== undefined) {
      for (const other of instead) await callTool(caller, other, [], signal);
      return { ...result, fault };
    }
    const rule = RETRY_RULES[fault.kind];
    if (rule === undefined || attempt >= rule.attempts)
      throw new PermanentError(`${fault.reason}; the command was: ${command}`, { code: fault.kind });
    await clock.sleep(backoff({ attempt, minMs: rule.minMs, maxMs: rule.maxMs }, random.next()), signal);
  }
}

/** As many at a time as the machine has cores: the tools are busy, not idle, while they start. In the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  atOnce = availableParallelism(),
): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
