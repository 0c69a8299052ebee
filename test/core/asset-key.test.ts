import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  assetKey,
  bucketTopicOf,
  jobTopicOf,
  keyParts,
  materializedTopicOf,
  parseTopic,
  sensorTopicOf,
  topicOf,
} from "../../lib/core/asset-key.ts";
import { DefinitionError } from "../../lib/core/errors.ts";

const segment = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const parts = fc.array(segment, { minLength: 1, maxLength: 6 });

test("a key is the same from its parts and from its text", () => {
  fc.assert(
    fc.property(parts, (list) => {
      const key = assetKey(list);
      assert.equal(assetKey(key), key);
      assert.deepEqual(keyParts(key), list);
    }),
  );
});

const bad: [string | string[], RegExp][] = [
  ["", /is empty/],
  [[], /is empty/],
  ["/a", /empty segment/],
  ["a/", /empty segment/],
  ["a//b", /empty segment/],
  [["a", ""], /empty segment/],
  [["a", "b/c"], /the segment "b\/c"/],
  ["a.b", /the segment "a\.b"/],
  ["a b", /the segment/],
  ["a/b\n", /the segment/],
  ["naïve", /the segment/],
  ["a/..", /the segment "\.\."/],
  ["a*", /the segment/],
  [Array.from({ length: 101 }, () => "a"), /has 201 characters/],
];
for (const [input, message] of bad) {
  test(`refuses ${JSON.stringify(input).slice(0, 40)}`, () => {
    assert.throws(
      () => assetKey(input),
      (error) => error instanceof DefinitionError && message.test(error.message) && error.remedy !== undefined,
    );
  });
}

test("200 characters are the most", () => {
  assert.equal(assetKey("a".repeat(200)).length, 200);
  assert.throws(() => assetKey("a".repeat(201)), /201/);
});

test("topics", () => {
  assert.equal(topicOf("gitcoin/passport_scores"), "asset.gitcoin.passport_scores");
  assert.equal(materializedTopicOf("gitcoin/passport_scores"), "materialized.gitcoin.passport_scores");
  assert.equal(jobTopicOf("clean_up"), "job.clean_up");
  assert.equal(bucketTopicOf("my.bucket"), "bucket.my.bucket");
  assert.throws(() => jobTopicOf("a/b"), DefinitionError);
});

test("topics are parsed back", () => {
  fc.assert(
    fc.property(parts, (list) => {
      const key = assetKey(list);
      assert.deepEqual(parseTopic(topicOf(key)), { kind: "asset", key });
      assert.deepEqual(parseTopic(materializedTopicOf(key)), { kind: "materialized", key });
    }),
  );
  assert.deepEqual(parseTopic(jobTopicOf("x")), { kind: "job", name: "x" });
  assert.deepEqual(parseTopic(sensorTopicOf("x")), { kind: "sensor", name: "x" });
  assert.deepEqual(parseTopic("bucket.a.b"), { kind: "bucket", bucket: "a.b" });
});

test("a topic that nothing here makes is nobody's", () => {
  for (const topic of [
    "",
    "asset",
    "asset.",
    "asset..a",
    "asset.a.",
    "asset.a/b",
    "job.a.b",
    "job.",
    "bucket.",
    "other.a",
  ]) {
    assert.equal(parseTopic(topic), undefined, topic);
  }
});
