/** Fires schedules while `sluice dev` runs, as the cloud's scheduler does: at least once, with a body that never changes. */
import type { Definitions } from "../core/definitions.ts";
import { put, ref } from "../core/documents.ts";
import { requestsFor } from "../core/multi-requests.ts";
import { originOf } from "../core/previous-keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventStore } from "../ports/event-store.ts";
import type { MessageBus } from "../ports/message-bus.ts";
import { tickAttributes } from "../runtime/envelope.ts";
import { planTicks } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

export interface Scheduler {
  /** The schedules may have changed. */
  refresh(): void;
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  readonly events: EventStore;
  readonly bus: MessageBus;
  readonly clock: Clock;
  definitions(): Definitions;
  /** Hears of every cron line that cannot be read, once. */
  onProblem(line: string): void;
  onError(error: unknown): void;
}

/** However far the next tick is, the clock is looked at this often: it may be set, or the machine may have slept. */
const LONGEST_SLEEP_MS = 30_000;

/** Makes up for one missed tick of each schedule, its latest, and fires from then on. */
export function startScheduler(options: SchedulerOptions): Scheduler {
  const { clock, onError } = options;
  const stopping = new AbortController();
  const reported = new Set<string>();
  let nap = new AbortController();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      nap = new AbortController();
      let pause = LONGEST_SLEEP_MS;
      try {
        const { nextAt, problems } = await fireDue(options);
        for (const problem of problems) if (!reported.has(problem)) options.onProblem(problem);
        problems.forEach((problem) => reported.add(problem));
        if (nextAt !== undefined) pause = Math.min(pause, Math.max(1, nextAt - clock.now()));
      } catch (error) {
        onError(error);
      }
      const signal = AbortSignal.any([stopping.signal, nap.signal]);
      await clock.sleep(pause, signal).catch(() => undefined);
    }
  }
  const running = run();
  return {
    refresh: () => nap.abort(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Publishes what is due and remembers it; dying in between repeats the message, which its run key makes harmless. */
export async function fireDue({
  events,
  bus,
  clock,
  definitions,
}: Pick<SchedulerOptions, "events" | "bus" | "clock" | "definitions">): Promise<ReturnType<typeof planTicks>> {
  const defined = definitions();
  const schedules = schedulesOf(defined);
  const cursors = new Map<string, number>();
  for (const { asset } of schedules) {
    const cursor = await events.get("cursor", cursorId(defined, asset));
    if (cursor !== undefined) cursors.set(asset, Number(cursor.value));
  }
  const now = clock.now();
  const plan = planTicks(schedules, cursors, now);
  const remember = async (asset: string, tick: number): Promise<void> => {
    const cursor = ref("cursor", cursorId(defined, asset));
    await events.transact({ cursor }, () => ({
      result: undefined,
      writes: [put(cursor, { value: String(tick), at: now })],
      events: [],
    }));
  };
  for (const [tick, members] of Map.groupBy(plan.due, (one) => one.tick)) {
    const due = members.flatMap(({ asset }) => defined.assets.get(asset) ?? []).map((asset) => ({ asset }));
    for (const { topic, data } of requestsFor(defined, due, { cause: { kind: "schedule" } }))
      await bus.publish(topic, { data, attributes: tickAttributes(tick) });
  }
  for (const { asset, tick } of plan.due) await remember(asset, tick);
  for (const asset of plan.fresh) await remember(asset, now);
  return plan;
}

function schedulesOf(definitions: Definitions): readonly Schedule[] {
  return [...definitions.assets.values()].flatMap(({ key, automation }) =>
    automation?.kind === "schedule" ? [{ asset: key, cron: automation.cron, timeZone: automation.timeZone }] : [],
  );
}

/** A renamed asset goes on with the ticks that it had. */
function cursorId(definitions: Definitions, key: string): string {
  return `schedule ${originOf(definitions.assets.get(key) ?? { key })}`;
}
