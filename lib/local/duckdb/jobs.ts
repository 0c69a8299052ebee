/** Runs jobs, a few at a time, apart from whoever submitted them, and again after the process died. */
import { DefinitionError, PermanentError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JobError, JobSpec, JobStatus, Warehouse } from "../../ports/warehouse.ts";
import { failJob, insertCancellation, insertJob, jobErrorOf, openJobs, readJob } from "./job-table.ts";
import type { Session } from "./session.ts";
import { keyedLock } from "../../core/keyed-lock.ts";

interface Live {
  readonly id: string;
  readonly spec: JobSpec;
  readonly labels: JobStatus["labels"];
  readonly stop: AbortController;
  /** How it ended, or `undefined` where only the file knows. */
  readonly ended: Promise<JobStatus | undefined>;
  readonly end: (status: JobStatus | undefined) => void;
  running: boolean;
}

export interface JobRunner extends Pick<Warehouse, "submit" | "inspect" | "cancel" | "wait"> {
  /** Takes up what had not ended when the file was closed last. */
  readonly resume: () => Promise<void>;
  /** Interrupts what runs without ending it, so that the next process takes it up. */
  readonly close: () => Promise<void>;
}

/** How a job ended, as its file says. */
export type Outcome =
  | { readonly state: "succeeded"; readonly rows: number; readonly bytesBilled: number }
  | { readonly state: "failed"; readonly error: JobError };

/** Why a job was interrupted by `close`: it is not over. */
const released = Symbol("released");

/**
 * `execute` does a job's work, commits its end with its effect, and says how it ended; what it throws fails the job. Each running job holds one of Node's four threads for blocking work while DuckDB is busy, so `parallel` stays below four.
 */
export function jobRunner(options: {
  readonly session: Session;
  readonly clock: Clock;
  readonly execute: (id: string, spec: JobSpec, signal: AbortSignal) => Promise<Outcome>;
  /** Awaited before each job starts. */
  readonly gate?: (jobId: string) => Promise<void>;
  readonly parallel?: number;
}): JobRunner {
  const { session, clock, execute, gate, parallel = 3 } = options;
  const live = new Map<string, Live>();
  const queue: Live[] = [];
  const active = new Set<Promise<void>>();
  const lock = keyedLock();
  let closed = false;

  function enqueue(id: string, spec: JobSpec, labels: JobStatus["labels"]): Live {
    const { promise: ended, resolve: end } = Promise.withResolvers<JobStatus | undefined>();
    const job: Live = { id, spec, labels: { ...labels }, stop: new AbortController(), ended, end, running: false };
    live.set(id, job);
    queue.push(job);
    return job;
  }

  function pump(): void {
    while (!closed && active.size < parallel) {
      const job = queue.shift();
      if (job === undefined) return;
      const task: Promise<void> = runOne(job).finally(() => {
        active.delete(task);
        pump();
      });
      active.add(task);
    }
  }

  async function runOne(job: Live): Promise<void> {
    const { signal } = job.stop;
    let end: JobStatus | undefined;
    try {
      if (gate !== undefined) await Promise.race([gate(job.id), aborted(signal)]);
      signal.throwIfAborted();
      job.running = true;
      end = { jobId: job.id, labels: job.labels, ...(await execute(job.id, job.spec, signal)) };
    } catch (error) {
      if (signal.reason !== released) end = await fail(job, signal.aborted ? stopped() : error);
    } finally {
      live.delete(job.id);
      job.end(end);
    }
  }

  /** A job whose end cannot be written, because the disk is full, say, stays pending and is taken up by the next process. */
  async function fail({ id, labels }: Live, cause: unknown): Promise<JobStatus | undefined> {
    const error = jobErrorOf(cause);
    try {
      await session.write((link) => failJob(link, id, error));
      return { jobId: id, state: "failed", labels, error };
    } catch {
      return undefined;
    }
  }

  async function inspect(id: string): Promise<JobStatus | undefined> {
    const job = live.get(id);
    if (job === undefined) return await session.use((link) => readJob(link, id));
    return { jobId: id, state: job.running ? "running" : "pending", labels: job.labels };
  }

  return {
    inspect,

    async submit(id, spec, labels) {
      if (!/^[\w-]{1,1024}$/.test(id)) {
        throw new DefinitionError(`the job id ${JSON.stringify(id)} is not legal`, {
          remedy: "use up to 1,024 letters, digits, _ and -",
        });
      }
      if (closed) throw new PermanentError("the warehouse is closed", { code: "closed" });
      const isNew = await lock([id], () => session.write((link) => insertJob(link, id, spec, labels)));
      if (!isNew) return "duplicate";
      if (!closed) enqueue(id, spec, labels);
      pump();
      return "accepted";
    },

    async cancel(id) {
      const job = live.get(id);
      if (job === undefined) return;
      await session.write((link) => insertCancellation(link, id));
      job.stop.abort(stopped());
      const waiting = queue.indexOf(job);
      if (waiting < 0) return;
      // Not started: it ends without waiting for its turn.
      queue.splice(waiting, 1);
      await runOne(job);
    },

    async wait(id, { timeoutMs, signal }) {
      signal?.throwIfAborted();
      const job = live.get(id);
      let end: JobStatus | undefined;
      if (job !== undefined) {
        const awake = new AbortController();
        const sleep = clock.sleep(
          timeoutMs,
          signal === undefined ? awake.signal : AbortSignal.any([signal, awake.signal]),
        );
        try {
          end = (await Promise.race([job.ended, sleep])) ?? undefined;
        } finally {
          awake.abort();
          await sleep.catch(() => undefined);
        }
      }
      signal?.throwIfAborted();
      const status = end ?? (await inspect(id));
      if (status === undefined) throw new PermanentError(`there is no job ${id}`, { code: "not-found" });
      return status;
    },

    async resume() {
      for (const { id, spec, labels, cancelled } of await session.use(openJobs)) {
        const job = enqueue(id, spec, labels);
        if (cancelled) job.stop.abort(stopped());
      }
      pump();
    },

    async close() {
      closed = true;
      for (const job of live.values()) if (!job.stop.signal.aborted) job.stop.abort(released);
      await Promise.all(active);
      for (const job of queue.splice(0)) job.end(undefined);
    },
  };
}

function stopped(): PermanentError {
  return new PermanentError("the job was cancelled", { code: "stopped" });
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
