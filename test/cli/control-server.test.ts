import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { controlApp, isLoopback } from "../../lib/cli/control-server.ts";
import type { ControlOptions } from "../../lib/cli/control-server.ts";
import { PermanentError } from "../../lib/core/errors.ts";

const TOKEN = "t".repeat(64);
const HOST = { host: "127.0.0.1:4711" };
const AUTHORIZED = { ...HOST, authorization: `Bearer ${TOKEN}` };

function appOf(changes: Partial<ControlOptions> = {}) {
  const published: { topic: string; data: string; attributes: Readonly<Record<string, string>> }[] = [];
  const never = async (): Promise<never> => assert.fail("not to be called");
  const app = controlApp(
    {
      handlers: {
        catalog: never,
        get: async () => null,
        history: never,
        runs: never,
        partitions: never,
        sensors: async () => [],
        publish: never,
        switchSensor: never,
        operate: never,
        changes: async () => ({ changes: null }),
        settle: never,
      },
      topics: () => ["asset.demo.scores"],
      async publish(topic, message) {
        published.push({ topic, ...message });
        return String(published.length);
      },
      put: never,
      query: never,
      ...changes,
    },
    TOKEN,
  );
  return { app, published };
}

function post(body: unknown, headers: Readonly<Record<string, string>> = HOST): RequestInit {
  return { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) };
}

const PUBLISH = "/v1/projects/local/topics/asset.demo.scores:publish";

describe("the control server", () => {
  test("answers nobody without the token", async () => {
    const { app } = appOf();
    for (const headers of [HOST, { ...HOST, authorization: "Bearer x" }, { ...HOST, authorization: TOKEN }]) {
      for (const path of ["/api/sensors", "/api/query", "/api/settle"]) {
        assert.equal((await app.request(path, post({}, headers))).status, 401);
      }
      assert.equal((await app.request("/api/ping", { headers })).status, 401);
    }
    const answer = await app.request("/api/sensors", post({}, AUTHORIZED));
    assert.deepEqual([answer.status, await answer.json()], [200, []]);
  });

  test("answers no other host's name and no web page, not even with the token", async () => {
    const { app, published } = appOf();
    for (const headers of [
      { ...AUTHORIZED, host: "evil.example" },
      { ...AUTHORIZED, host: "127.0.0.1.evil.example:4711" },
      { ...AUTHORIZED, origin: "https://evil.example" },
      { ...AUTHORIZED, origin: "null" },
    ]) {
      assert.equal((await app.request("/api/sensors", post({}, headers))).status, 403);
      assert.equal((await app.request(PUBLISH, post({ messages: [{ data: "e30=" }] }, headers))).status, 403);
    }
    assert.deepEqual(published, []);
    assert.deepEqual(["127.0.0.1", "localhost:80", "[::1]:4711", "127.0.0.1:1"].map(isLoopback), [
      true,
      true,
      true,
      true,
    ]);
    assert.deepEqual(
      [undefined, "", "localhost.evil", "10.0.0.1", "a@127.0.0.1"].map(isLoopback),
      Array(5).fill(false),
    );
  });

  test("refuses what its operations do not take, and passes on why something failed", async () => {
    const { app } = appOf({
      query: async () => {
        throw new PermanentError("no such table", { code: "notFound" });
      },
    });
    assert.equal((await app.request("/api/get", post({ kind: "secret", id: "x" }, AUTHORIZED))).status, 400);
    assert.equal((await app.request("/api/get", post({ kind: "run", id: "x", more: 1 }, AUTHORIZED))).status, 400);
    assert.equal((await app.request("/api/get", post("{", AUTHORIZED))).status, 400);
    assert.equal((await app.request("/api/nothing", post({}, AUTHORIZED))).status, 404);
    const answer = await app.request("/api/query", post("SELECT 1", AUTHORIZED));
    assert.deepEqual(JSON.parse(await answer.text()), { error: { message: "no such table", code: "notFound" } });
  });
});

describe("Pub/Sub's publish path", () => {
  test("publishes every message, and answers with their ids", async () => {
    const { app, published } = appOf();
    const messages = [{ data: "e30=" }, { attributes: { a: "b" } }, { data: "AP8", attributes: null }];
    const answer = await app.request(`${PUBLISH}?alt=json`, post({ messages }));
    assert.deepEqual([answer.status, await answer.json()], [200, { messageIds: ["1", "2", "3"] }]);
    assert.deepEqual(published, [
      { topic: "asset.demo.scores", data: "e30=", attributes: {} },
      { topic: "asset.demo.scores", data: "", attributes: { a: "b" } },
      { topic: "asset.demo.scores", data: "AP8", attributes: {} },
    ]);
  });

  test("publishes nothing when one of the messages is bad", async () => {
    const { app, published } = appOf();
    const bad: readonly unknown[] = [
      "{",
      {},
      { messages: [] },
      { messages: [{}] },
      { messages: [{ data: "e30=" }, { data: "not base64!" }] },
      { messages: [{ data: "e30=", attributes: { a: 1 } }] },
    ];
    for (const body of bad) {
      const answer = await app.request(PUBLISH, post(body));
      assert.equal(answer.status, 400);
      const { error } = (await answer.json()) as { error: { code: number; status: string } };
      assert.deepEqual([error.code, error.status], [400, "INVALID_ARGUMENT"]);
    }
    assert.deepEqual(published, []);
  });

  test("has Google's answer for an unknown topic", async () => {
    const answer = await appOf().app.request("/v1/projects/p/topics/asset.demo.score:publish", post({ messages: [] }));
    assert.equal(answer.status, 404);
    assert.deepEqual(await answer.json(), {
      error: {
        code: 404,
        message: 'Resource not found (resource=projects/p/topics/asset.demo.score); did you mean "asset.demo.scores"?',
        status: "NOT_FOUND",
      },
    });
    assert.equal((await appOf().app.request("/v1/projects/p/topics/asset.demo.scores:pull", post({}))).status, 404);
  });
});
