/**
 * A script looked through before anything of it runs, so that a refused construct changes nothing. Every branch is taken once.
 * What only a run can tell (a table that one branch makes) is left to the run, which translates each statement again.
 */
import { formatTable, type TableRef } from "../../core/table.ts";
import type { Expression, Statement, Step } from "./ast.ts";
import { scriptTable, type Seen, type ScriptNames, type TranslateOptions } from "./emitter.ts";
import { Refusal, refuse } from "./lexer.ts";
import {
  changeOf,
  refused,
  translateExpression,
  translateStatement,
  type Change,
  type Refused,
  type Scan,
  type Translation,
} from "./translate.ts";
import { BOOL, structOf, typeOf, type Type } from "./type.ts";

export interface ScriptOptions extends Omit<TranslateOptions, "script"> {
  /** Where its temporary tables are. */
  readonly dataset: string;
  /** Told of every statement that changes a table which is not temporary; it may throw. */
  readonly onChange?: (change: Change) => void;
}

/** What is known at one place of the script. */
interface Known {
  /** What the script itself has made of tables: there, gone, or a matter of the run. */
  readonly tables: Map<string, Seen | "gone" | "unknown">;
  readonly temporary: Set<string>;
  /** Types of variables; `undefined` where only the run knows. */
  readonly variables: Map<string, Type | undefined>;
}

/** Checks all steps of the script `sql`. Never throws but for what `onChange` and `table` throw. */
export function checkScript(
  steps: readonly Step[],
  sql: string,
  options: ScriptOptions,
): { readonly kind: "ok"; readonly scans: readonly Scan[] } | Refused {
  const scans: Scan[] = [];
  const known: Known = { tables: new Map(), temporary: new Set(), variables: new Map() };
  let isUnknown = false;

  function translateOptions({ tables, variables, temporary }: Known): TranslateOptions {
    const script: ScriptNames = {
      dataset: options.dataset,
      isTemporary: (table) => temporary.has(table),
      variable(name) {
        if (!variables.has(name)) return undefined;
        const type = variables.get(name);
        if (type === undefined) isUnknown = true;
        return type && { type, sql: "NULL" };
      },
    };
    return {
      ...options,
      script,
      table(ref) {
        const made = tables.get(keyOf(ref));
        if (made === undefined) return options.table(ref);
        if (made === "unknown") isUnknown = true;
        return typeof made === "string" ? undefined : made;
      },
    };
  }

  /** What `translate` gives; `undefined` where only the run can tell. */
  function attempt<T extends { readonly kind: "ok"; readonly scans: readonly Scan[] }>(
    translate: () => T | Refused,
  ): T | undefined {
    isUnknown = false;
    const found = translate();
    if (found.kind === "ok") {
      scans.push(...found.scans);
      return found;
    }
    if (isUnknown) return undefined;
    throw new Stop(found);
  }

  function expression(node: Expression, wanted: Type | undefined, at: Known): Type | undefined {
    return attempt(() => translateExpression(node, wanted, sql, translateOptions(at)))?.type;
  }

  function check(body: readonly Step[], at: Known): void {
    const declared: string[] = [];
    for (const step of body) {
      switch (step.kind) {
        case "statement":
          statement(step.statement, at);
          break;
        case "declare":
          declared.push(...declare(step, at));
          break;
        case "set":
          expression(step.value, wantedBy(step, at.variables), at);
          break;
        case "if": {
          const ends = step.arms.map(({ when, body: arm }) => {
            expression(when, BOOL, at);
            return apart(arm, at);
          });
          merge(at, [...ends, apart(step.otherwise, at)]);
          break;
        }
        case "loop":
          if (step.condition !== undefined) expression(step.condition, BOOL, at);
          merge(at, [at, apart(step.body, at)]);
          break;
        case "block":
          check(step.body, at);
          break;
        case "leave":
        case "continue":
          break;
      }
    }
    for (const name of declared) at.variables.delete(name);
  }

  /** What is known after `body`, which may run or not. */
  function apart(body: readonly Step[], { tables, temporary, variables }: Known): Known {
    const own: Known = { tables: new Map(tables), temporary: new Set(temporary), variables: new Map(variables) };
    check(body, own);
    return own;
  }

  function declare(step: Extract<Step, { readonly kind: "declare" }>, at: Known): readonly string[] {
    const type = step.type === undefined ? undefined : typeOf(step.type);
    if (type === undefined && step.value === undefined) refuse("DECLARE without a type or a DEFAULT", step.at);
    const found = step.value === undefined ? type : expression(step.value, type, at);
    return step.names.map(({ text, at: place }) => {
      const name = text.toLowerCase();
      if (at.variables.has(name)) refuse(`the variable ${text}, which is declared already`, place);
      at.variables.set(name, type ?? found);
      return name;
    });
  }

  function statement(node: Statement, at: Known): void {
    if (node.kind === "create-table" && node.temporary) at.temporary.add(checkedTemporary(node));
    const translate = translateOptions(at);
    const change = changeOf(node, sql, (path) => scriptTable(path, translate.script));
    if (change !== undefined && change.table.dataset !== options.dataset) options.onChange?.(change);
    const done = attempt(() => translateStatement(node, sql, translate));
    if (node.kind === "drop" && change?.table.dataset === options.dataset) at.temporary.delete(change.table.table);
    const made = done === undefined ? (definesTable(node) ? "unknown" : undefined) : madeBy(done, translate);
    if (made !== undefined && change !== undefined) at.tables.set(keyOf(change.table), made);
  }

  try {
    check(steps, known);
  } catch (error) {
    if (error instanceof Stop) return error.refused;
    if (error instanceof Refusal) return refused(sql, error);
    throw error;
  }
  return { kind: "ok", scans };
}

