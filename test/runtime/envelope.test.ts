/** Every form in which a trigger may arrive, and what is said about those that make no sense. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readEnvelope } from "../../lib/runtime/envelope.ts";
import type { Incoming } from "../../lib/runtime/envelope.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const PUBLISHED = "2024-05-01T10:00:00.123Z";
const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
const pubsub = "google.cloud.pubsub.topic.v1.messagePublished";
const finalized = "google.cloud.storage.object.v1.finalized";
const source = "//example.com/x";
const object = { bucket: "b", name: "a/b.parquet", generation: "7", size: "12" };
const message = { data: base64('{"partition":"2024-05-01"}'), messageId: "m1", publishTime: PUBLISHED };

const delivered: readonly (readonly [string, Incoming, object])[] = [
  [
    "a push message",
    { body: { message: { ...message, attributes: { a: "1" } }, subscription: "s", deliveryAttempt: 3 } },
    { messageId: "m1", publishedAt: Date.parse(PUBLISHED), data: { partition: "2024-05-01" }, attributes: { a: "1" } },
  ],
  [
    "snake case alone",
    { body: { message: { data: message.data, message_id: "m2", publish_time: PUBLISHED } } },
    { messageId: "m2", publishedAt: Date.parse(PUBLISHED), data: { partition: "2024-05-01" }, attributes: {} },
  ],
  ["no data", { body: { message: { messageId: "m" } } }, { data: {} }],
  ["empty data", { body: { message: { messageId: "m", data: "" } } }, { data: {} }],
  ["blank data", { body: { message: { messageId: "m", data: base64(" \r\n\t") } } }, { data: {} }],
  ["attributes that are null", { body: { message: { messageId: "m", attributes: null } } }, { attributes: {} }],
  [
    "the alphabet for URLs",
    { body: { message: { messageId: "m", data: Buffer.from('"??>>~~"').toString("base64url") } } },
    { data: "??>>~~" },
  ],
  [
    "data without padding",
    { body: { message: { messageId: "m", data: base64('{"a":1}').replaceAll("=", "") } } },
    { data: { a: 1 } },
  ],
  [
    "non-Latin text",
    { body: { message: { messageId: "m", data: base64('{"a":"データ 🦆"}') } } },
    { data: { a: "データ 🦆" } },
  ],
  ["JSON that is no object", { body: { message: { messageId: "m", data: base64("[1]") } } }, { data: [1] }],
  [
    "unknown fields around it",
    { body: { message: { messageId: "m", orderingKey: "x" }, more: true } },
    { messageId: "m" },
  ],
  [
    "a publish time that is none",
    { body: { message: { messageId: "m", publishTime: "yesterday" } } },
    { publishedAt: NOW },
  ],
  [
    "a publish time before Pub/Sub",
    { body: { message: { messageId: "m", publishTime: "0000-01-01T00:00:00Z" } } },
    { publishedAt: NOW },
  ],
  [
    "a publish time beyond all windows",
    { body: { message: { messageId: "m", publishTime: "+275760-09-13T00:00:00Z" } } },
    { publishedAt: NOW },
  ],
  ["no publish time", { body: { message: { messageId: "m" } } }, { publishedAt: NOW }],
  [
    "a binary CloudEvent",
    { headers: { "ce-specversion": "1.0", "ce-id": "e1", "ce-type": pubsub, "ce-source": source }, body: { message } },
    { messageId: "m1", data: { partition: "2024-05-01" } },
  ],
  [
    "a structured CloudEvent whose message has neither id nor time",
    {
      body: {
        specversion: "1.0",
        id: "e2",
        type: pubsub,
        source,
        time: PUBLISHED,
        data: { message: { data: message.data } },
      },
    },
    { messageId: "e2", publishedAt: Date.parse(PUBLISHED), data: { partition: "2024-05-01" } },
  ],
  [
    "a finalized object, binary",
    {
      headers: {
        "ce-specversion": "1.0",
        "ce-id": "e3",
        "ce-type": finalized,
        "ce-source": source,
        "ce-time": PUBLISHED,
      },
      body: object,
    },
    { messageId: "e3", publishedAt: Date.parse(PUBLISHED), data: object, attributes: {} },
  ],
  [
    "a finalized object, structured",
    { body: { specversion: "1.0", id: "e4", type: finalized, source, subject: "objects/a", data: object } },
    { messageId: "e4", publishedAt: NOW, data: object },
  ],
];
for (const [name, incoming, expected] of delivered) {
  test(`delivered: ${name}`, () => {
    const envelope = readEnvelope(incoming, NOW);
    assert.equal(envelope.kind, "delivery");
    assert.ok(envelope.kind === "delivery");
    assert.deepEqual({ ...envelope.delivery, ...expected }, envelope.delivery);
  });
}

const neither = "the body is neither a Pub/Sub push message nor a CloudEvent: send one of them";
const withData = (data: unknown): Incoming => ({ body: { message: { messageId: "m", data } } });
const refused: readonly (readonly [string, Incoming, string])[] = [
  ["nothing", { body: undefined }, neither],
  ["null", { body: null }, neither],
  ["a text", { body: "hello" }, neither],
  ["an empty object", { body: {} }, neither],
  ["a list for a message", { body: { message: [] } }, neither],
  ["a number for data", withData(5), neither],
  ["attributes that are no texts", { body: { message: { messageId: "m", attributes: { a: 1 } } } }, neither],
  [
    "a CloudEvent without an id",
    { headers: { "ce-specversion": "1.0", "ce-type": pubsub, "ce-source": source }, body: {} },
    neither,
  ],
  ["no base64", withData("%%%"), "the message's data is not base64"],
  ["base64 of an impossible length", withData("abcde"), "the message's data is not base64"],
  ["padding in the middle", withData("ab==cd=="), "the message's data is not base64"],
  ["no UTF-8", withData(base64(Uint8Array.of(0xff, 0xfe, 0x41))), "the message's data is not UTF-8 text"],
  ["no JSON", withData(base64("{nope")), `the message's data is not JSON: "{nope"`],
  ["a bomb of brackets", withData(base64("[".repeat(200_000))), `the message's data is not JSON: "${"[".repeat(60)}"`],
  [
    "a CloudEvent of Pub/Sub without a message",
    { body: { specversion: "1.0", id: "e", type: pubsub, source, data: {} } },
    "the CloudEvent holds no Pub/Sub message",
  ],
  [
    "a CloudEvent of another type",
    { body: { specversion: "1.0", id: "e", type: "a.b", source } },
    "CloudEvents of type a.b have no receiver here",
  ],
];
for (const [name, incoming, reason] of refused) {
  test(`refused: ${name}`, () => {
    const envelope = readEnvelope(incoming, NOW);
    assert.equal(envelope.kind, "refused");
    assert.ok(envelope.kind === "refused");
    assert.equal(envelope.reason, reason);
    assert.notEqual(envelope.messageId, "", "every refusal is an event of its own");
  });
}

test("messages without an id are told apart by their content and time", () => {
  const idOf = (body: unknown, now: number): string => {
    const envelope = readEnvelope({ body }, now);
    return envelope.kind === "delivery" ? envelope.delivery.messageId : envelope.messageId;
  };
  const bodies = [{ message: {} }, { message: { data: base64("{}") } }, "x", null];
  const ids = bodies.flatMap((body) => [idOf(body, NOW), idOf(body, NOW + 1)]);
  assert.equal(new Set(ids).size, ids.length);
});

test("whatever arrives, it is delivered or refused in one line, and never thrown", () => {
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.string().map(base64));
  const body = fc.oneof(
    fc.anything(),
    fc.record({
      message: fc.record({ data: texts, messageId: fc.string(), publishTime: fc.string() }, { requiredKeys: [] }),
    }),
    fc.record({
      specversion: fc.string(),
      id: fc.string(),
      type: fc.constantFrom(pubsub, finalized, "x"),
      source: fc.string(),
      data: fc.anything(),
    }),
  );
  fc.assert(
    fc.property(body, (value) => {
      const envelope = readEnvelope({ body: json(value) }, NOW);
      if (envelope.kind === "refused") assert.doesNotMatch(envelope.reason, /[\r\n]/);
      else assert.ok(Number.isFinite(envelope.delivery.publishedAt));
    }),
    { numRuns: 500 },
  );
});

/** As an HTTP body would be parsed. */
function json(value: unknown): unknown {
  try {
    const text: string | undefined = JSON.stringify(value);
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return null; // circles and big integers do not travel
  }
}
