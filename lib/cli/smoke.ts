/** The check that a deployment works: one request by Pub/Sub, and its run followed in the event store to the end. */
import type { RunDocument } from "../core/documents.ts";
import type { StoredEvent } from "../core/events.ts";
import type { Clock } from "../ports/clock.ts";
import { endOfHistory } from "./follow.ts";
import { trailOf } from "./trail.ts";
import type { ReadableStore } from "./workbench.ts";

export interface SmokeOptions {
  readonly store: ReadableStore;
  /** Publishes a request of this body to the asset's topic. */
  publish(body: string): Promise<void>;
  /** Tells this request's run from all others. */
  readonly runKey: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Each event of the run, as it comes. */
  tell(event: StoredEvent): void;
  /** How long it may take, milliseconds. */
  readonly limitMs: number;
}

export type SmokeResult =
  | { readonly kind: "ended"; readonly run: RunDocument }
  | { readonly kind: "refused"; readonly reason: string }
  /** Nothing, or no end of it, was seen in time. */
  | { readonly kind: "late"; readonly seen: boolean };

/** A store in the cloud is asked a few times a minute, not a few times a second. */
const LOOK_EVERY_MS = 2_000;
const EVENTS = 500;

/** Rejects when the signal is aborted; the request takes its course all the same. */
export async function smokeCheck(options: SmokeOptions): Promise<SmokeResult> {
  const { store, publish, runKey, clock, signal, tell, limitMs } = options;
  let position = await endOfHistory(store);
  await publish(JSON.stringify({ runKey, cause: { kind: "manual" } }));
  const trail = trailOf(store, { runKeys: [runKey] });
  let seen = false;
  for (const until = clock.now() + limitMs; ; await clock.sleep(LOOK_EVERY_MS, signal)) {
    const after = position === undefined ? {} : { after: position };
    const { items } = await store.history({ order: "oldest", limit: EVENTS, ...after });
    for (const event of items) {
      position = event.position;
      if (!(await trail.includes(event))) continue;
      seen = true;
      tell(event);
    }
    const run = (await trail.runs()).find(({ endedAt }) => endedAt !== undefined);
    if (run !== undefined) return { kind: "ended", run };
    if (trail.refusal !== undefined) return { kind: "refused", reason: trail.refusal };
    if (clock.now() >= until) return { kind: "late", seen };
  }
}
