/**
 * Firestore and Pub/Sub of Google's emulators, and the fake Cloud Tasks, as deployed functions use them: over HTTP. In front of each
 * emulator stands a server that passes every call on, and can fail it before the emulator has heard of it, or afterwards.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { pubsubBus } from "../../lib/gcp/pubsub-bus.ts";
import { systemRandom } from "../../lib/local/system-clock.ts";
import { bytesOf, startHttpFake } from "../fakes/http-fake.ts";
import type { HttpFake } from "../fakes/http-fake.ts";
import { startFakeTasks } from "../fakes/fake-tasks.ts";
import type { Emulator, EmulatorKind } from "../support/emulators.ts";
import type { SubscriptionPlan } from "../../lib/core/subscriptions.ts";
import { HASTE, PROJECT, STAGING } from "./run-faults.ts";
import type { Backbone, BackboneOptions, Taken } from "./run-faults.ts";

const LOCATION = "europe-west1";
const pulled = z.object({
  receivedMessages: z.array(z.object({ ackId: z.string(), message: z.record(z.string(), z.unknown()) })).default([]),
});

export async function emulatorBackbone(
  emulators: Readonly<Record<EmulatorKind, Emulator>>,
  { clock, objects, injector }: BackboneOptions,
): Promise<Backbone> {
  hurryFirestore();
  const firestore = await passingOn(emulators.firestore.host);
  const pubsub = await passingOn(emulators.pubsub.host);
  const queue = `projects/${PROJECT}/locations/${LOCATION}/queues/sluice`;
  const tasks = await startFakeTasks({ clock, queues: [queue] });
  injector.attach("firestore", firestore);
  injector.attach("pubsub", pubsub);
  injector.attach("tasks", tasks);

  const databaseId = `faults-${Date.now()}`;
  const storeAt = (host: string) =>
    firestoreEventStore({
      client: firestoreClient({ projectId: PROJECT, databaseId, preferRest: true, emulatorHost: host }),
      clock,
      random: systemRandom(),
      manifests: { objects, bucket: STAGING },
    });
  const events = storeAt(new URL(firestore.url).host);
  // The harness looks at the store past all faults.
  const direct = storeAt(emulators.firestore.host);
  const bus = pubsubBus({
    projectId: PROJECT,
    tasks: {
      location: LOCATION,
      queue: "sluice",
      serviceAccount: `tasks@${PROJECT}.iam.gserviceaccount.com`,
      emulatorHost: tasks.host,
    },
    emulatorHost: new URL(pubsub.url).host,
    clock,
  });
  let plans: readonly SubscriptionPlan[] = [];

  async function ask(method: "PUT" | "POST", path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`http://${emulators.pubsub.host}/v1/projects/${PROJECT}/${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`);
    return JSON.parse(text);
  }

  return {
    events,
    look: direct,
    bus,
    async publish(topic, data) {
      const messages = [{ data: Buffer.from(JSON.stringify(data)).toString("base64") }];
      await ask("POST", `topics/${topic}:publish`, { messages });
    },
    async subscribe(added) {
      plans = added;
      await Promise.all(
        [...new Set(added.map(({ topic }) => topic))].map((topic) => ask("PUT", `topics/${topic}`, {})),
      );
      await Promise.all(
        added.map(({ name, topic }) =>
          ask("PUT", `subscriptions/${name}`, {
            topic: `projects/${PROJECT}/topics/${topic}`,
            ackDeadlineSeconds: 600,
          }),
        ),
      );
    },
    async take() {
      const taken = await Promise.all(
        plans.map(async ({ name, consumer }): Promise<readonly Taken[]> => {
          const body = { returnImmediately: true, maxMessages: 100 };
          const { receivedMessages } = pulled.parse(await ask("POST", `subscriptions/${name}:pull`, body));
          return receivedMessages.map(({ ackId, message }) => ({
            subscription: name,
            consumer,
            incoming: { body: { message, subscription: `projects/${PROJECT}/subscriptions/${name}` } },
            async settle(acknowledged) {
              if (acknowledged) await ask("POST", `subscriptions/${name}:acknowledge`, { ackIds: [ackId] });
              else
                await ask("POST", `subscriptions/${name}:modifyAckDeadline`, {
                  ackIds: [ackId],
                  ackDeadlineSeconds: 0,
                });
            },
          }));
        }),
      );
      return taken.flat();
    },
    deliverDue: tasks.deliver,
    nextAt: tasks.nextAt,
    patience: 6,
    async close() {
      await Promise.all([events.close(), direct.close(), bus.close()]);
      await Promise.all([firestore.close(), pubsub.close(), tasks.close()]);
    },
  };
}

/** Firestore's client waits seconds between two tries, by a timer that it lets tests replace, but does not export. */
function hurryFirestore(): void {
  const require = createRequire(import.meta.url);
  const file = join(dirname(require.resolve("@google-cloud/firestore")), "backoff.js");
  // What the file has, by its source.
  const { setTimeoutHandler } = require(file) as {
    readonly setTimeoutHandler: (handler: (work: () => void, ms: number) => void) => void;
  };
  setTimeoutHandler((work, ms) => void setTimeout(work, ms / HASTE));
}

const HOP_BY_HOP: readonly string[] = [
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "content-encoding",
  "keep-alive",
];

/** A server that hands every call on to `host` as it is. */
export async function passingOn(host: string): Promise<HttpFake> {
  return await startHttpFake(async (call) => {
    const sent = Object.entries(call.headers).flatMap(([name, value]) =>
      HOP_BY_HOP.includes(name) || typeof value !== "string" ? [] : [[name, value] as const],
    );
    const body = await bytesOf(call);
    const answer = await fetch(`http://${host}${call.url.pathname}${call.url.search}`, {
      method: call.method,
      headers: Object.fromEntries(sent),
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    });
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !HOP_BY_HOP.includes(name)));
    return { status: answer.status, headers, body: new Uint8Array(await answer.arrayBuffer()) };
  });
}
