import assert from "node:assert/strict";
import { test } from "node:test";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import { httpWebhooks } from "../../lib/local/http-webhooks.ts";
import { freePort } from "../support/free-port.ts";
import { receiver } from "../support/receiver.ts";

const { post } = httpWebhooks();
const request = { body: '{"a":"ä"}', headers: { "idempotency-key": "k" }, timeoutMs: 60_000 };

test("a message arrives whole, with its headers", async () => {
  await using to = await receiver();
  assert.deepEqual(await post(`${to.url}/hook?token=t`, request), { status: 200 });
  const [got] = to.received;
  assert.deepEqual([got?.path, got?.body], ["/hook?token=t", { a: "ä" }]);
  assert.equal(got?.headers["content-type"], "application/json; charset=utf-8");
  assert.equal(got?.headers["idempotency-key"], "k");
});

test("an answer is its status, and the pause that it asks for", async () => {
  for (const [text, retryAfterMs] of [
    ["2", 2_000],
    ["0.3", 300],
    ["999999999", 3_600_000],
    ["-1", undefined],
    ["Wed, 21 Oct 2015 07:28:00 GMT", undefined],
  ] as const) {
    await using to = await receiver(() => ({ status: 429, headers: { "retry-after": text } }));
    const expected = { status: 429, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    assert.deepEqual(await post(to.url, request), expected, text);
  }
});

test("a redirection is an answer, and is not followed", async () => {
  await using other = await receiver();
  await using to = await receiver(() => ({ status: 302, headers: { location: other.url } }));
  assert.equal((await post(to.url, request)).status, 302);
  assert.deepEqual(other.received, []);
});

const refused = (error: unknown, kind: typeof PermanentError | typeof RetryableError, line: RegExp): boolean => {
  assert.ok(error instanceof kind);
  assert.match(error.message, line);
  assert.ok(
    !/127\.0\.0\.1|example|token/.test(`${error.message} ${String(error.cause)} ${error.stack?.split("\n")[0]}`),
  );
  return true;
};

test("nobody there, and nobody who answers: to be tried again, without a word of the address", async () => {
  const url = `http://127.0.0.1:${await freePort()}/?token=t`;
  await assert.rejects(post(url, request), (error) => refused(error, RetryableError, /out of reach/));
  await using silent = await receiver(() => undefined);
  await assert.rejects(post(`${silent.url}/?token=t`, { ...request, timeoutMs: 20 }), (error) =>
    refused(error, RetryableError, /no answer came within 20 ms/),
  );
});

test("what is no address is refused at once", async () => {
  for (const text of ["", "hooks.example.org/token", "file:///etc/passwd", "http://", "javascript:token"])
    await assert.rejects(post(text, request), (error) => refused(error, PermanentError, /no http\(s\) address/));
});

test("who is asked to stop does not wait", async () => {
  await using silent = await receiver(() => undefined);
  const stop = new AbortController();
  const waiting = post(silent.url, { ...request, signal: stop.signal });
  stop.abort(new Error("stopping"));
  await assert.rejects(waiting, /stopping/);
});
