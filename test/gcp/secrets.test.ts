import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PermanentError, RetryableError, messageOf } from "../../lib/core/errors.ts";
import { secretManager } from "../../lib/gcp/secrets.ts";
import { startFakeSecrets } from "../fakes/fake-secrets.ts";
import type { FakeSecret } from "../fakes/fake-secrets.ts";
import { testSecrets } from "../ports/secrets-conformance.ts";
import { virtualClock } from "../support/virtual-clock.ts";

async function setUp(context: TestContext) {
  const values = new Map<string, FakeSecret>();
  const fake = await startFakeSecrets("p", values);
  const clock = virtualClock();
  const secrets = secretManager({ projectId: "p", clock, emulatorHost: fake.host });
  context.after(async () => {
    await secrets.close();
    await fake.close();
  });
  return { fake, values, clock, secrets };
}

testSecrets("secrets of Secret Manager", async () => {
  const values = new Map<string, FakeSecret>();
  const fake = await startFakeSecrets("p", values);
  const clock = virtualClock();
  const secrets = secretManager({ projectId: "p", clock, emulatorHost: fake.host });
  return {
    secrets,
    set(name, value) {
      if (value === undefined) values.delete(name);
      else values.set(name, { value });
    },
    forget: () => clock.advance(60_000),
    async close() {
      await secrets.close();
      await fake.close();
    },
  };
});

test("a value is used for a while without looking again, by many at once as well, and then read anew", async (context) => {
  const { fake, values, clock, secrets } = await setUp(context);
  values.set("token", { value: "old" });
  assert.deepEqual(await Promise.all([secrets.access("token"), secrets.access("token")]), ["old", "old"]);
  values.set("token", { value: "new" });
  await clock.advance(59_000);
  assert.equal(await secrets.access("token"), "old");
  assert.equal(fake.calls.length, 1);
  await clock.advance(1_000);
  assert.equal(await secrets.access("token"), "new");
});

test("what cannot be had is one line with what to do; it is not remembered", async (context) => {
  const { values, secrets } = await setUp(context);
  const line = async (name: string): Promise<[unknown, string]> => {
    const error: unknown = await secrets.access(name).catch((thrown: unknown) => thrown);
    assert.ok(!messageOf(error).includes("\n"));
    return [error, messageOf(error)];
  };
  const [missing, missingLine] = await line("none");
  assert.ok(missing instanceof PermanentError && missing.code === "not-found");
  assert.match(missingLine, /the secret none is not in project p.*gcloud secrets create none/);
  values.set("empty", "no-version");
  assert.match((await line("empty"))[1], /gcloud secrets versions add empty/);
  values.set("off", "disabled");
  const [off, offLine] = await line("off");
  assert.ok(off instanceof PermanentError);
  assert.match(offLine, /disabled or destroyed: .*gcloud secrets versions add off/);
  values.set("hidden", "forbidden");
  const [hidden, hiddenLine] = await line("hidden");
  assert.ok(hidden instanceof RetryableError, "a grant takes minutes to be seen everywhere");
  assert.match(hiddenLine, /add-iam-policy-binding hidden .*secretAccessor/);
  for (const bad of ["", "a/b", "a b", "../x", "x".repeat(256)])
    await assert.rejects(secrets.access(bad), PermanentError, bad);

  values.set("none", { value: "now" });
  assert.equal(await secrets.access("none"), "now");
});

test("a service out of reach is a passing fault, and no error holds a value", async (context) => {
  const { fake, values, clock, secrets } = await setUp(context);
  values.set("token", { value: "s3cret-value" });
  assert.equal(await secrets.access("token"), "s3cret-value");
  await clock.advance(60_000);
  fake.fail({ fault: 429, times: 4, after: true });
  const error: unknown = await secrets.access("token").catch((thrown: unknown) => thrown);
  assert.ok(error instanceof RetryableError);
  assert.doesNotMatch(JSON.stringify([error.message, error.stack, String(error.cause)]), /s3cret-value/);
  assert.equal(await secrets.access("token"), "s3cret-value");
});
