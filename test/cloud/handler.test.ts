import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import { asset, assetSensor, job, skip } from "sluice";
import { handle } from "../../lib/cloud/handler.ts";
import type { Answer, IncomingRequest } from "../../lib/cloud/handler.ts";
import { loggedEvents, structuredLog } from "../../lib/cloud/log.ts";
import { unitsOf } from "../../lib/core/units.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { definitionsOf } from "../support/local-platform.ts";
import { plainRuntime, pushOf } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

type Line = Readonly<Record<string, unknown>>;

/** One function: an asset, and two sensors that watch it; and beside it, a job. */
function setUp(
  id: string,
  options: { readonly events?: (store: EventStore) => EventStore; readonly work?: () => Promise<void> } = {},
) {
  const pages = asset({
    key: "crawl/pages",
    async materialize({ log, config }) {
      log.info("asking", { config: JSON.stringify(config) });
      await options.work?.();
    },
  });
  const told = job({ name: "told", run: async () => ({}) });
  const sensorOf = (name: string) =>
    assetSensor({
      name,
      asset: pages,
      job: told,
      defaultStatus: "running",
      evaluate: (_context, { asset: key }) => skip(`${name} saw ${key}`),
    });
  const definitions = definitionsOf({ pages, told, sensors: [sensorOf("one"), sensorOf("two")] });
  const unit = unitsOf(definitions).find((found) => found.id === id) ?? assert.fail(id);
  const lines: Line[] = [];
  const traces = new AsyncLocalStorage<string | undefined>();
  const log = structuredLog({
    project: "p",
    print: (line) => void lines.push(JSON.parse(line) as Line), // the log's lines are objects
    traces: { run: (trace, work) => traces.run(trace, work), get: () => traces.getStore() },
  });
  const clock = virtualClock();
  const made = plainRuntime({
    definitions,
    clock,
    events: (store) => loggedEvents(options.events?.(store) ?? store, log),
  });
  const ready = { unit: { ...unit, definitions }, runtime: made.runtime, log };
  const send = (request: Partial<IncomingRequest>): Promise<Answer> =>
    handle({ method: "POST", path: "/", headers: {}, body: {}, ...request }, ready);
  const types = async (): Promise<readonly string[]> =>
    (await made.events.history({ order: "oldest" })).items.map(({ type }) => type);
  return { ...made, clock, send, lines, types };
}

const PATH = "/asset.crawl.pages";
const RAN = ["run.started", "materialized", "run.succeeded"];
const plain = (types: readonly string[]): readonly string[] => types.filter((type) => type !== "log");

describe("what makes an asset's function run it", () => {
  for (const [what, request] of [
    ["a push with data", { path: PATH, body: pushOf({ runKey: "k" }) }],
    ["a push with attributes alone", { path: PATH, body: pushOf(undefined, { by: "hand" }) }],
    ["a push with nothing in it", { path: PATH, body: { message: { messageId: "7" }, subscription: "s" } }],
    ["its path with what belongs to an address around it", { path: `${PATH}/`, body: pushOf({}) }],
    [
      "a CloudEvent in binary form, to no path",
      {
        headers: {
          "ce-specversion": "1.0",
          "ce-id": "9",
          "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
          "ce-source": "//pubsub.googleapis.com/projects/p/topics/asset.crawl.pages",
        },
        body: pushOf({}),
      },
    ],
    [
      "a CloudEvent in structured form, to no path",
      {
        headers: { "content-type": "application/cloudevents+json" },
        body: {
          specversion: "1.0",
          id: "9",
          type: "google.cloud.pubsub.topic.v1.messagePublished",
          source: "//pubsub.googleapis.com/projects/p/topics/asset.crawl.pages",
          data: pushOf({}),
        },
      },
    ],
  ] as const) {
    test(what, async () => {
      const { send, types } = setUp("asset crawl/pages");
      assert.deepEqual(await send(request), { status: 204, text: "" });
      assert.deepEqual(plain(await types()), RAN);
    });
  }

  test("a push whose attributes ask for what no data says is that request, or refused like it", async () => {
    const { send, types, lines } = setUp("asset crawl/pages");
    const asks = (attributes: Record<string, string>, id: string, data?: object) =>
      send({ path: PATH, body: pushOf(data, attributes, id) });
    assert.equal((await asks({ partition: "2024-05-02" }, "1")).status, 204);
    assert.deepEqual(plain(await types()), ["message.refused"], "an asset without partitions has not this one");
    assert.equal((await asks({ force: "please" }, "2")).status, 204);
    assert.ok(
      lines.some(({ message }) => /message\.refused: the message is no request: force: /.test(String(message))),
    );
    await asks({ runKey: "k", CloudPubSubDeadLetterSourceTopicProject: "p", "x-goog-partition": "y" }, "3");
    await asks({ runKey: "k" }, "4");
    assert.deepEqual(plain(await types()).slice(2), RAN, "one run of that key");
    await asks({ partition: "2024-05-02" }, "5", { runKey: "l" });
    assert.deepEqual(plain(await types()).slice(5), RAN, "attributes beside data are not read");
  });

  test("the same message again is acknowledged, and runs nothing", async () => {
    const { send, types } = setUp("asset crawl/pages");
    const request = { path: PATH, body: pushOf({}, undefined, "same") };
    await send(request);
    assert.equal((await send(request)).status, 204);
    assert.deepEqual(plain(await types()), RAN);
  });
});

