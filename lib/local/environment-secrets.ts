/** Secrets of one machine: `passport-token` is in the variable `PASSPORT_TOKEN`, or in one of the secret's own name. */
import { PermanentError } from "../core/errors.ts";
import type { Secrets } from "../ports/secrets.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `undefined` for one that is not set. */
export function environmentSecret(env: Environment, name: string): string | undefined {
  const variable = [variableOf(name), name].find((one) => Object.hasOwn(env, one));
  return variable === undefined ? undefined : env[variable];
}

/** `env` is looked at with every call. Two names that differ in case alone, or in `-` and `_`, are one. */
export function environmentSecrets(env: Environment): Secrets {
  return {
    async access(name) {
      const value = environmentSecret(env, name);
      if (value !== undefined) return value;
      const told = /^[A-Za-z0-9_-]+$/.test(name)
        ? `the secret ${name} is not set: export ${variableOf(name)}=…`
        : `${JSON.stringify(name.slice(0, 80))} is no name of a secret: use letters, digits, - and _`;
      throw new PermanentError(told, { code: "not-found" });
    },
  };
}

function variableOf(secret: string): string {
  return secret.toUpperCase().replaceAll("-", "_");
}
