import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import { cloudTasks } from "../../lib/gcp/tasks.ts";
import type { CloudTasksOptions } from "../../lib/gcp/tasks.ts";
import { startFakeTasks } from "../fakes/fake-tasks.ts";

const QUEUE = "projects/p/locations/l/queues/q";

async function setUp(context: TestContext, changes: Partial<CloudTasksOptions> = {}) {
  let now = Date.now();
  const fake = await startFakeTasks({ clock: { now: () => now }, queues: [QUEUE] });
  const settings = { projectId: "p", location: "l", queue: "q", serviceAccount: "wake@p.iam.gserviceaccount.com" };
  const tasks = cloudTasks({ ...settings, emulatorHost: fake.host, ...changes });
  const seen: { readonly url: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  const answers: number[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      seen.push({ url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(answers.shift() ?? 200).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const call = { url: `http://127.0.0.1:${address.port}/v1/t:publish`, body: { a: "Ü" }, scope: "s" };
  context.after(async () => {
    await tasks.close();
    await fake.close();
    server.close();
    server.closeAllConnections();
  });
  return {
    fake,
    tasks,
    call,
    seen,
    answers,
    now: () => now,
    pass: (ms: number) => {
      now += ms;
      return fake.deliver();
    },
  };
}

test("a task makes its call at its time, with the token of its account", async (context) => {
  const { tasks, call, seen, now, pass } = await setUp(context);
  await tasks.create("wake-1", call, now() + 5_250);
  await pass(5_249);
  assert.equal(seen.length, 0);
  await pass(1);
  assert.equal(seen.length, 1);
  const [{ url, headers, body } = assert.fail()] = seen;
  assert.deepEqual([url, JSON.parse(body)], ["/v1/t:publish", { a: "Ü" }]);
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.authorization, "Bearer token-of-wake@p.iam.gserviceaccount.com");
  assert.match(String(headers["x-cloudtasks-taskname"]), /^[0-9a-f]{16}-wake-1$/);
  await pass(3_600_000);
  assert.equal(seen.length, 1);
});

test("a call that fails is made again, later and later", async (context) => {
  const { tasks, call, seen, answers, now, pass } = await setUp(context);
  answers.push(503, 404);
  await tasks.create("wake", call, now());
  await pass(0);
  await pass(99);
  assert.equal(seen.length, 1);
  await pass(1);
  await pass(200);
  assert.equal(seen.length, 3);
});

test("a name that waits, or was used in the last hour, is ignored; names that differ never meet", async (context) => {
  const { fake, tasks, call, seen, now, pass } = await setUp(context);
  const long = "x".repeat(499);
  for (const name of ["wake", "wake", "Wake", `${long}a`, `${long}b`]) await tasks.create(name, call, now() + 1_000);
  await pass(1_000);
  assert.equal(seen.length, 4);
  await tasks.create("wake", call, now());
  assert.equal(fake.nextAt(), undefined);
  await pass(3_600_000);
  await tasks.create("wake", call, now());
  await pass(0);
  assert.equal(seen.length, 5);
});

test("names spread: their first digits come from a hash", async (context) => {
  const { fake, tasks, call, seen, now, pass } = await setUp(context);
  for (let n = 0; n < 40; n++) await tasks.create(`wake-2024-05-01-${n}`, call, now());
  await pass(0);
  assert.equal(fake.nextAt(), undefined);
  const first = new Set(seen.map(({ headers }) => String(headers["x-cloudtasks-taskname"])[0]));
  assert.ok(first.size > 8, `${first.size} first digits`);
});

test("what the service refuses is one line with what to do", async (context) => {
  const { fake, tasks, call, now } = await setUp(context);
  const day = 86_400_000;
  await tasks.create("in-29-days", call, now() + 29 * day);
  const before = fake.calls.length;
  await assert.rejects(tasks.create("far", call, now() + 30 * day), /more than 30 days ahead/);
  assert.equal(fake.calls.length, before, "it is not even asked");
  const large = tasks.create("large", { ...call, body: "x".repeat(200_000) }, now());
  await assert.rejects(large, (error: unknown) => error instanceof PermanentError && /100 KB/.test(error.message));

  const elsewhere = await setUp(context, { queue: "none" });
  await assert.rejects(
    elsewhere.tasks.create("wake", call, now()),
    (error: unknown) =>
      error instanceof PermanentError &&
      error.code === "not-found" &&
      /queue none in l .*create the queue/.test(error.message),
  );
});

test("a service that does not answer is a passing fault, and the same name then tries again", async (context) => {
  const { fake, tasks, call, seen, now, pass } = await setUp(context);
  for (const fault of [503, "reset-before", "reset-after"] as const) {
    fake.fail({ fault, match: "POST", times: 1 });
    const name = `wake-${fault}`;
    const tried: unknown = await tasks.create(name, call, now()).catch((error: unknown) => error);
    assert.ok(tried === undefined || tried instanceof RetryableError, String(tried));
    await tasks.create(name, call, now());
    fake.heal();
  }
  await pass(0);
  assert.equal(seen.length, 3);
});
