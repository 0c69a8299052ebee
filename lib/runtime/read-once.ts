/** A view of the store for one decision: every document is read once, however many of its questions need it. */
import type { DocumentKind, Documents } from "../core/documents.ts";
import type { EventStore } from "../ports/event-store.ts";

export function readOnce(events: Pick<EventStore, "get" | "history">): Pick<EventStore, "get" | "history"> {
  const seen = new Map<string, Promise<Documents[DocumentKind] | undefined>>();
  return {
    history: (query) => events.history(query),
    get<K extends DocumentKind>(kind: K, id: string): Promise<Documents[K] | undefined> {
      const name = `${kind} ${id}`;
      const known = seen.get(name) ?? events.get(kind, id);
      seen.set(name, known);
      // What is kept under a kind's name was read as that kind.
      return known as Promise<Documents[K] | undefined>;
    },
  };
}
