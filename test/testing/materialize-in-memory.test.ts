import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asset,
  bigqueryTable,
  daily,
  dependsOn,
  materializeInMemory,
  parquetFiles,
  PermanentError,
  secret,
} from "sluice";
import type { WritableObjects } from "sluice";
import { z } from "zod";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { forum } from "../support/forum.ts";
import { posts } from "../support/posts.ts";
import { profiles } from "../support/profiles.ts";
import { rates } from "../support/rates.ts";

test("20 is high", async () => {
  const scores = [{ address: "0x1", score: 20, day: "2024-05-01" }];
  const { rows } = await materializeInMemory(profiles, { inputs: { scores }, resources: { token: "t" } });
  assert.deepEqual(rows, [{ address: "0x1", tier: "high" }]);
});

test("inputs and resources have the types that the code takes them for", () => {
  const scores = [{ address: "0x1", score: 20, day: "2024-05-01" }];
  const wrong = [{ address: "0x1", score: "20", day: "2024-05-01" }];
  // Only the compiler looks at these.
  const calls = [
    // @ts-expect-error: the score is a number
    () => materializeInMemory(profiles, { inputs: { scores: wrong }, resources: { token: "t" } }),
    // @ts-expect-error: the token is missing
    () => materializeInMemory(profiles, { inputs: { scores } }),
    // @ts-expect-error: the token is a text
    () => materializeInMemory(profiles, { inputs: { scores }, resources: { token: 7 } }),
    // @ts-expect-error: the scores are missing
    () => materializeInMemory(profiles, { resources: { token: "t" } }),
    // @ts-expect-error: it has no partitions
    () => materializeInMemory(profiles, { inputs: { scores }, resources: { token: "t" }, partition: "2024-05-01" }),
  ];
  assert.equal(calls.length, 5);
});

const windows = asset({
  key: "test/windows",
  partitions: daily({ start: "2024-05-01" }),
  config: z.object({ factor: z.number().default(2), least: z.number() }),
  inputs: { scores: dependsOn(profiles, { kind: "last" }) },
  schema: z.object({ day: z.iso.date(), n: z.int().max(100), kind: z.string().default("plain") }),
  ioManager: bigqueryTable({ onInvalidRow: "discard" }),
  async *materialize({ partition, config, row, metadata, signal, log }, { scores }) {
    let n = config.least;
    for await (const _ of scores) n *= config.factor;
    for await (const { tier } of scores) n += tier === "high" ? 1 : 0;
    log.info("counted", { n });
    signal.throwIfAborted();
    metadata({ start: partition.start ?? 0 });
    yield row({ day: partition.key, n });
    yield row({ day: partition.key, n: 1000 });
    yield row({ day: "never", n });
  },
});
const scores = [
  { address: "a", tier: "high" },
  { address: "b", tier: "low" },
] as const;

test("partition and config are what a run would give, and rows go through the schema", async () => {
  const result = await materializeInMemory(windows, {
    inputs: { scores },
    partition: "2024-05-02",
    config: { least: 3 },
  });
  assert.deepEqual(result.rows, [{ day: "2024-05-02", n: 13, kind: "plain" }]);
  assert.deepEqual(result.metadata, { start: Date.UTC(2024, 4, 2) });
  assert.deepEqual(
    result.discarded.map(({ row, reason }) => [row, reason.split(":")[0]]),
    [
      [2, "n"],
      [3, "day"],
    ],
  );
});

test("a config may be left out where it has defaults for all that it needs", () => {
  const config = z.object({ factor: z.number().default(2) });
  const easy = asset({ key: "test/easy", config, materialize: async () => undefined });
  // Only the compiler looks at these.
  const calls = [
    () => materializeInMemory(easy, {}),
    () => materializeInMemory(easy, { config: { factor: 3 } }),
    // @ts-expect-error: least is missing
    () => materializeInMemory(windows, { inputs: { scores }, partition: "2024-05-02" }),
  ];
  assert.equal(calls.length, 3);
});

test("pages count as their rows, whichever I/O manager would store them", async () => {
  const pages = asset({
    key: "test/pages",
    schema: z.object({ n: z.int() }),
    ioManager: parquetFiles({ location: "gs://bucket", onInvalidRow: "discard" }),
    *materialize() {
      yield [{ n: 1 }, { n: 1.5 }];
      yield { n: 2 };
    },
  });
  const { rows, discarded } = await materializeInMemory(pages, {});
  assert.deepEqual([rows, discarded.map(({ row }) => row)], [[{ n: 1 }, { n: 2 }], [2]]);
});

test("what a run would refuse is refused", async () => {
  const given = { inputs: { scores }, partition: "2024-05-02", config: { least: 3 } };
  const code = (expected: string) => (error: unknown) => error instanceof PermanentError && error.code === expected;
  await assert.rejects(materializeInMemory(windows, { ...given, partition: "2024-04-30" }), /before the first one/);
  // @ts-expect-error: least is missing
  await assert.rejects(materializeInMemory(windows, { ...given, config: {} }), code("bad-config"));
  await assert.rejects(materializeInMemory(windows, { ...given, config: { least: 99 } }), code("invalid-row"));
  const strict = asset({
    key: "test/strict",
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    materialize: () => [{ n: 1 }, { n: 1.5 }],
  });
  await assert.rejects(materializeInMemory(strict, {}), code("invalid-row"));
});

