/** The simulated world's ports are ports: they do what every adapter has to do. */
import { memoryEventStore } from "../support/memory-event-store.ts";
import { testEventStore } from "../ports/event-store-conformance.ts";
import type { EventStoreHarness } from "../ports/event-store-conformance.ts";
import { testEventStoreProtocol } from "../ports/event-store-protocol.ts";
import { objectStoreConformance } from "../ports/object-store-conformance.ts";
import { bucketStore, memoryBuckets } from "./buckets.ts";
import { plainDocuments } from "./documents.ts";

const openStore = async (): Promise<EventStoreHarness> => {
  const documents = plainDocuments({ copies: true });
  const open = async () => memoryEventStore(documents);
  return { store: await open(), other: open, reopen: open, close: async () => undefined };
};
testEventStore("simulated", openStore);
testEventStoreProtocol("simulated", openStore);

objectStoreConformance({
  name: "simulated",
  deviations: { held: "buckets in memory hold what they store" },
  open: async () => ({
    bucket: "bucket",
    store: bucketStore(memoryBuckets(Date.now), async (_what, perform) => perform()),
  }),
});
