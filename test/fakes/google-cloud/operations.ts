/** Long-running operations: work that is asked for now and done a while later, whether or not anybody waits for it. */
import { setTimeout as sleep } from "node:timers/promises";
import { CloudError, missing } from "./errors.ts";
import type { Json } from "./json.ts";

export interface Operations {
  /** Accepts the work. It ends after `ms`, at once by default; what it throws becomes the operation's error. */
  start(work: {
    /** The operation's full name, without its last part. */
    readonly parent: string;
    readonly metadata: Json;
    readonly ms?: number;
    /** What it works on: a second operation on the same is refused while this one goes on. */
    readonly target?: string;
    run(): Promise<Json>;
  }): Promise<Json>;
  get(name: string): Json;
  list(parent: string): readonly Json[];
  isBusy(target: string): boolean;
  /** From now on accepted work stays under way, until the returned function is called. */
  hold(): () => void;
  /** Resolves once nothing is under way. */
  settled(): Promise<void>;
  close(): void;
}

interface Entry {
  readonly name: string;
  readonly metadata: Json;
  readonly target: string | undefined;
  outcome: Json | undefined;
}

export function operations(): Operations {
  const entries = new Map<string, Entry>();
  const underWay = new Set<Promise<void>>();
  const closed = new AbortController();
  let count = 0;
  let held: Promise<void> | undefined;

  function shown({ name, metadata, outcome }: Entry): Json {
    const stages = metadata["stages"];
    const done = outcome !== undefined && "response" in outcome;
    const states = Array.isArray(stages)
      ? { stages: stages.map((stage: Json) => ({ ...stage, state: done ? "COMPLETE" : "IN_PROGRESS" })) }
      : {};
    return {
      name,
      metadata: { ...metadata, ...states },
      ...(outcome === undefined ? { done: false } : { done: true, ...outcome }),
    };
  }

  const isBusy = (target: string): boolean =>
    [...entries.values()].some((entry) => entry.target === target && entry.outcome === undefined);

  /** Of what is under way when the fake is closed, nothing comes any more. */
  const pause = (ms: number): Promise<void> =>
    sleep(ms, undefined, { signal: closed.signal, ref: false }).catch(() => new Promise<never>(() => undefined));

  return {
    async start({ parent, metadata, ms = 0, target, run }) {
      if (target !== undefined && isBusy(target)) {
        throw new CloudError("ABORTED", `unable to queue the operation: another one is in progress for ${target}`);
      }
      const entry: Entry = { name: `${parent}/operation-${++count}`, metadata, target, outcome: undefined };
      entries.set(entry.name, entry);
      const work = async (): Promise<void> => {
        try {
          entry.outcome = { response: await run() };
        } catch (error) {
          const code = error instanceof CloudError ? rpcCode(error) : 13;
          entry.outcome = { error: { code, message: error instanceof Error ? error.message : String(error) } };
        }
      };
      if (ms === 0 && held === undefined) await work();
      else {
        const done = (held ?? Promise.resolve()).then(() => pause(ms)).then(work);
        underWay.add(done);
        void done.finally(() => underWay.delete(done));
      }
      return shown(entry);
    },
    get(name) {
      const entry = entries.get(name);
      if (entry === undefined) throw missing(`Operation ${name} was not found.`);
      return shown(entry);
    },
    list: (parent) => [...entries.values()].filter(({ name }) => name.startsWith(`${parent}/`)).map(shown),
    isBusy,
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return () => {
        if (held === promise) held = undefined;
        resolve();
      };
    },
    close: () => closed.abort(),
  };
}

function rpcCode({ status }: CloudError): number {
  const codes: Readonly<Record<string, number>> = {
    INVALID_ARGUMENT: 3,
    NOT_FOUND: 5,
    ALREADY_EXISTS: 6,
    PERMISSION_DENIED: 7,
    RESOURCE_EXHAUSTED: 8,
    FAILED_PRECONDITION: 9,
    ABORTED: 10,
    UNAVAILABLE: 14,
  };
  return codes[status] ?? 13;
}