test("an asset without an I/O manager gives what it says of itself", async () => {
  const plain = asset({
    key: "test/plain",
    resources: { token: secret("token") },
    async materialize({ metadata, idempotencyKey }, { token }) {
      metadata({ token });
      return { metadata: { key: idempotencyKey.length }, dataVersion: "v1" };
    },
  });
  assert.deepEqual(await materializeInMemory(plain, { resources: { token: "t" } }), {
    rows: [],
    metadata: { token: "t", key: 32 },
    discarded: [],
    checkpoints: [],
    logs: [],
    dataVersion: "v1",
  });
});

test("a crawl goes on from the page that was saved", async (t) => {
  const server = createServer(({ url }, response) => {
    const page = Number(url?.split("=")[1]);
    response.end(JSON.stringify(page > 4 ? [] : [{ id: page, title: `page ${page}` }]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // it listens on a port
  const resources = { forum: `http://127.0.0.1:${port}` };
  const { rows, checkpoints } = await materializeInMemory(posts, { resources, checkpoint: 3 });
  assert.deepEqual(
    [rows.map(({ id }) => id), checkpoints],
    [
      [3, 4],
      [4, 5],
    ],
  );
  const all = await materializeInMemory(posts, { resources });
  assert.deepEqual(all.checkpoints, [2, 3, 4, 5]);
});

test("an output of a multi-asset gives its own rows, and is skipped at the version that is shown", async (t) => {
  const threads = [
    { id: 1, title: "hello", replies: ["hi", "good day"] },
    { id: 2, title: "bye", replies: [] },
  ];
  const server = createServer((_, response) => {
    response.setHeader("etag", "v1");
    response.end(JSON.stringify(threads));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // it listens on a port
  const given = { resources: { address: `http://127.0.0.1:${port}` } };
  const { rows, dataVersion } = await materializeInMemory(forum.outputs.replies, given);
  assert.deepEqual(
    rows.map(({ text }) => text),
    ["hi", "good day"],
  );
  assert.equal(dataVersion, "v1");
  const skipped = await materializeInMemory(forum.outputs.threads, { ...given, shown: "v1" });
  assert.deepEqual([skipped.rows, skipped.skipped], [[], "unchanged"]);
});

test("code that takes a range gets one, and no partition of its own", async () => {
  const ranges = asset({
    key: "test/ranges",
    partitions: daily({ start: "2024-05-01" }),
    backfill: "single-run",
    async materialize(context) {
      const { keys, start, end } = context.partitionRange;
      const own = keys.length === 1 ? context.partition.key : "none";
      return { metadata: { keys: keys.join(), days: ((end ?? 0) - (start ?? 0)) / 86_400_000, own }, dataVersion: "v" };
    },
  });
  const one = await materializeInMemory(ranges, { partition: "2024-05-01" });
  assert.deepEqual([one.metadata, one.dataVersion], [{ keys: "2024-05-01", days: 1, own: "2024-05-01" }, "v"]);
  const two = await materializeInMemory(ranges, { partition: "2024-05-01", through: "2024-05-02" });
  assert.deepEqual(
    [two.metadata, two.dataVersion],
    [{ keys: "2024-05-01,2024-05-02", days: 2, own: "none" }, undefined],
  );

  const careless = asset({
    key: "test/careless",
    partitions: daily({ start: "2024-05-01" }),
    backfill: "single-run",
    materialize: async ({ partition }) => ({ metadata: { day: partition.key } }),
  });
  await assert.rejects(
    materializeInMemory(careless, { partition: "2024-05-01", through: "2024-05-02" }),
    /makes 2 partitions, so there is no context.partition/,
  );
  const { backfill, ...plain } = careless;
  await assert.rejects(
    materializeInMemory(plain, { partition: "2024-05-01", through: "2024-05-02" }),
    /test\/careless takes one partition a run/,
  );
});

test("a range is one request, and a file for each of its days", async (t) => {
  const asked: (string | undefined)[] = [];
  const server = createServer(({ url }, response) => {
    asked.push(url);
    response.end(JSON.stringify({ "2024-05-01": { EUR: 1 }, "2024-05-02": { EUR: 2 } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // it listens on a port
  const written: string[] = [];
  const none = (): never => assert.fail("not to be called");
  const files: WritableObjects = {
    list: none,
    read: none,
    delete: none,
    async write(name, body) {
      const parts: Uint8Array[] = [];
      for await (const part of body) parts.push(part);
      written.push(`${name} ${Buffer.concat(parts).toString()}`);
      return { name, generation: "1", size: 1 };
    },
  };
  const resources = { bank: `http://127.0.0.1:${port}`, files };
  await materializeInMemory(rates, { resources, partition: "2024-05-01", through: "2024-05-03" });
  assert.deepEqual(asked, ["/rates?from=2024-05-01&to=2024-05-03"]);
  assert.deepEqual(written, [
    'days/2024-05-01.json {"EUR":1}',
    'days/2024-05-02.json {"EUR":2}',
    "days/2024-05-03.json {}",
  ]);
});
