/** Reading tokens one after another: words, symbols, names, and the refusal of what was not expected. */
import type { Name } from "./ast.ts";
import { Refusal, refuseSyntax, tokenize, type Place, type Token } from "./lexer.ts";

/** GoogleSQL's reserved words: none is a name unless it stands in backticks. */
const reserved: ReadonlySet<string> = new Set(
  `ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT DEFAULT
   DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL GROUP GROUPING
   GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP MERGE NATURAL NEW NO
   NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE RECURSIVE RESPECT RIGHT ROLLUP ROWS
   SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN`.split(
    /\s+/,
  ),
);

/** Words with a meaning of their own in places of which the parser does not know all; any other one is a name. */
const meaningful: ReadonlySet<string> = new Set(
  `AGGREGATE AGGREGATION_THRESHOLD CLONE COLUMNS CONNECTION CONSTRAINT COPY CORRESPONDING DEPTH DIFFERENTIAL_PRIVACY DO
   ENFORCED EXTERNAL FOREIGN FORMAT FUNCTION GRAPH_TABLE INPUT KEY MATCH_RECOGNIZE MODEL OFFSET OPTIONS OUTPUT PIVOT POLICY
   PRIMARY REFERENCES REMOTE REPEATABLE ROW SNAPSHOT STRICT SYSTEM SYSTEM_TIME TABLE TRANSFORM UNPIVOT VALUE VIEW ZONE`.split(
    /\s+/,
  ),
);

export interface Cursor {
  readonly at: () => Place;
  readonly peek: (ahead?: number) => Token;
  readonly take: () => Token;
  /** Whether these words come next, in whatever case. */
  readonly isNext: (...words: readonly string[]) => boolean;
  /** Takes these words if they come next. */
  readonly accept: (...words: readonly string[]) => boolean;
  readonly expect: (...words: readonly string[]) => Place;
  readonly isSymbol: (symbol: string) => boolean;
  readonly acceptSymbol: (symbol: string) => boolean;
  readonly expectSymbol: (symbol: string) => Place;
  /** A name that may be an alias: a word that is not reserved, or one in backticks. */
  readonly acceptName: () => Name | undefined;
  readonly expectName: () => Name;
  /** `read` for each item of a list with commas between. */
  readonly list: <T>(read: () => T) => T[];
  /** `read`, or `undefined` with nothing taken when it refuses what is there. */
  readonly attempt: <T>(read: () => T) => T | undefined;
  readonly unexpected: () => never;
  /** What is written from `start` to the end of the last token that was taken. */
  readonly textFrom: (start: Place) => string;
}

export function cursorOf(sql: string): Cursor {
  const tokens = tokenize(sql);
  let index = 0;
  const end = tokens[tokens.length - 1] ?? { kind: "end", at: 0, end: 0 };
  const peek = (ahead = 0): Token => tokens[index + ahead] ?? end;
  const at = (): Place => peek().at;
  const take = (): Token => {
    const token = peek();
    index++;
    return token;
  };
  const unexpected = (): never => {
    const token = peek();
    if (token.kind === "end") return refuseSyntax("a statement that ends too early", token.at);
    const shown = `${sql.slice(token.at, token.end)} at this place`;
    const isName = token.kind === "word" && !reserved.has(token.upper) && !meaningful.has(token.upper);
    if (isName) return refuseSyntax(shown, token.at);
    const why = "a syntax error, or GoogleSQL that the embedded engine does not know";
    throw new Refusal(shown, token.at, undefined, why);
  };
  const isNext = (...words: readonly string[]): boolean =>
    words.every((word, ahead) => {
      const token = peek(ahead);
      return token.kind === "word" && token.upper === word;
    });
  const accept = (...words: readonly string[]): boolean => {
    const found = isNext(...words);
    if (found) index += words.length;
    return found;
  };
  const isSymbol = (symbol: string): boolean => {
    const token = peek();
    if (token.kind !== "symbol") return false;
    return token.text === symbol;
  };
  const acceptSymbol = (symbol: string): boolean => {
    const found = isSymbol(symbol);
    if (found) index++;
    return found;
  };
  const acceptName = (): Name | undefined => {
    const token = peek();
    if (token.kind !== "quoted" && (token.kind !== "word" || reserved.has(token.upper))) return undefined;
    index++;
    return { text: token.text, at: token.at };
  };
  return {
    at,
    peek,
    take,
    isNext,
    accept,
    expect(...words) {
      const place = at();
      return accept(...words) ? place : unexpected();
    },
    isSymbol,
    acceptSymbol,
    expectSymbol(symbol) {
      const place = at();
      return acceptSymbol(symbol) ? place : unexpected();
    },
    acceptName,
    expectName: () => acceptName() ?? unexpected(),
    list<T>(read: () => T) {
      const items = [read()];
      while (acceptSymbol(",")) items.push(read());
      return items;
    },
    attempt<T>(read: () => T) {
      const start = index;
      try {
        return read();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        index = start;
        return undefined;
      }
    },
    unexpected,
    textFrom: (start) => sql.slice(start, tokens[index - 1]?.end ?? start),
  };
}

/** The type parser splits `>>`; everything else takes symbols whole. */
export function isReserved(word: string): boolean {
  return reserved.has(word);
}
