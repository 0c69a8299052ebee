import type { StoredEvent } from "../core/events.ts";

type Listener = (events: StoredEvent[]) => void;

export interface EventListeners {
  add(listener: Listener): () => void;
  tell(events: StoredEvent[]): void;
}

/**
 * Tells listeners of stored events, in the order in which they were stored also when a listener stores more. An
 * exception goes to `onError` and hinders neither the other listeners nor the store.
 */
export function eventListeners(onError: (error: unknown) => void): EventListeners {
  const listeners = new Set<{ readonly call: Listener }>();
  const waiting: StoredEvent[][] = [];
  let telling = false;

  return {
    add(call) {
      const listener = { call };
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell(events) {
      if (events.length === 0) return;
      waiting.push(events);
      if (telling) return;
      telling = true;
      for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
        for (const listener of Array.from(listeners)) {
          try {
            listener.call([...batch]);
          } catch (error) {
            onError(error);
          }
        }
      }
      telling = false;
    },
  };
}
