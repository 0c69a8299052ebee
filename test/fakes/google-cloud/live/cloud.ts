/**
 * The fake cloud as one that runs: topics and subscriptions are made on the Pub/Sub emulator too, deployed functions are processes, and
 * what they talk to are the emulators and the fakes of Storage, BigQuery, Cloud Tasks and Secret Manager.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { startFakeBigquery, type FakeBigquery } from "../../fake-bigquery.ts";
import { fileOfUri, type FakeGcs } from "../../fake-gcs.ts";
import { startFakeSecrets, type FakeSecret } from "../../fake-secrets.ts";
import { startFakeTasks, type FakeTasks } from "../../fake-tasks.ts";
import { jsonAt, textAt, type Json } from "../json.ts";
import type { Kind } from "../state.ts";
import type { World } from "../world.ts";
import { openDoor, type Delivery } from "./door.ts";
import { liveFunctions } from "./functions.ts";
import type { Supervisor } from "../../../support/local-cloud/supervisor.ts";

export interface RunOptions {
  /** `host:port` of the emulators. */
  readonly pubsub: string;
  readonly firestore: string;
  /** Where BigQuery's jobs run. Default `EU`. */
  readonly location?: string;
  /** Of the runtime in the functions, in place of its own. */
  readonly settings?: Json;
  /** What secrets hold, by their names. */
  readonly secrets?: ReadonlyMap<string, FakeSecret>;
}

export interface LiveCloud {
  readonly bigquery: FakeBigquery;
  readonly tasks: FakeTasks;
  /** Where a client of this cloud finds its services: `endpoints` of the functions' configuration. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Every message that came to a function, or was refused before. */
  readonly deliveries: readonly Delivery[];
  /** By the function's name. */
  readonly functions: ReadonlyMap<string, Supervisor>;
  /** The last lines of every function that was started. */
  logs(): string;
  changed(kind: Kind, name: string, value: Json | undefined): Promise<void>;
  publish(topic: string, messages: readonly Json[]): Promise<readonly string[]>;
  request(target: Json): Promise<void>;
  isIdle(): boolean;
  close(): Promise<void>;
}

export async function startLiveCloud(
  options: RunOptions & { readonly project: string; readonly gcs: FakeGcs; readonly world: World },
): Promise<LiveCloud> {
  const { project, gcs, pubsub, firestore, location = "EU", settings } = options;
  const bigquery = await startFakeBigquery({ project, location, resolveUri: fileOfUri(gcs) });
  const tasks = await startFakeTasks({ clock: Date, queues: [] });
  const secrets = await startFakeSecrets(project, options.secrets ?? new Map());
  const endpoints = {
    storage: gcs.url,
    bigquery: bigquery.url,
    pubsub,
    firestore,
    tasks: tasks.host,
    secrets: secrets.host,
  };
  const functions = liveFunctions(gcs, (own) => {
    const text = own["SLUICE_CONFIG"];
    if (text === undefined) return own;
    const config: unknown = JSON.parse(text);
    const more = {
      endpoints,
      ...(settings !== undefined && { settings: { ...jsonAt(config, "settings"), ...settings } }),
    };
    return { ...own, SLUICE_CONFIG: JSON.stringify({ ...jsonAt(config), ...more }) };
  });
  const door = await openDoor(options.world, project, functions.find);

  // The queues call by themselves what is due.
  const stopped = new AbortController();
  const delivering = (async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await tasks.deliver();
      await sleep(50);
    }
  })();

  async function rest(method: string, url: string, body?: unknown, well: readonly number[] = []): Promise<unknown> {
    const answer = await fetch(url, {
      method,
      headers: { "content-type": "application/json", authorization: "Bearer fake" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok && !well.includes(answer.status)) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
    return text === "" ? {} : JSON.parse(text);
  }

  const emulator = (name: string): string => `http://${pubsub}/v1/${name}`;

  /** As it is, but for a retry policy, with which the emulator stalls; and pushed to the door. */
  async function subscribe(name: string, value: Json): Promise<void> {
    const short = name.slice(name.lastIndexOf("/") + 1);
    const pushes = textAt(value, "pushConfig", "pushEndpoint") !== "";
    const pushConfig = pushes ? { pushEndpoint: `${door.url}/push/${encodeURIComponent(short)}` } : {};
    const { topic, deadLetterPolicy, ackDeadlineSeconds } = value;
    const wanted = {
      topic,
      ackDeadlineSeconds,
      pushConfig,
      ...(deadLetterPolicy !== undefined && { deadLetterPolicy }),
    };
    if (topic === "_deleted-topic_") return;
    await rest("PUT", emulator(name), wanted, [409]);
  }

  async function changed(kind: Kind, name: string, value: Json | undefined): Promise<void> {
    if (kind === "function") return await functions.changed(name, value);
    if (kind === "topic" || kind === "subscription") {
      if (value === undefined) return void (await rest("DELETE", emulator(name), undefined, [404]));
      return kind === "topic" ? void (await rest("PUT", emulator(name), {}, [409])) : await subscribe(name, value);
    }
    if (kind === "queue") {
      const parent = name.slice(0, name.lastIndexOf("/"));
      const url = (path: string): string => `${tasks.url}/v2/${path}`;
      return void (await (value === undefined
        ? rest("DELETE", url(name), undefined, [404])
        : rest("POST", url(parent), { name }, [409])));
    }
    if (kind === "dataset" && value !== undefined) {
      const ttl = textAt(value, "defaultTableExpirationMs");
      const body = {
        datasetReference: value["datasetReference"],
        location: value["location"],
        ...(ttl !== "" && { defaultTableExpirationMs: ttl }),
      };
      return void (await rest("POST", `${bigquery.url}/bigquery/v2/projects/${project}/datasets`, body, [409]));
    }
  }

  return {
    bigquery,
    tasks,
    endpoints,
    deliveries: door.deliveries,
    functions: functions.all,
    isIdle: door.isIdle,
    logs: () =>
      [...functions.all]
        .filter(([, { log }]) => log().join("") !== "")
        .map(([name, { log }]) => `── ${name}\n${log().slice(-40).join("\n")}`)
        .join("\n"),
    changed,
    async publish(topic, messages) {
      const answer = await rest("POST", `${emulator(topic)}:publish`, { messages });
      const { messageIds } = jsonAt(answer);
      return Array.isArray(messageIds) ? messageIds.map(String) : [];
    },
    request: async (target) => void (await door.call(target)),
    async close() {
      stopped.abort();
      await delivering;
      await functions.close();
      await door.close();
      await Promise.all([bigquery.close(), tasks.close(), secrets.close()]);
    },
  };
}
