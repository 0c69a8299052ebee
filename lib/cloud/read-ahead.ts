/**
 * Reads the clients that a function will need while it waits for something else: the event store's while its own modules
 * load, the others while its first request is on its way.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter, once } from "node:events";
import type { LoadedUnit } from "./unit.ts";

export interface ReadAhead {
  need(unit: LoadedUnit): void;
}

export function readAhead(): ReadAhead {
  // Whoever needs a client imports it too, and hears there of what is wrong with it.
  void import("../gcp/sdk/firestore.ts").catch(() => undefined);
  const sent = firstRequest();
  return {
    need({ kind }) {
      if (kind !== "asset" && kind !== "job") return;
      void (async () => {
        await sent;
        await Promise.all([import("../gcp/sdk/storage.ts"), import("../gcp/sdk/bigquery.ts")]);
      })().catch(() => undefined);
    },
  };
}

/** Node's own name of what it says for every request that is begun. */
const BEGUN = "http.client.request.start";

/** Resolves when a request has left this process for the first time. From then on there is time, until its answer comes. */
function firstRequest(): Promise<void> {
  return new Promise((resolve) => {
    const begun = (message: unknown): void => {
      unsubscribe(BEGUN, begun);
      const request = typeof message === "object" && message !== null && "request" in message ? message.request : {};
      // Only connecting takes time as well, but reading then would hold up what is to be sent.
      if (request instanceof EventEmitter) once(request, "finish").then(() => resolve(), resolve);
    };
    subscribe(BEGUN, begun);
  });
}
