/** How a guard of the runtime is switched off from outside: a decision is made again, on a lie. */
import type {
  BackfillDocument,
  Decision,
  DocumentKind,
  Documents,
  PartitionDocument,
  PauseDocument,
  Read,
  Refs,
  RunDocument,
  SlotDocument,
  Write,
} from "../../lib/core/documents.ts";
import type { Sabotage } from "./sabotage.ts";

export interface Guard {
  readonly name: string;
  /** What the runtime does without it. */
  readonly without: string;
  /** Fresh for each schedule. */
  sabotage(): Sabotage;
}

/** The documents that a transaction of the runtime reads, by the names that it gives them. */
export interface Known {
  readonly run?: RunDocument | undefined;
  readonly partition?: PartitionDocument | undefined;
  readonly slot?: SlotDocument | undefined;
  readonly backfill?: BackfillDocument | undefined;
  readonly pause?: PauseDocument | undefined;
}

/** Decides, and when the answer is the guard's refusal, again on a lie. */
export function retold<R extends Refs, T>(
  decide: (read: Read<R>) => Decision<T>,
  read: Read<R>,
  refused: (decision: Decision<T>) => boolean,
  lies: readonly Known[],
): Decision<T> {
  const honest = decide(read);
  if (!refused(honest)) return honest;
  for (const lie of lies) {
    const decision = decide({ ...read, ...lie });
    if (!refused(decision)) return decision;
  }
  return honest;
}

export function kindOf(result: unknown): unknown {
  return typeof result === "object" && result !== null && "kind" in result ? result.kind : undefined;
}

export function knownIn(read: unknown): Known {
  return read as Known; // the names are the runtime's own
}

/** Tells the store something else of each document of a kind that is put. */
export function putsInstead<K extends DocumentKind>(kind: K, instead: (value: Documents[K]) => Documents[K]): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      const writes = decision.writes.map((write) => {
        if ("delete" in write || write.put.kind !== kind) return write;
        return { ...write, value: instead(write.value as Documents[K]) } as Write; // of that kind, as its ref says
      });
      return { ...decision, writes };
    },
  };
}
