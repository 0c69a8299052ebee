/** What every store of secrets must do. An adapter's own test hands in how to open one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { messageOf, PermanentError } from "../../lib/core/errors.ts";
import type { Secrets } from "../../lib/ports/secrets.ts";

export interface SecretsHarness {
  readonly secrets: Secrets;
  /** What a person does: the secret's newest value is this one; `undefined` takes the secret away. */
  set(name: string, value: string | undefined): void;
  /** Lets pass whatever time a value may be kept for. */
  forget(): Promise<void>;
  close(): Promise<void>;
}

export interface SecretsOptions {
  /** Why names are one that differ in case alone, or in `-` and `_`. Default: they are not. */
  readonly alike?: string;
}

export function testSecrets(name: string, open: () => Promise<SecretsHarness>, { alike }: SecretsOptions = {}): void {
  const check = (title: string, body: (harness: SecretsHarness) => Promise<void>): void => {
    test(title, async () => {
      const harness = await open();
      try {
        await body(harness);
      } finally {
        await harness.close();
      }
    });
  };
  const refusalOf = async (secrets: Secrets, secret: string): Promise<PermanentError> => {
    const error: unknown = await secrets.access(secret).then(
      () => assert.fail(`${JSON.stringify(secret)} has a value`),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof PermanentError, `${JSON.stringify(secret)}: ${String(error)}`);
    assert.ok(!error.message.includes("\n"), "it is one line");
    return error;
  };

  describe(name, () => {
    check("a value comes as it was stored, whatever the text", async ({ secrets, set }) => {
      const odd = ["plain", "", " a blank on each side ", "ends with a line\n", "Ünï 🦔 \u0000", "$HOME `x` \"'\\"];
      for (const [index, value] of [...odd, "x".repeat(60_000)].entries()) {
        set(`odd-${index}`, value);
        assert.equal(await secrets.access(`odd-${index}`), value);
      }
    });

    check("a name may have letters, digits, - and _", async ({ secrets, set }) => {
      for (const secret of ["token", "passport-token", "passport_token_2", "Crm-Api_Key", "_x", "x".repeat(255)]) {
        set(secret, `value of ${secret}`);
        assert.equal(await secrets.access(secret), `value of ${secret}`);
        set(secret, undefined);
      }
    });

    check("who asks at once gets the same value, and each secret its own", async ({ secrets, set }) => {
      set("one", "1");
      set("two", "2");
      const names = ["one", "two", "one", "two", "one"];
      const values = await Promise.all(names.map((secret) => secrets.access(secret)));
      assert.deepEqual(values, ["1", "2", "1", "2", "1"]);
    });

    check("a newer value is seen before long", async ({ secrets, set, forget }) => {
      set("token", "old");
      assert.equal(await secrets.access("token"), "old");
      set("token", "new");
      await forget();
      assert.equal(await secrets.access("token"), "new");
    });

    check("one that is not there is said with its name and what to do, and not remembered", async (harness) => {
      const { secrets, set } = harness;
      const error = await refusalOf(secrets, "no-such-token");
      assert.equal(error.code, "not-found");
      assert.match(messageOf(error), /the secret no-such-token is not .*: (?:export|gcloud) /);
      set("no-such-token", "here it is");
      assert.equal(await secrets.access("no-such-token"), "here it is");
    });

    check("one that was taken away is gone before long, and no error tells what it was", async (harness) => {
      const { secrets, set, forget } = harness;
      set("token", "s3cret-value");
      assert.equal(await secrets.access("token"), "s3cret-value");
      set("token", undefined);
      await forget();
      const error = await refusalOf(secrets, "token");
      assert.doesNotMatch(`${error.message} ${error.stack ?? ""} ${String(error.cause)}`, /s3cret-value/);
    });

    check("what is no name has no value", async ({ secrets, set }) => {
      set("token", "value");
      const names = ["", "a b", "../token", "token/versions/1", "token\nx", "constructor", "__proto__", "toString"];
      for (const secret of names) await refusalOf(secrets, secret);
    });

    check("names that differ are different secrets", async ({ secrets, set }) => {
      set("api-key", "first");
      set("api_key", "second");
      assert.equal(await secrets.access("api-key"), alike === undefined ? "first" : "second", alike);
      assert.equal(await secrets.access("api_key"), "second");
    });
  });
}
