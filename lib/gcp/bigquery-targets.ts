/**
 * Which tables a statement would change, read from its own words. BigQuery's dry run says so for one statement, and says
 * nothing about those of a script; the head of every statement does, as long as it is one that we know.
 */
import { statementsOf, type Token } from "./bigquery-tokens.ts";

/** A name as it was written: `table`, `dataset.table` or `project.dataset.table`. */
export interface Target {
  readonly parts: readonly string[];
  readonly line: number;
  readonly column: number;
  /** Of a table or view that the statement creates: where the text takes one more of its options. */
  readonly option?: OptionPlace;
}

/** `list`: whether the options are named there already, and which of them. */
export interface OptionPlace {
  readonly at: number;
  /** In capitals; `undefined` where there is no list of options yet. */
  readonly list?: readonly string[];
}

export interface Reading {
  /** One statement that gives rows: it can change nothing. */
  readonly onlyReads: boolean;
  readonly script: boolean;
  readonly targets: readonly Target[];
  /** The first statement whose words do not tell what it changes: another kind of it, or a faulty one. */
  readonly unknown?: { readonly construct: string; readonly line: number; readonly column: number };
}

/** What is wrong with the text itself is left to BigQuery to say. */
export function readStatements(sql: string): Reading {
  const statements = statementsOf(sql);
  const script = statements.length > 1;
  const targets: Target[] = [];
  let onlyReads = !script;
  let unknown: Reading["unknown"];
  for (const statement of statements) {
    const found = targetsOf(script ? withoutFlow(statement) : statement, script);
    if (found === "nothing") continue;
    onlyReads = false;
    if (found !== undefined) targets.push(...found);
    else if (unknown === undefined) {
      const [first, second] = statement;
      const construct = `${first?.source ?? ""} ${second?.source ?? ""}`.trim();
      unknown = { construct, line: first?.line ?? 1, column: first?.column ?? 1 };
    }
  }
  return { onlyReads, script, targets, ...(unknown === undefined ? {} : { unknown }) };
}

/** Words of a script that stand in front of a statement, up to the one that ends their condition. */
const flow: Readonly<Record<string, string | undefined>> = {
  IF: "THEN",
  ELSEIF: "THEN",
  EXCEPTION: "THEN",
  WHILE: "DO",
  FOR: "DO",
  ELSE: "ELSE",
  LOOP: "LOOP",
  REPEAT: "REPEAT",
  BEGIN: "BEGIN",
};

/** The statement behind a script's IF, loop or block; nothing where that is all there is. A wrong cut leaves what nobody knows. */
function withoutFlow(statement: readonly Token[]): readonly Token[] {
  const [first, second] = statement;
  const end = first?.kind === "word" ? flow[first.text] : undefined;
  if (end === undefined || (first?.text === "BEGIN" && second?.text === "TRANSACTION")) return statement;
  let depth = 0;
  for (const [index, { kind, text }] of statement.entries()) {
    // A CASE within the condition has a THEN of its own.
    if (text === "(" || (kind === "word" && text === "CASE")) depth += 1;
    else if (text === ")" || (kind === "word" && text === "END")) depth -= 1;
    else if (depth === 0 && kind === "word" && text === end) return withoutFlow(statement.slice(index + 1));
  }
  return statement;
}

