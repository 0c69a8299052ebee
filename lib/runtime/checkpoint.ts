/** The desk where an author's code asks for its checkpoints to be saved, and where the runtime serves it. */
import { checkpointText } from "../core/checkpoint.ts";
import type { Checkpoint, JsonValue } from "../core/checkpoint.ts";
import { RetryableError } from "../core/errors.ts";
import { holds, runRefs } from "../core/run-identity.ts";
import { put, ref } from "../core/documents.ts";
import type { Clock } from "../ports/clock.ts";
import type { Execution } from "./execution.ts";
import { ClaimLost } from "./interruptions.ts";

export interface CheckpointDesk {
  /** What the author's code gets. */
  readonly checkpoint: Checkpoint;
  /** Whether a save is asked for, and not served yet. */
  waiting(): boolean;
  /** From now on, `wake` is called whenever a save is asked for. */
  onAsk(wake: () => void): void;
  /** Stores what was asked for first, and answers. Throws what `store` throws. */
  serve(store: (value: JsonValue) => Promise<void>): Promise<void>;
  /** Whoever waits, or asks from now on, is refused with the reason. */
  close(reason: unknown): void;
}

export interface DeskOptions {
  readonly last: JsonValue | undefined;
  readonly clock: Pick<Clock, "now">;
  /** A save that follows a durable one within so many milliseconds is passed over. */
  pauseMs(): number;
}

interface Ask {
  readonly text: string;
  readonly answer: PromiseWithResolvers<void>;
}

export function checkpointDesk({ last, clock, pauseMs }: DeskOptions): CheckpointDesk {
  const asks: Ask[] = [];
  let wake = (): void => undefined;
  let savedAt: number | undefined;
  let closed: { readonly reason: unknown } | undefined;
  return {
    checkpoint: {
      last,
      save(value) {
        const text = checkpointText(value);
        const answer = Promise.withResolvers<void>();
        // The run fails with it in any case, whether or not the code waits for the answer.
        answer.promise.catch(() => undefined);
        if (closed !== undefined) answer.reject(closed.reason);
        // The first save of an attempt is never passed over, so that every attempt gets further than the last.
        else if (savedAt !== undefined && clock.now() - savedAt < pauseMs()) answer.resolve();
        else {
          asks.push({ text, answer });
          wake();
        }
        return answer.promise;
      },
    },
    waiting: () => asks.length > 0,
    onAsk: (callback) => {
      wake = callback;
    },
    async serve(store) {
      const ask = asks.shift();
      if (ask === undefined) return;
      try {
        await store(JSON.parse(ask.text) as JsonValue); // it was made of one
      } catch (error) {
        ask.answer.reject(error);
        throw error;
      }
      savedAt = clock.now();
      ask.answer.resolve();
    },
    close(reason) {
      closed ??= { reason };
      for (const { answer } of asks.splice(0)) answer.reject(reason);
    },
  };
}

/** What a save is told that comes when nobody takes rows any more. */
export function tooLate(): Error {
  return new RetryableError("checkpoint.save was called after the last row was taken: await it before the code ends");
}

/**
 * For code that yields no rows: the value alone is kept, in the run's own document, so that it ends with the run. It is
 * guarded by the claim: the save of an attempt that has lost it fails.
 */
export function checkpointOfRun(execution: Execution, fingerprint: string): CheckpointDesk {
  const { services, identity, run, token } = execution;
  const { events, clock, settings } = services;
  const saved = run.checkpoint?.fingerprint === fingerprint ? run.checkpoint.text : undefined;
  const last = saved === undefined ? undefined : (JSON.parse(saved) as JsonValue); // it was made of one
  const desk = checkpointDesk({ last, clock, pauseMs: () => settings.checkpointMs });
  const store = async (value: JsonValue): Promise<void> => {
    const checkpoint = { fingerprint, text: JSON.stringify(value) };
    const held = await events.transact(runRefs(identity), (state) => {
      if (state.run === undefined || state.partition === undefined || !holds(state.partition, token))
        return { result: false, writes: [], events: [] };
      return { result: true, writes: [put(ref("run", identity.id), { ...state.run, checkpoint })], events: [] };
    });
    if (!held) throw new ClaimLost(identity.id);
    execution.progressed?.();
  };
  let served = Promise.resolve();
  desk.onAsk(() => {
    // Its answer has gone to whoever asked.
    served = served.then(() => desk.serve(store)).catch(() => undefined);
  });
  return desk;
}

/** For rows that are stored in one piece: every save is passed over, so that all of them are made again. */
export function noCheckpoint(): Checkpoint {
  return {
    last: undefined,
    save(value) {
      checkpointText(value);
      return Promise.resolve();
    },
  };
}
