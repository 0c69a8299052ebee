/**
 * How much memory DuckDB may take. It keeps what it has read and written until there is no more room, so that a large load would
 * fill whatever it is given and be no faster for it. A query, on the other hand, may need all that there is. The limit is one for the
 * whole process: it is low only while every task at work is content with little.
 */
import { messageOf } from "../../core/errors.ts";

export interface MemoryLimiter {
  /** To be told, and awaited, whenever the number of tasks at work has changed. */
  tasks(count: number): Promise<void>;
  /**
   * Runs statements of one of these tasks in so many bytes, as long as no other task is at work; if they do not suffice, from
   * the first one again in the full memory. In little memory, rows are not stored in the order in which they are read.
   */
  sparing<T>(bytes: number, statements: () => Promise<T>): Promise<T>;
}

/** Whoever needs more than this gets the full memory, which is at least twice as much by default. */
const MOST_BYTES = 256 * 1024 ** 2;

/** `set` gets the limit in bytes, `undefined` for the full memory. It may fail: the limit then stays as it is. */
export function memoryLimiter(set: (bytes: number | undefined) => Promise<void>): MemoryLimiter {
  const sparing = new Set<{ readonly bytes: number }>();
  let tasks = 0;
  let wanted: number | undefined;
  let changed = Promise.resolve();

  function adjust(): Promise<void> {
    const bytes = [...sparing].reduce((sum, each) => sum + each.bytes, 0);
    const limit = sparing.size > 0 && sparing.size === tasks && bytes <= MOST_BYTES ? bytes : undefined;
    if (limit === wanted) return changed;
    wanted = limit;
    // What is in use cannot be given back: then there is no low limit this time.
    changed = changed.then(() => set(limit)).catch(() => undefined);
    return changed;
  }

  return {
    tasks(count) {
      tasks = count;
      return adjust();
    },
    async sparing(bytes, statements) {
      const task = { bytes };
      sparing.add(task);
      try {
        await adjust();
        return await statements();
      } catch (error) {
        if (!messageOf(error).startsWith("Out of Memory Error")) throw error;
      } finally {
        sparing.delete(task);
        await adjust();
      }
      return await statements();
    },
  };
}
