/** GoogleSQL's scripts: statements, variables, conditions, loops and blocks. The rest of the language is refused by name. */
import type { Expression, Name, Step } from "./ast.ts";
import { cursorOf } from "./cursor.ts";
import { refuse, type Place } from "./lexer.ts";
import { statementParser } from "./parse.ts";

/** Parses one statement or several. Throws `Refusal`. */
export function parseScript(sql: string): readonly Step[] {
  const cursor = cursorOf(sql);
  const parser = statementParser(cursor);
  const { expression } = parser;
  let loops = 0;

  function isEnd(): boolean {
    return cursor.peek().kind === "end";
  }

  /** Steps up to one of these words, which is left; each ends with a semicolon. */
  function body(...ends: readonly string[]): readonly Step[] {
    const steps: Step[] = [];
    while (!isEnd() && !ends.some((word) => cursor.isNext(word))) {
      steps.push(step(steps.every(({ kind }) => kind === "declare")));
      if (!cursor.acceptSymbol(";") && (!isEnd() || ends.length > 0)) cursor.unexpected();
    }
    return steps;
  }

  function step(isFirst: boolean): Step {
    const at = cursor.at();
    const token = cursor.peek();
    switch (token.kind === "word" ? token.upper : "") {
      case "DECLARE":
        if (!isFirst)
          refuse("DECLARE after another statement", at, "declare variables at the start of the script or of a block");
        return declare();
      case "SET":
        return set();
      case "IF":
        return conditional();
      case "BEGIN":
        return block();
      case "LOOP":
      case "WHILE":
        return loop();
      case "LEAVE":
      case "BREAK":
      case "CONTINUE":
      case "ITERATE":
        return jump();
      default:
        return { kind: "statement", at, statement: parser.statement() };
    }
  }

  function declare(): Step {
    const at = cursor.expect("DECLARE");
    const names = cursor.list(cursor.expectName);
    const type = cursor.isNext("DEFAULT") ? undefined : parser.type();
    const value = cursor.accept("DEFAULT") ? expression() : undefined;
    return {
      kind: "declare",
      at,
      names,
      ...(type === undefined ? {} : { type }),
      ...(value === undefined ? {} : { value }),
    };
  }

  function set(): Step {
    const at = cursor.expect("SET");
    const names: readonly Name[] = cursor.isSymbol("(") ? parser.names() : [cursor.expectName()];
    cursor.expectSymbol("=");
    return { kind: "set", at, names, value: expression() };
  }

  function conditional(): Step {
    const at = cursor.expect("IF");
    const arm = (): { readonly when: Expression; readonly body: readonly Step[] } => {
      const when = expression();
      cursor.expect("THEN");
      return { when, body: body("ELSEIF", "ELSE", "END") };
    };
    const arms = [arm()];
    while (cursor.accept("ELSEIF")) arms.push(arm());
    const otherwise = cursor.accept("ELSE") ? body("END") : [];
    cursor.expect("END", "IF");
    return { kind: "if", at, arms, otherwise };
  }

  function block(): Step {
    const at = cursor.expect("BEGIN");
    if (cursor.isNext("TRANSACTION") || cursor.isSymbol(";") || isEnd())
      refuse("a transaction (BEGIN TRANSACTION)", at);
    const steps = body("EXCEPTION", "END");
    if (cursor.isNext("EXCEPTION")) refuse("EXCEPTION", cursor.at());
    cursor.expect("END");
    return { kind: "block", at, body: steps };
  }

  function loop(): Step {
    const at = cursor.at();
    const word = cursor.accept("LOOP") ? "LOOP" : "WHILE";
    if (word === "WHILE") cursor.expect("WHILE");
    const condition = word === "WHILE" ? expression() : undefined;
    if (word === "WHILE") cursor.expect("DO");
    loops += 1;
    const steps = body("END");
    loops -= 1;
    cursor.expect("END", word);
    return { kind: "loop", at, body: steps, ...(condition === undefined ? {} : { condition }) };
  }

  function jump(): Step {
    const at: Place = cursor.at();
    const token = cursor.take();
    const word = token.kind === "word" ? token.upper : "";
    if (loops === 0) refuse(`${word} outside of a loop`, at);
    return { kind: word === "LEAVE" || word === "BREAK" ? "leave" : "continue", at };
  }

  const steps = body();
  return steps.length === 0 ? refuse("an empty statement", cursor.at()) : steps;
}

/** Whether it is one statement by itself, and no script. */
export function isSingle(steps: readonly Step[]): steps is readonly [Extract<Step, { readonly kind: "statement" }>] {
  const [only, more] = steps;
  if (only?.kind !== "statement" || more !== undefined) return false;
  return !(only.statement.kind === "create-table" && only.statement.temporary);
}
