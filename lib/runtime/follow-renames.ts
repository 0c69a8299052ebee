/**
 * What an asset's upstreams show, for a process that may be older than the last deployment: what has moved to a name that its
 * definitions do not know is read there. Where nothing has moved and everything is known, this costs nothing.
 */
import type { DocumentKind, Documents } from "../core/documents.ts";
import type { EventStore } from "../ports/event-store.ts";

/** `events`, but that partitions and newest partitions are found where they have moved to; an asset's document says its name there. */
export function followRenames<E extends Pick<EventStore, "get">>(events: E): E {
  const get = async <K extends DocumentKind>(kind: K, id: string): Promise<Documents[K] | undefined> => {
    const found = await events.get(kind, id);
    if (kind !== "partition" && kind !== "asset") return found;
    const [name = "", ...rest] = id.split("|");
    const mark = found ?? (await events.get("pause", name));
    const to = mark !== undefined && "movedTo" in mark ? mark.movedTo : undefined;
    return to === undefined ? found : await get(kind, [to, ...rest].join("|"));
  };
  return { ...events, get };
}