const relation = "(?:TABLE|VIEW|MATERIALIZED VIEW|SNAPSHOT TABLE)";
/** Heads of statements that change what they name next. */
const heads: readonly RegExp[] = [
  /^INSERT (?:INTO )?/,
  /^UPDATE /,
  /^DELETE (?:FROM )?/,
  /^MERGE (?:INTO )?/,
  /^TRUNCATE TABLE /,
  new RegExp(`^CREATE (?:OR REPLACE )?${relation} (?:IF NOT EXISTS )?`),
  new RegExp(`^DROP ${relation} (?:IF EXISTS )?`),
  /^ALTER (?:TABLE|VIEW|MATERIALIZED VIEW) (?:IF EXISTS )?/,
];
/** Snapshots and materialized views have options of their own. */
const creation = /^CREATE (?:OR REPLACE )?(?:TABLE|VIEW) /;
/** Statements that change no table: rows, variables, jumps, transactions, and what ends with the job. */
const harmless: readonly RegExp[] = [
  /^(?:SELECT|WITH|FROM|\(|DECLARE|ASSERT|RAISE|UNTIL|CREATE (?:OR REPLACE )?(?:TEMP|TEMPORARY) (?:FUNCTION|TABLE)) /,
  // A system variable may be the dataset of names without one.
  /^SET (?!@@|\( @@)(?!.* @@dataset)/i,
  /^(?:BREAK|LEAVE|CONTINUE|ITERATE|RETURN|END(?: IF| WHILE| LOOP| REPEAT| FOR)?|(?:BEGIN|COMMIT|ROLLBACK)(?: TRANSACTION)?) $/,
];

function targetsOf(statement: readonly Token[], script: boolean): "nothing" | readonly Target[] | undefined {
  if (statement.length === 0) return "nothing";
  const text = `${statement.map((token) => (token.kind === "word" || token.kind === "sign" ? token.text : "?")).join(" ")} `;
  // A pipe may end in a change: of a single statement the dry run tells, of a script nothing does.
  if (harmless.some((one) => one.test(text))) return !text.includes("|>") ? "nothing" : script ? undefined : [];
  const head = heads.map((one) => one.exec(text)?.[0]).find((found) => found !== undefined);
  if (head === undefined) return undefined;
  const named = nameAt(statement, head.trim().split(" ").length);
  if (named === undefined) return undefined;
  const target = creation.test(head) ? { ...named, option: optionPlace(statement) } : named;
  const renamed = text.startsWith("ALTER") ? text.indexOf(" RENAME TO ") : -1;
  if (renamed < 0) return [target];
  const other = nameAt(statement, text.slice(0, renamed).split(" ").length + 2);
  if (other === undefined) return undefined;
  return [target, { ...other, parts: [...target.parts.slice(0, -1), ...other.parts.slice(-1)] }];
}

/** In front of the query, or where the statement ends: that is where options stand. */
function optionPlace(statement: readonly Token[]): OptionPlace {
  let depth = 0;
  let last: Token | undefined;
  for (const [index, token] of statement.entries()) {
    const next = statement[index + 1];
    if (token.kind === "sign" && token.text === "(") depth += 1;
    else if (token.kind === "sign" && token.text === ")") depth -= 1;
    else if (depth === 0 && token.kind === "word") {
      if (token.text === "OPTIONS" && next?.text === "(")
        return { at: next.at + 1, list: namesFrom(statement, index + 2) };
      // A copy of a table as it was says AS OF.
      if (token.text === "AS" && next?.text !== "OF") return { at: token.at };
    }
    last = token;
  }
  return { at: last === undefined ? 0 : last.at + last.source.length };
}

/** The words of a list in brackets, up to its end. */
function namesFrom(statement: readonly Token[], start: number): readonly string[] {
  const words: string[] = [];
  let depth = 1;
  for (const { kind, text } of statement.slice(start)) {
    if (kind === "sign" && text === "(") depth += 1;
    else if (kind === "sign" && text === ")") depth -= 1;
    if (depth === 0) break;
    if (kind === "word" || kind === "name") words.push(text.toUpperCase());
  }
  return words;
}

/** A path that begins at this token. Parts in backquotes may hold dots; a project may have dashes. */
function nameAt(statement: readonly Token[], start: number): Target | undefined {
  const first = statement[start];
  // `DROP TABLE FUNCTION …` is about something else.
  if (first === undefined || (first.kind === "word" && first.text === "FUNCTION")) return undefined;
  let path = "";
  for (let at = start; ; at++) {
    const token = statement[at];
    const before = statement[at - 1];
    if (token === undefined || (at > start && !(before !== undefined && joined(before, token)))) break;
    if (token.kind === "name") path += token.text;
    else if (token.kind === "word" || /^(?:[.-]|\d\w*)$/.test(token.source)) path += token.source;
    else break;
  }
  const parts = path.split(".");
  if (parts.some((part) => part === "")) return undefined;
  return { parts, line: first.line, column: first.column };
}

/** Whether two tokens are of one path: side by side, or with a dot between them. */
function joined(before: Token, token: Token): boolean {
  const adjacent = token.line === before.line && token.column === before.column + before.source.length;
  return adjacent || token.text === "." || before.text === ".";
}