test("a wake-up goes on with a parked run, and one for a run that nobody knows is acknowledged", async () => {
  let fails = true;
  const work = (): Promise<void> => (fails ? Promise.reject(new Error("not now")) : Promise.resolve());
  const { send, scheduled, clock, types } = setUp("asset crawl/pages", { work });
  assert.equal((await send({ path: PATH, body: pushOf({ wake: "0123456789abcdef" }) })).status, 204);
  assert.deepEqual(await types(), []);
  assert.equal((await send({ path: PATH, body: pushOf({}) })).status, 204);
  assert.deepEqual(plain(await types()), ["run.started", "run.parked"]);
  const [wake] = scheduled;
  const [topic = "", data = ""] = wake?.what.split(" ") ?? [];
  assert.equal(topic, "asset.crawl.pages");
  fails = false;
  await clock.advance((wake?.at ?? 0) - clock.now());
  assert.equal((await send({ path: PATH, body: pushOf(JSON.parse(data)) })).status, 204);
  assert.deepEqual(plain(await types()).slice(2), ["run.started", "materialized", "run.succeeded"]);
});

test("a topic with several consumers in one function reaches all of them, in the form of --trigger-topic", async () => {
  const { send, published, events } = setUp("asset crawl/pages");
  await send({ path: PATH, body: pushOf({}) });
  const news = published.find((line) => line.startsWith("materialized.crawl.pages "))?.split(" ")[1] ?? "";
  const body = pushOf(JSON.parse(news), undefined, "11");
  const headers = {
    "ce-specversion": "1.0",
    "ce-id": "11",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/p/topics/materialized.crawl.pages",
  };
  assert.equal((await send({ headers, body })).status, 204);
  const names = async (): Promise<readonly string[]> =>
    (await events.runs({ kind: "sensor" })).items.map(({ name }) => name).sort();
  assert.deepEqual(await names(), ["one", "two"]);
  assert.equal((await send({ path: "/sensor.one.materialized", body })).status, 204);
  assert.deepEqual(await names(), ["one", "two"]);
});

describe("what it does not run", () => {
  for (const [what, body] of [
    ["no envelope", { hello: 1 }],
    ["text", "garbage"],
    ["nothing", undefined],
    ["data that is no base64", { message: { data: "%%%", messageId: "1" } }],
    ["data that is no JSON", { message: { data: Buffer.from("{").toString("base64"), messageId: "1" } }],
    ["a request with an unknown field", pushOf({ partitoin: "2024-05-01" })],
  ] as const) {
    test(`${what} is acknowledged, and on record`, async () => {
      const { send, types, lines } = setUp("asset crawl/pages");
      assert.equal((await send({ path: PATH, body })).status, 204);
      assert.deepEqual(await types(), ["message.refused"]);
      assert.equal(lines[0]?.["severity"], "WARNING");
    });
  }

  for (const path of ["/asset.crawl.other", "/", "/%E0%A4%A", "/__proto__"]) {
    test(`a message to ${path}, which is nobody here, is on record at once, and what is no message is a 404`, async () => {
      const { send, types, lines } = setUp("asset crawl/pages");
      assert.equal((await send({ path, body: { hello: 1 } })).status, 404);
      assert.deepEqual(await types(), []);
      assert.equal((await send({ path, body: pushOf({}) })).status, 204);
      assert.equal((await send({ path, body: pushOf({}) })).status, 204);
      assert.deepEqual(await types(), ["message.refused"]);
      assert.equal(lines[0]?.["severity"], "ERROR");
      assert.match(String(lines[0]?.["message"]), /nothing in asset crawl\/pages takes messages of .*: deploy again/);
    });
  }

  test("another method than POST is told so", async () => {
    assert.equal((await setUp("asset crawl/pages").send({ method: "PUT" })).status, 405);
  });
});

test("the only consumer of a function is meant by a message without a path", async () => {
  const { send, types } = setUp("job told");
  assert.equal((await send({ body: pushOf({}) })).status, 204);
  assert.ok((await types()).includes("run.succeeded"));
});

test("a store out of reach asks for the message again, with a line that says why", async () => {
  const events = (store: EventStore): EventStore => ({
    ...store,
    transact: () => Promise.reject(new Error("deadline exceeded")),
    append: () => Promise.reject(new Error("deadline exceeded")),
  });
  const { send, lines } = setUp("asset crawl/pages", { events });
  for (const body of [pushOf({}), { hello: 1 }]) assert.equal((await send({ path: PATH, body })).status, 503);
  const errors = lines.filter(({ severity }) => severity === "ERROR");
  assert.match(String(errors[0]?.["message"]), /will be delivered again: deadline exceeded/);
});

test("reconcile sweeps, whatever it is sent", async () => {
  const { send, types } = setUp("reconcile");
  assert.equal((await send({ body: pushOf({}) })).status, 204);
  assert.equal((await send({ body: {} })).status, 204);
  assert.deepEqual(await types(), []);
});

test("one filter finds everything about a run, and its trace", async () => {
  const { send, lines, events } = setUp("asset crawl/pages");
  const trace = "0af7651916cd43dd8448eb211c80319c";
  await send({ path: PATH, body: pushOf({}), headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
  const [run] = (await events.runs({})).items;
  assert.ok(run !== undefined);
  const labels = (line: Line): unknown => line["logging.googleapis.com/labels"];
  const found = lines.filter((line) => JSON.stringify(labels(line))?.includes(`"sluice_run":"${run.id}"`));
  const stored = (await events.history({ order: "oldest" })).items;
  assert.deepEqual(
    found.map(({ event }) => (event as { readonly type: string }).type), // every line about a run has its event
    stored.map(({ type }) => type),
  );
  for (const line of found) {
    assert.equal(line["logging.googleapis.com/trace"], `projects/p/traces/${trace}`);
    assert.deepEqual(labels(line), { sluice_asset: "crawl/pages", sluice_run: run.id });
    assert.equal(line["severity"], "INFO");
  }
  assert.ok(found.some(({ message }) => String(message).includes("asking")));
});
