/** What the scenarios act on: the platform of one machine, or the local cloud. */
import { switchSensor } from "../../../lib/cli/switch-sensor.ts";
import { topicOf } from "../../../lib/core/asset-key.ts";
import type { StoredEvent } from "../../../lib/core/events.ts";
import { systemClock, systemRandom } from "../../../lib/local/system-clock.ts";
import type { LocalCloud } from "../local-cloud.ts";
import type { LocalPlatform } from "../local-platform.ts";
import type { Rows } from "../parquet.ts";

export interface Ground {
  /** Puts an object into its bucket, which announces it unless it is `silent`. */
  put(uri: string, bytes: Uint8Array | string, how?: "silent"): Promise<void>;
  announceAgain(uri: string): Promise<void>;
  /** A person publishes `message`, JSON, to the asset's topic. */
  ask(asset: string, message: string): Promise<void>;
  publish(topic: string, data: unknown): Promise<void>;
  startSensor(name: string): Promise<void>;
  /** What the scheduler does every few minutes. */
  tick(): Promise<void>;
  /** Resolves when nothing is left to do. */
  quiet(): Promise<void>;
  rows(sql: string): Promise<Rows>;
  /** All of it, oldest first. */
  history(): Promise<readonly StoredEvent[]>;
}

export function platformGround(platform: LocalPlatform): Ground {
  const parts = (uri: string): readonly [string, string] => {
    const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/(.*)$/s.exec(uri) ?? [];
    return [bucket, name];
  };
  return {
    async put(uri, bytes, how) {
      const object = await platform.objects.write(...parts(uri), [Buffer.from(bytes)]);
      if (how !== "silent") await platform.announceObject(object);
    },
    async announceAgain(uri) {
      const object = await platform.objects.stat(...parts(uri));
      if (object === undefined) throw new Error(`${uri} is not there`);
      await platform.announceObject(object);
    },
    ask: async (asset, message) => void (await platform.publish(topicOf(asset), JSON.parse(message))),
    publish: async (topic, data) => void (await platform.publish(topic, data)),
    startSensor: (name) =>
      switchSensor({ events: platform.events, clock: systemClock(), random: systemRandom() }, name, "running"),
    async tick() {
      await platform.runtime.sweepDue();
      await platform.runtime.sweepBuckets();
    },
    quiet: () => platform.quiet(),
    rows: (sql) => platform.rows(sql),
    history: () => platform.history(),
  };
}

export function cloudGround(cloud: LocalCloud): Ground {
  return {
    async put(uri, bytes, how) {
      cloud.announcing(how !== "silent");
      await cloud.put(uri, bytes);
      await cloud.gcs.settled();
      cloud.announcing(true);
    },
    announceAgain: (uri) => cloud.announceAgain(uri),
    // With the command that the documentation names.
    ask: async (asset, message) =>
      void (await cloud.gcloud("pubsub", "topics", "publish", topicOf(asset), "--message", message)),
    publish: async (topic, data) => void (await cloud.pubsub.publish(topic, JSON.stringify(data))),
    startSensor: (name) => cloud.startSensor(name),
    tick: () => cloud.tick(),
    quiet: () => cloud.quiet(),
    rows: (sql) => cloud.rows(sql),
    history: () => cloud.history(),
  };
}
