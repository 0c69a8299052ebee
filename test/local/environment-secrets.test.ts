import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentSecret, environmentSecrets } from "../../lib/local/environment-secrets.ts";
import { testSecrets } from "../ports/secrets-conformance.ts";

const variable = (secret: string): string => secret.toUpperCase().replaceAll("-", "_");

testSecrets(
  "secrets of the environment",
  async () => {
    const env: Record<string, string | undefined> = {};
    return {
      secrets: environmentSecrets(env),
      set(name, value) {
        if (value === undefined) delete env[variable(name)];
        else env[variable(name)] = value;
      },
      forget: async () => undefined,
      close: async () => undefined,
    };
  },
  { alike: "a shell's variables have no dashes, and are written in capitals" },
);

test("the variable in capitals comes before the one of the secret's own name", () => {
  assert.equal(environmentSecret({ passport_token: "own" }, "passport_token"), "own");
  assert.equal(environmentSecret({ passport_token: "own", PASSPORT_TOKEN: "capitals" }, "passport_token"), "capitals");
  assert.equal(environmentSecret({ PASSPORT_TOKEN: "" }, "passport-token"), "");
  assert.equal(environmentSecret(process.env, "constructor"), undefined);
});
