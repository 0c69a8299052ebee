import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { once } from "node:events";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { PermanentError } from "../../lib/core/errors.ts";
import type { PushEnvelope } from "../../lib/local/bus-envelope.ts";
import { pubsubBus } from "../../lib/gcp/pubsub-bus.ts";
import { startFakeTasks } from "../fakes/fake-tasks.ts";
import { testMessageBus } from "../ports/message-bus-conformance.ts";
import type { MessageBusHarness, Receiver } from "../ports/message-bus-conformance.ts";
import { withEmulator } from "../support/emulators.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

const PROJECT = "sluice-test";
const QUEUE = `projects/${PROJECT}/locations/l/queues/q`;
/** What the suite publishes to before, or without, subscribing. */
const TOPICS = ["t", "t2", "nobody", "nacked", "thrown", "dead"];

await withEmulator("pubsub", (emulator) => {
  after(() => emulator.close());
  let harnesses = 0;

  const openHarness = async (): Promise<MessageBusHarness> => {
    const topicPrefix = `test${++harnesses}-`;
    const pubsub = new PubSub({ projectId: PROJECT, apiEndpoint: `http://${emulator.host}`, emulatorMode: true });
    // The emulator's time is the machine's; that of the tasks can be let pass.
    let ahead = 0;
    const now = (): number => Date.now() + ahead;
    const tasks = await startFakeTasks({ clock: { now }, queues: [QUEUE] });
    const bus = pubsubBus({
      projectId: PROJECT,
      topicPrefix,
      emulatorHost: emulator.host,
      tasks: {
        location: "l",
        queue: "q",
        serviceAccount: "wake@test.iam.gserviceaccount.com",
        emulatorHost: tasks.host,
      },
    });
    const endpoint = await pushEndpoint();
    const subscriptions: string[] = [];
    const ensureTopic = (name: string): Promise<unknown> =>
      pubsub.createTopic(`${topicPrefix}${name}`).catch((error: unknown) => {
        if (!String(error).includes("ALREADY_EXISTS")) throw error;
      });
    await Promise.all([...TOPICS, "undelivered"].map(ensureTopic));

    return {
      bus,
      maxAttempts: 5,
      isRealTime: true,
      async subscribe(topic, receiver, { deadLetterTopic = "undelivered" } = {}) {
        const name = `${topicPrefix}s${subscriptions.length + 1}`;
        subscriptions.push(name);
        // As deployed: every subscription has dead letters, without which Pub/Sub counts no attempts.
        await pubsub.topic(`${topicPrefix}${topic}`).createSubscription(name, {
          // Longer than an answer takes on the busiest machine.
          ackDeadlineSeconds: 600,
          pushConfig: { pushEndpoint: endpoint.add(name, receiver) },
          deadLetterPolicy: {
            deadLetterTopic: `projects/${PROJECT}/topics/${topicPrefix}${deadLetterTopic}`,
            maxDeliveryAttempts: 5,
          },
        });
      },
      now,
      async pass(ms) {
        // To where each task is due, one after the other.
        const end = now() + ms;
        for (let at = tasks.nextAt(); at !== undefined && at <= end; at = tasks.nextAt()) {
          ahead += Math.max(0, at - now());
          await tasks.deliver();
        }
        ahead += Math.max(0, end - now());
        // The emulator delivers again what was not acknowledged after a second.
        await sleep(1_500);
      },
      async until(condition) {
        for (const giveUp = Date.now() + 240_000; Date.now() < giveUp;) {
          if (condition()) return;
          await sleep(20);
          const at = tasks.nextAt();
          // In small steps, so that a call in flight is not overtaken by the next one.
          if (at !== undefined && at > now()) ahead += Math.min(at - now(), 200);
          await tasks.deliver();
        }
        throw new Error(`it never happened: ${condition.toString()}`);
      },
      async stop() {
        // As a process that ends: what comes before the subscription knows of it is refused.
        endpoint.refuse();
        await Promise.all(
          subscriptions.map((name) => pubsub.subscription(name).modifyPushConfig({ pushEndpoint: "" })),
        );
        await endpoint.idle();
      },
      async close() {
        await Promise.all(subscriptions.map((name) => pubsub.subscription(name).delete()));
        await bus.close();
        await pubsub.close();
        await endpoint.close();
        await tasks.close();
      },
    };
  };
  testMessageBus("Pub/Sub with Cloud Tasks", openHarness, { sideBySide: true });

  test("a topic that is not deployed is refused in one line, and the bus goes on", async () => {
    const tasks = { location: "l", queue: "q", serviceAccount: "wake@test.iam.gserviceaccount.com" };
    const bus = pubsubBus({ projectId: PROJECT, emulatorHost: emulator.host, tasks });
    const refused = bus.publish("asset.never.deployed", { data: {} });
    await assert.rejects(
      refused,
      (error: unknown) =>
        error instanceof PermanentError &&
        error.code === "not-found" &&
        /topic asset\.never\.deployed of project sluice-test: .*: deploy$/.test(error.message),
    );
    const pubsub = new PubSub({ projectId: PROJECT, apiEndpoint: `http://${emulator.host}`, emulatorMode: true });
    await pubsub.createTopic("asset.never.deployed");
    assert.match(await bus.publish("asset.never.deployed", { data: {} }), /^\d+$/);
    const text = Buffer.from("no JSON").toString("base64");
    assert.match(await bus.publishRaw("asset.never.deployed", text, { by: "hand" }), /^\d+$/);
    const prefixed = pubsubBus({ projectId: PROJECT, emulatorHost: emulator.host, tasks, topicPrefix: "pr-42-" });
    await assert.rejects(
      prefixed.publishRaw("asset.never.deployed", text, {}),
      /topic pr-42-asset\.never\.deployed of/,
    );
    await prefixed.close();
    await pubsub.close();
    await bus.close();
    await bus.close();
    await assert.rejects(bus.publish("asset.never.deployed", { data: {} }), /closed/);
  });
});

/** As the emulator sends it. */
type Envelope = Omit<PushEnvelope, "deliveryAttempt">;

/** A server that push subscriptions deliver to, with one path for each. */
async function pushEndpoint() {
  const receivers = new Map<string, Receiver>();
  const attempts = new Map<string, number>();
  const inFlight = new Set<Promise<void>>();
  let isRefusing = false;
  const server: Server = createServer((request, response) => {
    const receive = async (): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const receiver = isRefusing ? undefined : receivers.get(request.url ?? "");
      const envelope = JSON.parse(Buffer.concat(chunks).toString()) as Envelope;
      const copy = `${request.url ?? ""} ${envelope.message.messageId}`;
      attempts.set(copy, (attempts.get(copy) ?? 0) + 1);
      // Pub/Sub counts in the envelope where there are dead letters; its emulator counts, but does not say.
      const answer = await receiver?.({ deliveryAttempt: attempts.get(copy) ?? 1, ...envelope });
      response.writeHead(answer === "ack" ? 204 : 500).end();
    };
    const work = receive()
      .catch(() => void response.writeHead(500).end())
      .finally(() => inFlight.delete(work));
    inFlight.add(work);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    add(name: string, receiver: Receiver): string {
      receivers.set(`/${name}`, receiver);
      return `http://127.0.0.1:${address.port}/${name}`;
    },
    refuse: () => void (isRefusing = true),
    idle: async () => void (await Promise.all(inFlight)),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
