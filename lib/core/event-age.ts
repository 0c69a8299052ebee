/** Whether a trigger comes too late to be of use: an asset may say how old the message may be that asks for a run. */
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { RunRequest } from "./request.ts";

/** Throws `DefinitionError` for what is no time that a message could have. */
export function checkMaxEventAge(maxEventAge: Duration | undefined, asset: string): void {
  if (maxEventAge === undefined || durationMs(maxEventAge) > 0) return;
  throw new DefinitionError(`the maxEventAge of ${asset} is nothing, so that no message would do`, {
    remedy: "leave it out, or write a time such as 6h",
  });
}

export interface Age {
  readonly now: number;
  /** When the message was sent. A request that Sluice itself has kept, or makes again, is sent anew, and is young. */
  readonly sentAt?: number | undefined;
  /** Absent: any age will do. */
  readonly maxAgeMs?: number | undefined;
}

/**
 * Why the request is too old, if it is. What a person insists on (`force`), and a backfill, are never too old: somebody has
 * chosen just these partitions.
 */
export function ageProblem(
  { cause, force }: Pick<RunRequest, "cause" | "force">,
  { now, sentAt, maxAgeMs }: Age,
): string | undefined {
  if (sentAt === undefined || maxAgeMs === undefined || force === true || cause.kind === "backfill") return undefined;
  if (now - sentAt <= maxAgeMs) return undefined;
  const [age, most] = [now - sentAt, maxAgeMs].map((ms) => `${Math.floor(ms / 1_000)} s`);
  return `its message is ${age} old, and the asset's maxEventAge is ${most}`;
}