class Stop extends Error {
  readonly refused: Refused;
  constructor(found: Refused) {
    super(found.construct);
    this.refused = found;
  }
}

/** The type that an assignment's value must have; of several variables, a struct of theirs. */
export function wantedBy(
  { names }: Extract<Step, { readonly kind: "set" }>,
  variables: ReadonlyMap<string, Type | undefined>,
): Type | undefined {
  const types = names.map(({ text, at }) => {
    const name = text.toLowerCase();
    return variables.has(name) ? variables.get(name) : refuse(`the variable ${text}, which is not declared`, at);
  });
  const all = types.filter((type) => type !== undefined);
  const [first] = all;
  if (all.length < types.length || first === undefined) return undefined;
  return all.length === 1 ? first : structOf(all.map((type) => ({ name: undefined, type })));
}

/** The name of a temporary table; it has no dataset. */
export function checkedTemporary({
  target,
}: Pick<Extract<Statement, { readonly kind: "create-table" }>, "target">): string {
  const [name, more] = target;
  if (name === undefined || more !== undefined)
    return refuse("a temporary table in a dataset", more?.at ?? 0, "give it a name alone");
  return name.text;
}

function definesTable(node: Statement): boolean {
  return node.kind === "create-table" || node.kind === "drop";
}

/** What the target is afterwards, where a statement makes or drops it. */
function madeBy(
  { effect }: Extract<Translation, { readonly kind: "ok" }>,
  { table }: TranslateOptions,
): Seen | "gone" | "unknown" | undefined {
  switch (effect.kind) {
    case "drop":
      return "gone";
    case "create-table":
    case "create-table-as":
      // What is there may be of another kind or shape, which stays.
      return effect.ifNotExists && table(effect.target) !== undefined ? undefined : { columns: effect.schema };
    case "create-view":
      return effect.ifNotExists && table(effect.target) !== undefined
        ? undefined
        : { columns: effect.schema, view: effect.view };
    default:
      return undefined;
  }
}

/** After one of several ways: where they do not agree, only the run knows. */
function merge(into: Known, ways: readonly Known[]): void {
  const keys = new Set(ways.flatMap(({ tables }) => [...tables.keys()]));
  for (const key of keys) {
    const ends = ways.map(({ tables }) => tables.get(key));
    const [first] = ends;
    const same = ends.every((end) => JSON.stringify(end) === JSON.stringify(first));
    into.tables.set(key, same && first !== undefined ? first : "unknown");
  }
  for (const { temporary } of ways) for (const name of temporary) into.temporary.add(name);
}

function keyOf({ dataset, table }: TableRef): string {
  return formatTable({ dataset, table });
}
