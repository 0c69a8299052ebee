/** Shapes of rules that most functions have: fixed types in, one type out. */
import type { Rule, Site } from "./emit.ts";
import { refuse } from "./lexer.ts";
import type { Type } from "./type.ts";
import { bind } from "./bind.ts";
import { coerce, type Value } from "./value.ts";

/** Refuses a call with fewer or more arguments. */
export function arity(site: Site, least: number, most = least): void {
  if (site.count < least || site.count > most) refuse(`${site.name} with ${site.count} arguments`, site.at);
}

export function argument(site: Site, index: number, type: Type): Value {
  return coerce(site.value(index), type, `an argument of ${site.name}`);
}

/**
 * A function of these types. `sql` may use each of its texts any number of times; the last `optional` arguments may be left
 * out, and their texts with them.
 */
export function fixed(types: readonly Type[], result: Type, sql: (...texts: string[]) => string, optional = 0): Rule {
  return (site) => {
    arity(site, types.length - optional, types.length);
    const values = types.slice(0, site.count).map((type, index) => argument(site, index, type));
    return { at: site.at, type: result, sql: bind(values, (...texts) => sql(...texts)) };
  };
}

/** Chooses by the type of the first argument. */
export function byType(rules: Readonly<Record<string, Rule>>): Rule {
  return (site) => {
    const { type } = site.value(0);
    const rule = type.kind === "scalar" && Object.hasOwn(rules, type.name) ? rules[type.name] : undefined;
    const shown = type.kind === "scalar" ? type.name : type.kind === "array" ? "an ARRAY" : "a STRUCT";
    return (rule ?? refuse(`${site.name} of ${shown}`, site.at))(site);
  };
}
