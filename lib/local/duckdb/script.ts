/** Scripts: their statements one after the other, with the variables and temporary tables that they make. */
import { PermanentError } from "../../core/errors.ts";
import { checkLimit } from "./bytes.ts";
import { dropPhysical } from "./catalog.ts";
import { explain } from "./engine-errors.ts";
import { accepted, boundValues, type KeptResult, type QuerySpec } from "./query.ts";
import type { Transaction } from "./session.ts";
import { catalog, quoteName } from "./sql.ts";
import { checkAuthority, readsOf, runStatement, seenIn, type StatementOptions } from "./statement.ts";
import type { Expression, Statement, Step } from "../googlesql/ast.ts";
import { checkedTemporary, checkScript, wantedBy } from "../googlesql/check-script.ts";
import { scriptTable, type ScriptNames } from "../googlesql/emitter.ts";
import { changeOf, translateExpression, type Scan } from "../googlesql/translate.ts";
import { BOOL, storedAs, typeOf, type Type } from "../googlesql/type.ts";

export interface ScriptRan {
  /** Of the last SELECT. */
  readonly rows: number;
  readonly kept: KeptResult;
  readonly bytesBilled: number;
  /** Physical tables that lost a reference. */
  readonly before: readonly string[];
}

/** A statement of a script failed after others had taken effect. */
export class ScriptFailure extends Error {
  override readonly name: string = "ScriptFailure";
  override readonly cause: PermanentError;
  /** How many statements were done by then. */
  readonly done: number;
  constructor(cause: PermanentError, done: number) {
    super(cause.message);
    this.cause = cause;
    this.done = done;
  }
}

/** Where a script's temporary tables are: names that no author can write. */
function datasetOf(digest: string): string {
  return `_sluice_s${digest}`;
}

/** Looks through a script before it runs. Throws `PermanentError` with BigQuery's reason as its code. Returns what it reads. */
export function checkedScript(
  steps: readonly Step[],
  spec: QuerySpec,
  { tables, now, digest }: Pick<StatementOptions, "tables" | "now" | "digest">,
): readonly Scan[] {
  try {
    const found = accepted(spec.parameters ?? {}, seenIn(tables, now, readsOf(spec, datasetOf(digest))), (options) =>
      checkScript(steps, spec.sql, {
        ...options,
        dataset: datasetOf(digest),
        onChange: (change) => checkAuthority(change, spec.writes ?? []),
      }),
    );
    return found.scans;
  } catch (error) {
    throw readable(error, datasetOf(digest));
  }
}

/** The error without the name of the dataset that its author did not write. */
function readable(error: unknown, dataset: string): unknown {
  if (!(error instanceof PermanentError) || !error.message.includes(dataset)) return error;
  return new PermanentError(error.message.replaceAll(`${dataset}.`, ""), { code: error.code, cause: error.cause });
}

type Flow = "on" | "leave" | "continue" | "stop";

/**
 * Runs the script inside of the caller's transaction, up to its `limit`th statement. Throws `ScriptFailure` for what a statement
 * says or does: whoever calls it again with the statements that were done as the limit keeps what they did, and only that.
 */
