/** What a sensor's code may answer, brought into one form. */
import type { SensorAnswer, SensorRequest } from "./sensor.ts";

export interface ReadAnswer<C> {
  readonly requests: readonly SensorRequest<C>[];
  readonly skipReason: string | undefined;
  /** What the next tick shall find as its cursor. */
  readonly next: string | undefined;
}

export function readAnswer<C>(answer: SensorAnswer<C>): ReadAnswer<C> {
  // Array.isArray does not narrow readonly arrays.
  if (Array.isArray(answer))
    return { requests: answer as readonly SensorRequest<C>[], skipReason: undefined, next: undefined };
  const said = answer as Exclude<typeof answer, readonly unknown[]>;
  if ("skip" in said) return { requests: [], skipReason: said.skip, next: said.cursor };
  if ("requests" in said) return { requests: said.requests, skipReason: undefined, next: said.cursor };
  return { requests: [said], skipReason: undefined, next: undefined };
}
