/** Documents in memory: what an event store does with decisions, and nothing else. Values are JSON, as in every store. */
import { checkDocumentId } from "../../lib/core/document-id.ts";
import type { Decision, DocumentKind, Documents, Read, Ref, Refs } from "../../lib/core/documents.ts";
import type { SluiceEvent, StoredEvent } from "../../lib/core/events.ts";

export interface MemoryDocuments {
  /** Reads, decides and applies without a gap; all of it is applied, or none. */
  apply<R extends Refs, T>(refs: R, decide: (documents: Read<R>) => Decision<T>): T;
  get<K extends DocumentKind>(kind: K, id: string): Documents[K] | undefined;
  /** Every document of a kind with its id, in no order. */
  all<K extends DocumentKind>(kind: K): readonly (readonly [string, Documents[K]])[];
  append(events: readonly SluiceEvent[]): void;
  /** Everything that happened, oldest first; not a copy. */
  readonly events: readonly StoredEvent[];
}

export function memoryDocuments(): MemoryDocuments {
  const texts = new Map<DocumentKind, Map<string, string>>();
  const events: StoredEvent[] = [];
  const eventIds = new Set<string>();

  const textsOf = (kind: DocumentKind): Map<string, string> => {
    const known = texts.get(kind) ?? new Map<string, string>();
    texts.set(kind, known);
    return known;
  };
  const get = <K extends DocumentKind>(kind: K, id: string): Documents[K] | undefined => {
    checkDocumentId(kind, id);
    const text = textsOf(kind).get(id);
    // Only `apply` writes the text, from a document of this very kind.
    return text === undefined ? undefined : (JSON.parse(text) as Documents[K]);
  };
  const append = (added: readonly SluiceEvent[]): void => {
    for (const event of added) {
      if (eventIds.has(event.id)) continue;
      eventIds.add(event.id);
      const position = String(events.length + 1).padStart(16, "0");
      // A copy of an event is an event.
      events.push({ ...(JSON.parse(JSON.stringify(event)) as SluiceEvent), position });
    }
  };

  return {
    get,
    append,
    events,
    all: <K extends DocumentKind>(kind: K) =>
      // As in `get`.
      [...textsOf(kind)].map(([id, text]) => [id, JSON.parse(text) as Documents[K]] as const),
    apply: (refs, decide) => {
      const read = Object.fromEntries(Object.entries(refs).map(([name, { kind, id }]) => [name, get(kind, id)]));
      // Every name of `refs` is there, with the document of its own kind: that is what `Read` says.
      const { result, writes, events: added } = decide(read as Read<typeof refs>);
      const changes = writes.map((write): { at: Ref; text: string | undefined } => {
        const at = "delete" in write ? write.delete : write.put;
        checkDocumentId(at.kind, at.id);
        return { at, text: "delete" in write ? undefined : JSON.stringify(write.value) };
      });
      for (const { at, text } of changes) {
        if (text === undefined) textsOf(at.kind).delete(at.id);
        else textsOf(at.kind).set(at.id, text);
      }
      append(added);
      return result;
    },
  };
}