export async function runScript(
  link: Transaction,
  steps: readonly Step[],
  spec: QuerySpec,
  options: StatementOptions & { readonly limit?: number },
): Promise<ScriptRan> {
  const { digest, now, costs, limit = Number.POSITIVE_INFINITY } = options;
  const tables = options.tables.fork();
  const variables = new Map<string, { readonly type: Type; readonly id: string }>();
  const temporary = new Set<string>();
  const before: string[] = [];
  const made = new Set<string>();
  let kept: KeptResult = { table: `q${digest}`, columns: [] };
  let rows = 0;
  let done = 0;
  let bytesBilled = 0;

  const script: ScriptNames = {
    dataset: datasetOf(digest),
    isTemporary: (table) => temporary.has(table),
    variable(name) {
      const found = variables.get(name);
      return found && { type: found.type, sql: `getvariable('${found.id}')` };
    },
  };

  function charge(bytes: number): void {
    bytesBilled += bytes;
    checkLimit(bytesBilled, spec.maximumBytesBilled);
  }

  async function statement(node: Statement): Promise<void> {
    if (node.kind === "create-table" && node.temporary) temporary.add(checkedTemporary(node));
    const change = changeOf(node, spec.sql, (path) => scriptTable(path, script));
    if (change !== undefined && change.table.dataset !== script.dataset) checkAuthority(change, spec.writes ?? []);
    const left = spec.maximumBytesBilled === undefined ? undefined : spec.maximumBytesBilled - bytesBilled;
    const ran = await runStatement(
      link,
      node,
      { change, spec },
      { tables, now, costs, script, digest: `${digest}_${done}`, maximumBytesBilled: left },
    );
    charge(ran.bytesBilled);
    if (ran.before !== undefined) before.push(ran.before);
    if (node.kind === "drop" && change?.table.dataset === script.dataset) temporary.delete(change.table.table);
    if (change !== undefined) return;
    if (kept.columns.length > 0) await dropPhysical(link, kept.table);
    ({ kept, rows } = ran);
  }

  /** The expression's SQL, a query of one row, with what it needs to run. */
  async function expression(node: Expression, wanted: Type | undefined) {
    const parameters = spec.parameters ?? {};
    const found = accepted(parameters, seenIn(tables, now, readsOf(spec, script.dataset)), (given) =>
      translateExpression(node, wanted, spec.sql, { ...given, script }),
    );
    charge((await costs(link, found.scans, tables, now)).bytesBilled);
    return { type: found.type, sql: found.sql, values: boundValues(found.parameters, parameters) };
  }

  async function holds(node: Expression): Promise<boolean> {
    const { sql, values } = await expression(node, BOOL);
    const [row] = await link.run(sql, values);
    return row?.["v"] === true;
  }

  async function assign(id: string, sql: string, values: Parameters<typeof link.run>[1]): Promise<void> {
    made.add(id);
    await link.run(`SET VARIABLE ${id} = (${sql})`, values);
  }

  async function declare(step: Extract<Step, { readonly kind: "declare" }>): Promise<readonly string[]> {
    const type = step.type === undefined ? undefined : typeOf(step.type);
    const given = step.value === undefined ? undefined : await expression(step.value, type);
    const found = given?.type ?? type;
    if (found === undefined) throw new Error("a variable has a type or a value");
    const first = `_sluice_v${variables.size}`;
    await assign(first, given?.sql ?? `SELECT CAST(NULL AS ${storedAs(found)})`, given?.values);
    const names = step.names.map(({ text }) => text.toLowerCase());
    for (const name of names) {
      const id = `_sluice_v${variables.size}`;
      // The default is computed once for all.
      if (id !== first) await assign(id, `SELECT getvariable('${first}')`, {});
      variables.set(name, { type: found, id });
    }
    return names;
  }

  async function set(step: Extract<Step, { readonly kind: "set" }>): Promise<void> {
    const types = new Map([...variables].map(([name, { type }]) => [name, type] as const));
    const { type, sql, values } = await expression(step.value, wantedBy(step, types));
    const ids = step.names.map(({ text }) => variables.get(text.toLowerCase())?.id ?? "");
    const [only, second] = ids;
    if (only !== undefined && second === undefined) return await assign(only, sql, values);
    await assign("_sluice_set", sql, values);
    const fields = type.kind === "struct" ? type.fields : [];
    for (const [index, { name }] of fields.entries())
      await assign(
        ids[index] ?? "",
        `SELECT struct_extract(CAST(getvariable('_sluice_set') AS ${storedAs(type)}), '${name}')`,
        {},
      );
  }

  async function run(body: readonly Step[]): Promise<Flow> {
    const declared: string[] = [];
    try {
      for (const step of body) {
        if (done >= limit) return "stop";
        if (step.kind === "declare") {
          declared.push(...(await declare(step)));
          continue;
        }
        const flow = await runStep(step);
        if (flow !== "on") return flow;
      }
      return done >= limit ? "stop" : "on";
    } finally {
      for (const name of declared) variables.delete(name);
    }
  }

  async function runStep(step: Exclude<Step, { readonly kind: "declare" }>): Promise<Flow> {
    switch (step.kind) {
      case "statement":
        await statement(step.statement);
        done += 1;
        return "on";
      case "set":
        await set(step);
        return "on";
      case "block":
        return await run(step.body);
      case "if": {
        for (const { when, body } of step.arms) if (await holds(when)) return await run(body);
        return await run(step.otherwise);
      }
      case "loop":
        while (step.condition === undefined || (await holds(step.condition))) {
          const flow = await run(step.body);
          if (flow === "stop") return flow;
          if (flow === "leave") break;
        }
        return "on";
      case "leave":
      case "continue":
        return step.kind;
    }
  }

  try {
    await run(steps);
  } catch (error) {
    const cause = readable(explain(error), script.dataset);
    // What is a fault of the engine, or a conflict, is tried again as a whole.
    throw cause instanceof PermanentError ? new ScriptFailure(cause, done) : cause;
  }
  for (const table of temporary) {
    const entry = tables.find({ dataset: script.dataset, table }, now);
    if (entry === undefined) continue;
    await tables.remove(link, entry);
    if (entry.physical !== undefined) await dropPhysical(link, entry.physical);
  }
  if (temporary.size > 0) await link.run(`DROP SCHEMA IF EXISTS ${quoteName(catalog, script.dataset)}`);
  // The connection is used again.
  for (const id of made) await link.run(`RESET VARIABLE ${id}`);
  return { rows, kept, bytesBilled, before };
}
