/** Poison in the local cloud: it ends as an event, and what is well is served meanwhile. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { EventType } from "../../lib/core/events.ts";
import { DEAD_LETTERS } from "../../lib/core/subscriptions.ts";
import { withEmulators } from "../support/emulators.ts";
import { openLocalCloud } from "../support/local-cloud.ts";
import type { LocalCloud } from "../support/local-cloud.ts";
import { ofType } from "../support/scenario/acts.ts";

const FUNCTIONS = {
  "demo.ts": `
import { asset, job } from "sluice";
export const good = asset({ key: "demo/good", async materialize() {} });
export const tidy = job({ name: "tidy", async run() {} });
`,
};

/** As few as Pub/Sub takes. */
const ATTEMPTS = 5;
const PATIENCE_MS = 120_000;

await withEmulators((emulators) => {
  let cloud: LocalCloud;
  before(async () => {
    cloud = await openLocalCloud({ emulators, project: "poison", functions: FUNCTIONS });
  });
  after(async () => {
    await cloud.close();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  const eventsOf = async <T extends EventType>(type: T) => ofType(await cloud.history(), type);
  async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
    for (const deadline = Date.now() + PATIENCE_MS; ;) {
      const found = await look();
      if (found !== undefined) return found;
      assert.ok(Date.now() < deadline, `it does not come to that:\n${cloud.logs()}`);
      await sleep(50);
    }
  }

  test("what our code receives is on record at its first delivery; what only Pub/Sub can know, as a dead letter", async () => {
    const { pubsub, door } = cloud;
    // Subscriptions that an older deployment has left: of a function that is there, and of one that has gone.
    cloud.pushStale("/asset.demo.old", "asset-demo-good");
    for (const name of ["asset.demo.old", "asset.demo.gone"]) {
      await pubsub.createTopic(name);
      const deadLetters = { topic: DEAD_LETTERS, maxAttempts: ATTEMPTS };
      await pubsub.subscribe({ name, topic: name, endpoint: `${door.url}/${name}`, deadLetters });
    }
    const poison: readonly (readonly [topic: string, data: string | Uint8Array, reason: RegExp])[] = [
      ["asset.demo.good", "{partition", /is not JSON/],
      ["asset.demo.good", Buffer.from([0xff, 0xfe]), /is not UTF-8 text/],
      ["asset.demo.good", '{"partition":5}', /no request: partition/],
      ["asset.demo.good", '{"partitoin":"x"}', /unknown field "partitoin"/],
      ["asset.demo.good", JSON.stringify({ tags: { long: "x".repeat(3_000_000) } }), /too large/],
      ["job.tidy", '{"partition":"2024-05-01"}', /has no partitions/],
      ["asset.demo.old", "{}", /nothing in asset demo\/good takes messages of asset\.demo\.old: deploy again/],
    ];
    const ids = new Map<string, RegExp>();
    for (const [topic, data, reason] of poison) ids.set(await pubsub.publish(topic, data), reason);
    const lost = { tags: { of: "somebody" } };
    await pubsub.publish("asset.demo.gone", JSON.stringify(lost), { who: "me" });
    for (let n = 0; n < 5; n++)
      await pubsub.publish("asset.demo.good", JSON.stringify({ runKey: `k${n}`, force: true }));

    await until(async () => ((await eventsOf("run.succeeded")).length === 5 ? true : undefined));
    const refused = await until(async () => {
      const events = await eventsOf("message.refused");
      return events.length >= ids.size ? events : undefined;
    });
    for (const [id, reason] of ids) {
      assert.match(refused.find(({ messageId }) => messageId === id)?.reason ?? "nothing on record", reason);
      assert.deepEqual(
        door.deliveries.filter(({ messageId }) => messageId === id).map(({ status }) => status),
        [204],
      );
    }

    const dead = await until(async () => (await eventsOf("message.dead-lettered"))[0]);
    assert.deepEqual(
      [dead.subscription, dead.topic, dead.asset, JSON.parse(dead.text), dead.attributes],
      ["asset.demo.gone", "asset.demo.gone", "demo/gone", lost, { who: "me" }],
    );
    assert.equal(dead.attempts, ATTEMPTS);
    // The safety net has it as well.
    const [kept] = await until(async () => {
      const found = await cloud.deadLetters();
      return found.length > 0 ? found : undefined;
    });
    assert.deepEqual(JSON.parse(kept?.data ?? ""), lost);
  });
});
