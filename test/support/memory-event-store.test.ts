import { testEventStore } from "../ports/event-store-conformance.ts";
import type { EventStoreHarness } from "../ports/event-store-conformance.ts";
import { testEventStoreProtocol } from "../ports/event-store-protocol.ts";
import { memoryDocuments } from "./memory-documents.ts";
import { memoryEventStore } from "./memory-event-store.ts";

const openHarness = async (): Promise<EventStoreHarness> => {
  const documents = memoryDocuments();
  const open = async () => memoryEventStore(documents);
  return { store: await open(), other: open, reopen: open, close: async () => undefined };
};

testEventStore("memory", openHarness);
testEventStoreProtocol("memory", openHarness);
