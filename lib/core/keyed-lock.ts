/** Mutual exclusion inside of one process, by key. */
export type KeyedLock = <T>(keys: readonly string[], work: () => Promise<T>) => Promise<T>;

/** Runs `work` while no other work of this lock holds one of `keys`. Keys are taken in order, so that nobody waits in a circle. */
export function keyedLock(): KeyedLock {
  const tails = new Map<string, Promise<void>>();

  async function acquire(key: string): Promise<() => void> {
    const before = tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    tails.set(key, promise);
    await before;
    return () => {
      if (tails.get(key) === promise) tails.delete(key);
      resolve();
    };
  }

  return async (keys, work) => {
    const releases: (() => void)[] = [];
    try {
      for (const key of [...new Set(keys)].sort()) releases.push(await acquire(key));
      return await work();
    } finally {
      for (const release of releases) release();
    }
  };
}
