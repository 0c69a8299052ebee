/** GoogleSQL's statements. What only an administrator writes is refused by name. */
import type { Assignment, ColumnNode, Expression, MergeClause, Name, Statement } from "./ast.ts";
import { cursorOf, type Cursor } from "./cursor.ts";
import { refuse, refuseSyntax, type Place } from "./lexer.ts";
import { queryParser, type QueryParser } from "./parse-query.ts";

/** Parses one statement, with or without a semicolon at its end. Throws `Refusal`. */
export function parse(sql: string): Statement {
  const cursor = cursorOf(sql);
  const found = statementParser(cursor).statement();
  if (cursor.acceptSymbol(";") && cursor.peek().kind !== "end")
    refuse("a script of several statements", cursor.at(), "send one statement at a time");
  if (cursor.peek().kind !== "end") cursor.unexpected();
  return found;
}

/** What else statements start with in BigQuery. */
const others: ReadonlySet<string> = new Set(
  `ALTER ANALYZE ASSERT BEGIN BREAK CALL CASE COMMIT CONTINUE DECLARE DEFINE DESCRIBE ELSE END EXCEPTION EXECUTE EXPLAIN EXPORT
   FOR FROM GRANT GRAPH IF IMPORT ITERATE LEAVE LOAD LOOP MODULE RAISE RENAME REPEAT RETURN REVOKE ROLLBACK SET SHOW START TABLE
   UNDROP UNTIL VALUES WHILE`.split(/\s+/),
);

type Create = Extract<Statement, { readonly kind: "create-table" }>;

export interface StatementParser extends QueryParser {
  /** One statement, without its semicolon. */
  readonly statement: () => Statement;
  /** Names with commas between, in parentheses. */
  readonly names: () => readonly Name[];
}

