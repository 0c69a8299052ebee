/** What a query job's text is: the kind of its statement in BigQuery's words, and the tables that it would change. */
import type { TableRef } from "../../../lib/core/table.ts";
import type { Statement, Step } from "../../../lib/local/googlesql/ast.ts";
import { isSingle, parseScript } from "../../../lib/local/googlesql/parse-script.ts";

export interface Parsed {
  /** `undefined` for what the engine cannot read, which its own error then says. */
  readonly type: string | undefined;
  /** With a dataset; the others are temporary. */
  readonly targets: readonly TableRef[];
}

export function parseText(sql: string): Parsed {
  let steps: readonly Step[];
  try {
    steps = parseScript(sql);
  } catch {
    return { type: undefined, targets: [] };
  }
  const statements = statementsIn(steps);
  const [first] = statements;
  const type = isSingle(steps) && first !== undefined ? typeOf(first) : "SCRIPT";
  return { type, targets: statements.flatMap(targetOf) };
}

function statementsIn(steps: readonly Step[]): readonly Statement[] {
  return steps.flatMap((step): readonly Statement[] => {
    switch (step.kind) {
      case "statement":
        return [step.statement];
      case "if":
        return [...step.arms.flatMap(({ body }) => statementsIn(body)), ...statementsIn(step.otherwise)];
      case "block":
      case "loop":
        return statementsIn(step.body);
      default:
        return [];
    }
  });
}

function typeOf(statement: Statement): string {
  switch (statement.kind) {
    case "query":
      return "SELECT";
    case "create-table":
      if (statement.what === "view") return "CREATE_VIEW";
      return statement.query === undefined ? "CREATE_TABLE" : "CREATE_TABLE_AS_SELECT";
    case "drop":
      return statement.what === "view" ? "DROP_VIEW" : "DROP_TABLE";
    case "truncate":
      return "TRUNCATE_TABLE";
    default:
      return statement.kind.toUpperCase();
  }
}

function targetOf(statement: Statement): readonly TableRef[] {
  if (statement.kind === "query") return [];
  // A name in backquotes may hold dots.
  const parts = statement.target.flatMap(({ text }) => text.split("."));
  const [dataset, table] = parts.slice(-2);
  return dataset === undefined || table === undefined ? [] : [{ dataset, table }];
}
