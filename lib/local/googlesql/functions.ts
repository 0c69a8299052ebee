/** The allow-list of functions. A function that is not in one of these tables is refused, whatever the engine has of its name. */
import { aggregateFunctions, isAggregate } from "./aggregates.ts";
import type { Call } from "./ast.ts";
import type { Emit, Rule, Site } from "./emit.ts";
import { arrayFunctions } from "./functions-array.ts";
import { conditionalFunctions } from "./functions-conditional.ts";
import { jsonFunctions } from "./functions-json.ts";
import { mathFunctions } from "./functions-math.ts";
import { regexFunctions } from "./functions-regex.ts";
import { textFunctions } from "./functions-text.ts";
import { timeFunctions } from "./functions-time.ts";
import { timeTextFunctions } from "./functions-time-text.ts";
import { refuse } from "./lexer.ts";
import type { Scope } from "./scope.ts";
import { tried } from "./bind.ts";
import type { Value } from "./value.ts";
import { isAnalytic, windowFunction } from "./window.ts";

const scalarFunctions: ReadonlyMap<string, Rule> = new Map(
  [
    arrayFunctions,
    conditionalFunctions,
    jsonFunctions,
    mathFunctions,
    regexFunctions,
    textFunctions,
    timeFunctions,
    timeTextFunctions,
  ].flatMap((table) => Object.entries(table)),
);

export function emitCall(node: Call, scope: Scope, emit: Emit): Value {
  const { name, at } = node;
  const shown = node.safe ? `SAFE.${name}` : name;
  if (node.over !== undefined || isAnalytic(name)) {
    if (node.safe) refuse(shown, at);
    return windowFunction(siteOf(node, scope, emit));
  }
  if (isAggregate(name)) {
    if (node.safe) refuse(shown, at);
    if (scope.aggregates !== true) refuse(`the aggregate function ${name} at this place`, at);
    // An aggregate's own arguments have neither aggregates nor windows.
    const inner = { ...scope, aggregates: false, analytics: false };
    return aggregateFunctions[name]?.(siteOf(node, inner, emit), "") ?? refuse(`the function ${name}`, at);
  }
  if (node.safe && name.startsWith("SAFE_")) refuse(shown, at);
  const rule = scalarFunctions.get(name) ?? refuse(`the function ${shown}`, at);
  if (
    node.distinct ||
    node.nulls !== undefined ||
    node.having !== undefined ||
    node.orderBy.length > 0 ||
    node.limit !== undefined
  )
    refuse(`${shown} with DISTINCT, IGNORE NULLS, HAVING, ORDER BY or LIMIT`, at);
  for (const argument of node.arguments) {
    if (argument.name !== undefined) refuse(`the named argument ${argument.name} of ${shown}`, argument.value.at);
    if (argument.alias !== undefined) refuse(`an alias in the arguments of ${shown}`, argument.value.at);
  }
  return node.safe ? safeCall(rule, node, scope, emit) : rule(siteOf(node, scope, emit));
}

/** `SAFE.f(…)` gives NULL where `f` fails, but not where an argument of it does: those are bound outside. */
function safeCall(rule: Rule, node: Call, scope: Scope, emit: Emit): Value {
  const outer = siteOf(node, scope, emit);
  const name = `_s${emit.fresh()}`;
  const bound: string[] = [];
  const site: Site = {
    ...outer,
    value(index) {
      const value = outer.value(index);
      if (value.atomic === true) return value;
      const position = bound.indexOf(value.sql);
      const slot = position >= 0 ? position : bound.push(value.sql) - 1;
      return { ...value, sql: `${name}.a${slot}`, atomic: true };
    },
  };
  const result = rule(site);
  const body = tried(result.sql);
  const sql =
    bound.length === 0
      ? body
      : `list_transform([{${bound.map((one, index) => `a${index}: ${one}`).join(", ")}}], lambda ${name}: ${body})[1]`;
  return { at: node.at, type: result.type, sql };
}

function siteOf(node: Call, scope: Scope, emit: Emit): Site {
  const values: (Value | undefined)[] = [];
  const argument = (index: number): Call["arguments"][number] =>
    node.arguments[index] ?? refuse(`${node.name} with ${node.arguments.length} arguments`, node.at);
  return {
    at: node.at,
    node,
    name: node.name,
    scope,
    emit,
    count: node.arguments.length,
    argument,
    value: (index) => (values[index] ??= emit.value(argument(index).value, scope)),
  };
}