export function statementParser(cursor: Cursor): StatementParser {
  const parser = queryParser(cursor);
  const { expression, path } = parser;

  function statement(): Statement {
    const at = cursor.at();
    const token = cursor.peek();
    if (token.kind === "end") return refuse("an empty statement", at);
    const word = token.kind === "word" ? token.upper : "";
    if (word === "SELECT" || word === "WITH" || cursor.isSymbol("("))
      return { kind: "query", at, query: parser.query() };
    cursor.take();
    switch (word) {
      case "CREATE":
        return create(at);
      case "INSERT":
        return insert(at);
      case "UPDATE":
        return update(at);
      case "DELETE":
        cursor.accept("FROM");
        return { kind: "delete", at, ...target(), where: where(at, "DELETE") };
      case "MERGE":
        return merge(at);
      case "TRUNCATE":
        cursor.expect("TABLE");
        return { kind: "truncate", at, target: path() };
      case "DROP": {
        const what = cursor.accept("VIEW") ? "view" : cursor.accept("TABLE") ? "table" : refuse(`DROP ${next()}`, at);
        const ifExists = cursor.accept("IF", "EXISTS");
        return { kind: "drop", at, what, target: path(), ifExists };
      }
      default:
        return word === "" || !others.has(word)
          ? refuseSyntax(word === "" ? "a statement that starts like this" : `the statement ${word}`, at)
          : refuse(`the statement ${word}`, at);
    }
  }

  function next(): string {
    const token = cursor.peek();
    return token.kind === "word" ? token.upper : "…";
  }

  function target(): { readonly target: readonly Name[]; readonly alias?: Name } {
    const names = path();
    const alias = cursor.accept("AS") ? cursor.expectName() : cursor.isNext("SET") ? undefined : cursor.acceptName();
    return alias === undefined ? { target: names } : { target: names, alias };
  }

  function where(at: Place, what: string): Expression {
    return cursor.accept("WHERE") ? expression() : refuse(`${what} without WHERE`, at, "write WHERE TRUE");
  }

  function create(at: Place): Statement {
    const replace = cursor.accept("OR", "REPLACE");
    const temporary = cursor.accept("TEMP") || cursor.accept("TEMPORARY");
    const what: Create["what"] =
      !temporary && cursor.accept("VIEW")
        ? "view"
        : cursor.accept("TABLE")
          ? "table"
          : refuse(`CREATE ${temporary ? "TEMP " : ""}${next()}`, at);
    const ifNotExists = cursor.accept("IF", "NOT", "EXISTS");
    const start = { kind: "create-table" as const, at, what, temporary, replace, ifNotExists, target: path() };
    if (what === "view") return view(start);
    const columns = cursor.acceptSymbol("(") ? columnList() : undefined;
    if (cursor.isNext("LIKE") || cursor.isNext("CLONE") || cursor.isNext("COPY"))
      refuse(`CREATE TABLE … ${next()}`, cursor.at());
    const partitionBy = cursor.accept("PARTITION", "BY") ? expression() : undefined;
    const clusterBy = cursor.accept("CLUSTER", "BY") ? cursor.list(cursor.expectName) : [];
    if (cursor.isNext("OPTIONS")) refuse("OPTIONS(…)", cursor.at());
    const query = cursor.accept("AS") ? parser.query() : undefined;
    if (query === undefined && columns === undefined) refuse("CREATE TABLE without columns or a query", at);
    return {
      ...start,
      clusterBy,
      ...(columns === undefined ? {} : { columns }),
      ...(partitionBy === undefined ? {} : { partitionBy }),
      ...(query === undefined ? {} : { query }),
    };
  }

  function view(
    start: Pick<Create, "kind" | "at" | "what" | "temporary" | "replace" | "ifNotExists" | "target">,
  ): Create {
    const named = cursor.isSymbol("(") ? names() : undefined;
    if (cursor.isNext("OPTIONS")) refuse("OPTIONS(…)", cursor.at());
    cursor.expect("AS");
    const from = cursor.at();
    const query = parser.query();
    const text = cursor.textFrom(from);
    return { ...start, clusterBy: [], query, text, ...(named === undefined ? {} : { names: named }) };
  }

  function columnList(): readonly ColumnNode[] {
    const columns = cursor.list((): ColumnNode => {
      const name = cursor.expectName();
      const type = parser.type();
      const required = cursor.accept("NOT", "NULL");
      if (!cursor.isSymbol(",") && !cursor.isSymbol(")")) refuse(`the column option ${next()}`, cursor.at());
      return { name, type, required };
    });
    cursor.expectSymbol(")");
    return columns;
  }

  function names(): readonly Name[] {
    cursor.expectSymbol("(");
    const found = cursor.list(cursor.expectName);
    cursor.expectSymbol(")");
    return found;
  }

  function insert(at: Place): Statement {
    cursor.accept("INTO");
    const into = path();
    const start = cursor.peek(1);
    const listed =
      cursor.isSymbol("(") && !(start.kind === "word" && (start.upper === "SELECT" || start.upper === "WITH"));
    const columns = listed ? names() : undefined;
    const rest = { kind: "insert" as const, at, target: into, ...(columns === undefined ? {} : { columns }) };
    if (!cursor.accept("VALUES")) return { ...rest, source: { query: parser.query() } };
    const rows = cursor.list(() => {
      cursor.expectSymbol("(");
      const row = cursor.list((): Expression | "default" => (cursor.accept("DEFAULT") ? "default" : expression()));
      cursor.expectSymbol(")");
      return row;
    });
    return { ...rest, source: { rows } };
  }

  function assignments(): readonly Assignment[] {
    return cursor.list(() => {
      const column = cursor.expectName();
      if (cursor.isSymbol(".")) {
        cursor.take();
        const field = cursor.expectName();
        // `alias.column` and `column.field` look the same; the second is not supported.
        cursor.expectSymbol("=");
        return { column: field, value: assigned(), qualifier: column };
      }
      cursor.expectSymbol("=");
      return { column, value: assigned() };
    });
  }

  function assigned(): Expression {
    if (cursor.isNext("DEFAULT")) refuse("SET … = DEFAULT", cursor.at());
    return expression();
  }

  function update(at: Place): Statement {
    const into = target();
    cursor.expect("SET");
    const set = assignments();
    const source = cursor.accept("FROM") ? parser.from() : undefined;
    return {
      kind: "update",
      at,
      ...into,
      set,
      where: where(at, "UPDATE"),
      ...(source === undefined ? {} : { from: source }),
    };
  }

  function merge(at: Place): Statement {
    cursor.accept("INTO");
    const into = target();
    cursor.expect("USING");
    const source = parser.fromItem();
    cursor.expect("ON");
    const on = expression();
    const clauses: MergeClause[] = [];
    while (cursor.isNext("WHEN")) clauses.push(mergeClause());
    if (clauses.length === 0) refuse("MERGE without WHEN", at);
    return { kind: "merge", at, ...into, source, on, clauses };
  }

  function mergeClause(): MergeClause {
    const at = cursor.expect("WHEN");
    const matched = !cursor.accept("NOT");
    cursor.expect("MATCHED");
    const bySource = !matched && cursor.accept("BY", "SOURCE");
    if (!matched && !bySource) cursor.accept("BY", "TARGET");
    const and = cursor.accept("AND") ? expression() : undefined;
    cursor.expect("THEN");
    const when = matched ? "matched" : bySource ? "not matched by source" : "not matched by target";
    return { at, when, action: mergeAction(), ...(and === undefined ? {} : { and }) };
  }

  function mergeAction(): MergeClause["action"] {
    if (cursor.accept("DELETE")) return { kind: "delete" };
    if (cursor.accept("UPDATE")) {
      cursor.expect("SET");
      return { kind: "update", set: assignments() };
    }
    cursor.expect("INSERT");
    const columns = cursor.isSymbol("(") ? names() : undefined;
    if (cursor.accept("ROW")) return { kind: "insert", ...(columns === undefined ? {} : { columns }) };
    cursor.expect("VALUES");
    cursor.expectSymbol("(");
    const values = cursor.list(assignedInsert);
    cursor.expectSymbol(")");
    return { kind: "insert", values, ...(columns === undefined ? {} : { columns }) };
  }

  function assignedInsert(): Expression {
    if (cursor.isNext("DEFAULT")) refuse("DEFAULT in a MERGE", cursor.at());
    return expression();
  }

  return { ...parser, statement, names };
}
