/** The simulated world's ports are ports: they do what every adapter has to do. */
import { memoryEventStore } from "../support/memory-event-store.ts";
import { testEventStore } from "../ports/event-store-conformance.ts";
import type { EventStoreHarness } from "../ports/event-store-conformance.ts";
import { testEventStoreProtocol } from "../ports/event-store-protocol.ts";
import { testMessageBus } from "../ports/message-bus-conformance.ts";
import { objectStoreConformance } from "../ports/object-store-conformance.ts";
import { warehouseConformance } from "../ports/warehouse-conformance.ts";
import { bucketStore, memoryBuckets } from "./buckets.ts";
import { plainDocuments } from "./documents.ts";
import { deviations } from "./deviations.ts";
import { openBus, openWarehouse } from "./harnesses.ts";

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

testMessageBus("simulated", openBus, {
  deviations: {
    "after its last attempt a message goes to the dead-letter topic, once":
      "nothing is given up: what is not acknowledged comes until it is",
  },
});

warehouseConformance("simulated", openWarehouse, { deviations });
