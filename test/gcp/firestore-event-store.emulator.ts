import { after } from "node:test";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import type { FirestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { testEventStore } from "../ports/event-store-conformance.ts";
import type { EventStoreHarness } from "../ports/event-store-conformance.ts";
import { testEventStoreProtocol } from "../ports/event-store-protocol.ts";
import { withEmulator } from "../support/emulators.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

await withEmulator("firestore", (emulator) => {
  after(() => emulator.close());
  let databases = 0;

  const openHarness = async (): Promise<EventStoreHarness> => {
    const databaseId = `d${++databases}`;
    const open = new Set<FirestoreEventStore>();
    const openOne = async (): Promise<FirestoreEventStore> => {
      const client = firestoreClient({ projectId: "sluice-test", databaseId, emulatorHost: emulator.host });
      const store = firestoreEventStore({ client, clock: systemClock(), random: systemRandom() });
      open.add(store);
      return store;
    };
    const close = async (): Promise<void> => {
      await Promise.all([...open].map((store) => store.close()));
      open.clear();
    };
    return { store: await openOne(), other: openOne, reopen: () => close().then(openOne), close };
  };

  testEventStore("Firestore", openHarness, {
    overlapping:
      "Firestore's time of a commit is taken when the request comes in, some ms before the commit is visible, and a counter would be one hot document",
    contention: { increments: 300, reason: "each one is two calls of the emulator" },
  });
  testEventStoreProtocol("Firestore", openHarness);
});
