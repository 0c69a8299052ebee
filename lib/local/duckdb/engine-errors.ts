/** What the engine says of a failed statement, in the words of GoogleSQL: its own settings, types and names mean nothing to authors. */
import { messageOf, PermanentError } from "../../core/errors.ts";

type Rule = readonly [said: RegExp, told: (...found: readonly string[]) => string];

const rules: readonly Rule[] = [
  [/^More than one row returned by a subquery/, () => "a subquery that stands for one value gives more than one row"],
  [/^Type INT128 with value (\S+) .* from source column sum\(/, (total) => `SUM: INT64 overflow: ${total}`],
  [
    /^Type \S+ with value (\S+) can't be cast because the value is out of range for the destination type (\S+)/,
    (value, type) => `the value ${value} is out of range for ${named(type)}`,
  ],
  [/^Could not convert string (["'])(.*)\1 to (.+)$/, (_, text, type) => `bad ${named(type)} value: ${text}`],
  [/^Overflow in HUGEINT (\w+)/, (what) => `NUMERIC overflow in ${what}`],
  [/^(Overflow in \w+ of \w+ \(.*\))!$/, (what) => what],
];

const types: Readonly<Record<string, string>> = {
  DOUBLE: "FLOAT64",
  BIGINT: "INT64",
  VARCHAR: "STRING",
  BOOLEAN: "BOOL",
};

function named(type = ""): string {
  return type.startsWith("DECIMAL") ? "NUMERIC" : (types[type] ?? type);
}

/** What BigQuery would say about an error of the engine. */
export function explain(error: unknown): unknown {
  if (error instanceof PermanentError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (/^(INTERRUPT|Out of Memory|TransactionContext|FATAL|INTERNAL|Connection|IO) Error/i.test(text)) return error;
  const [first = ""] = text.split(/\n\nLINE /);
  const message = plain(messageOf(new Error(first.replace(/^[\w ]+ Error: /, ""))));
  const missing = /^Catalog Error: Table with name .* does not exist|schema .* does not exist/i.test(text);
  return new PermanentError(message, { code: missing ? "notFound" : "invalidQuery", cause: error });
}

function plain(message: string): string {
  for (const [said, told] of rules) {
    const [whole, ...found] = said.exec(message) ?? [];
    if (whole !== undefined) return told(...found);
  }
  return message;
}
