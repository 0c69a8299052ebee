/**
 * Documents in memory, kept as the values that the rules have made: these are never changed, so that nothing has to be copied.
 * Whoever watches is told of each transaction's changes at once.
 */
import { checkDocumentId } from "../../lib/core/document-id.ts";
import type { DocumentKind, Documents } from "../../lib/core/documents.ts";
import type { SluiceEvent, StoredEvent } from "../../lib/core/events.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";

/** What one transaction has done to one document. */
export type Change = {
  readonly [K in DocumentKind]: {
    readonly kind: K;
    readonly id: string;
    readonly before: Documents[K] | undefined;
    readonly after: Documents[K] | undefined;
  };
}[DocumentKind];

export interface PlainDocumentsOptions {
  readonly onChanges?: (changes: readonly Change[]) => void;
  /** Copies every value on its way in and out, for callers who change what they have handed in or been given. */
  readonly copies?: boolean;
}

export interface PlainDocuments extends MemoryDocuments {
  /** How many documents of a kind there are. */
  count(kind: DocumentKind): number;
  /** The earliest deadline; `Infinity` where there is none. */
  nextDue(): number;
}

export function plainDocuments({ onChanges, copies = false }: PlainDocumentsOptions = {}): PlainDocuments {
  const kinds = new Map<DocumentKind, Map<string, unknown>>();
  const events: StoredEvent[] = [];
  const eventIds = new Set<string>();

  const valuesOf = (kind: DocumentKind): Map<string, unknown> => {
    let values = kinds.get(kind);
    if (values === undefined) kinds.set(kind, (values = new Map<string, unknown>()));
    return values;
  };
  const get = <K extends DocumentKind>(kind: K, id: string): Documents[K] | undefined => {
    // The rule's own check counts bytes; what is as short as this needs no counting.
    if (id === "" || id.length > 375 || !id.isWellFormed()) checkDocumentId(kind, id);
    // Only `apply` sets values, of this very kind.
    return kept(valuesOf(kind).get(id) as Documents[K] | undefined);
  };
  const kept = <T>(value: T): T => (copies && value !== undefined ? structuredClone(value) : value);
  const append = (added: readonly SluiceEvent[]): void => {
    for (const event of added) {
      if (eventIds.has(event.id)) continue;
      eventIds.add(event.id);
      events.push(kept({ ...event, position: positionOf(events.length + 1) }));
    }
  };

  return {
    get,
    append,
    events,
    count: (kind) => kinds.get(kind)?.size ?? 0,
    nextDue: () => {
      let next = Infinity;
      // Only `apply` sets values, of this very kind.
      const entries = valuesOf("due") as Map<string, Documents["due"]>;
      for (const { dueAt } of entries.values()) if (dueAt < next) next = dueAt;
      return next;
    },
    all: <K extends DocumentKind>(kind: K) => [...valuesOf(kind)] as (readonly [string, Documents[K]])[], // as in `get`
    apply: (refs, decide) => {
      const read: Record<string, unknown> = {};
      for (const name in refs) {
        const at = refs[name];
        if (at !== undefined) read[name] = get(at.kind, at.id);
      }
      // Every name of `refs` is there, with the document of its own kind: that is what `Read` says.
      const { result, writes, events: added } = decide(read as Parameters<typeof decide>[0]);
      const changes: Change[] = [];
      for (const write of writes) {
        const { kind, id } = "delete" in write ? write.delete : write.put;
        const before = get(kind, id);
        const after = "delete" in write ? undefined : kept(write.value);
        // A write's value is of the kind that it names.
        changes.push({ kind, id, before, after } as Change);
      }
      for (const { kind, id, after } of changes) {
        if (after === undefined) valuesOf(kind).delete(id);
        else valuesOf(kind).set(id, after);
      }
      append(added);
      if (changes.length > 0) onChanges?.(changes);
      return result;
    },
  };
}

const positions: string[] = [];

/** Every world begins with the first one. */
function positionOf(number: number): string {
  return (positions[number] ??= String(number).padStart(16, "0"));
}
