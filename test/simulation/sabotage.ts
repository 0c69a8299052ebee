import type { Decision, Read, Refs } from "../../lib/core/documents.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";

/** What a test takes away from the runtime, to show that the proof can fail. */
export interface Sabotage {
  /** Stands in for the decision of a transaction. */
  decide?<R extends Refs, T>(refs: R, decide: (read: Read<R>) => Decision<T>, read: Read<R>): Decision<T>;
  warehouse?(port: Warehouse): Warehouse;
  objects?(port: ObjectStore): ObjectStore;
  events?(port: EventStore): EventStore;
  /** Nothing is ever reconciled. */
  readonly neverSweeps?: true;
}
