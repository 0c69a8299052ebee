/**
 * Reads the clients that a function will need while it waits for something else: the event store's while its own modules
 * load, the others while its first claim is on its way.
 */
import type { LoadedUnit } from "./unit.ts";

export interface ReadAhead {
  need(unit: LoadedUnit): void;
}

/** So long after its client was read, the claim's request has left. */
const SENT_MS = 10;

export function readAhead(): ReadAhead {
  // Whoever needs a client imports it too, and hears there of what is wrong with it.
  const first = import("../gcp/sdk/firestore.ts").catch(() => undefined);
  return {
    need({ kind }) {
      if (kind !== "asset" && kind !== "job") return;
      void (async () => {
        await first;
        await new Promise((resolve) => setTimeout(resolve, SENT_MS));
        await Promise.all([import("../gcp/sdk/storage.ts"), import("../gcp/sdk/bigquery.ts")]);
      })().catch(() => undefined);
    },
  };
}
