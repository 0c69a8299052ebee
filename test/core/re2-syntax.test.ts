import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { readPattern } from "../../lib/core/re2-syntax.ts";
import type { Node } from "../../lib/core/re2-syntax.ts";

/** A short text for a tree: literals as they are, `.` any, `#` set, `^` assertion, `(…|…)` group, `{m,n}` repeat. */
function show(node: Node): string {
  switch (node.kind) {
    case "literal":
      return node.fold ? `~${node.char}` : node.char;
    case "any":
      return ".";
    case "set":
      return node.only === undefined ? "#" : `[${node.only}]`;
    case "assertion":
      return "^";
    case "repeat":
      return `${show(node.node)}{${node.min},${node.max}}`;
    case "group": {
      const name = node.name === undefined ? "" : `<${node.name}>`;
      return `(${name}${node.alternatives.map((nodes) => nodes.map(show).join("")).join("|")})`;
    }
  }
}

const table: [string, string][] = [
  ["", "()"],
  ["abc", "(abc)"],
  ["a|b|", "(a|b|)"],
  ["a.b\\.c", "(a.b.c)"],
  ["(a)(?:b)(?P<n>c)(?<m>d)", "((a)(b)(<n>c)(<m>d))"],
  ["a*b+c?d{2}e{2,}f{2,3}", "(a{0,Infinity}b{1,Infinity}c{0,1}d{2,2}e{2,Infinity}f{2,3})"],
  ["a*?b+?c??d{2}?", "(a{0,Infinity}b{1,Infinity}c{0,1}d{2,2})"],
  ["a{,2}{a{2a{02}", "(a{,2}{a{2a{02})"],
  ["[abc][^a][]a][^]a][a-c][.][\\.][\\]]", "(####" + "#[.][.][]])"],
  ["[[:alpha:]][[:^alpha:]x][\\d][\\pN][\\p{Greek}][^\\PL]", "(######)"],
  ["[a-]b[-a]", "(#b#)"],
  ["[--/]x", "(#x)"],
  ["[a-a]", "([a])"],
  ["[\\x41][\\x{42}][\\101]", "([A][B][A])"],
  ["\\d\\D\\s\\S\\w\\W\\pN\\PN\\p{Greek}\\p{^Greek}x", "(##########x)"],
  ["\\A\\bx\\B\\z^$", "(^^x^^^^)"],
  ["\\n\\t\\x41\\x{1F600}\\101\\0\\012", "(\n\tA😀A\0\n)"],
  ["\\Qa.b*[\\E*c", "(a.b*[{0,Infinity}c)"],
  ["\\Qa|(", "(a|()"],
  ["(?i)a(?-i)b", "(~ab)"],
  ["(?i:a)b", "((~a)b)"],
  ["((?i)a)b", "((~a)b)"],
  ["x(?i)|y", "(x|~y)"],
  ["(?is-U:a(?-i:b)c)d", "((~a(b)~c)d)"],
  ["😀+é", "(😀{1,Infinity}é)"],
  ["(a(b(c)?)*){2}", "((a(b(c){0,1}){0,Infinity}){2,2})"],
  ["]}", "(]})"],
];
for (const [pattern, tree] of table) {
  test(`reads ${JSON.stringify(pattern)}`, () => {
    RE2JS.compile(pattern);
    const root = readPattern(pattern);
    assert.equal(show(root), tree);
    assert.equal(root.end, pattern.length);
  });
}

/** The pattern said again from the tree alone: it must mean the same. */
function rebuild(node: Node, pattern: string): string {
  switch (node.kind) {
    case "literal":
      return `(?${node.fold ? "i" : ""}:\\x{${(node.char.codePointAt(0) ?? 0).toString(16)}})`;
    case "set":
      return `(?${node.fold ? "i" : ""}:${pattern.slice(node.start, node.end)})`;
    case "any":
    case "assertion":
      return pattern.slice(node.start, node.end);
    case "repeat": {
      const max = node.max === Infinity ? "" : String(node.max);
      return `(?:(?:${rebuild(node.node, pattern)}){${node.min},${max}})`;
    }
    case "group":
      return `(?:${node.alternatives.map((nodes) => nodes.map((inner) => rebuild(inner, pattern)).join("")).join("|")})`;
  }
}

const piece = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "A",
    ".",
    "\\.",
    "-",
    "/",
    "|",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?i:",
    "(?-i)",
    "(?P<n>",
    "[",
    "]",
    "[^",
    "^",
    "$",
  ),
  fc.constantFrom(
    "*",
    "+",
    "?",
    "{2}",
    "{1,}",
    "{0,2}",
    "{",
    "}",
    ",",
    "2",
    "\\d",
    "\\w",
    "\\pL",
    "\\x61",
    "\\Q",
    "\\E",
    "\\b",
    "[:alpha:]",
    "-b",
  ),
);
const pattern = fc.array(piece, { maxLength: 10 }).map((parts) => parts.join(""));
const text = fc.stringMatching(/^[abAB.\-/2|*([]{0,6}$/);

test("random patterns are read as the engine reads them", () => {
  let compiled = 0;
  let matched = 0;
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 5, maxLength: 5 }), (source, texts) => {
      let regex: RE2JS;
      try {
        regex = RE2JS.compile(source);
      } catch {
        return;
      }
      compiled += 1;
      const root = readPattern(source);
      assert.equal(root.end, source.length);
      const again = RE2JS.compile(rebuild(root, source));
      for (const candidate of [...texts, "", "a", "ab", "b"]) {
        const expected = regex.matches(candidate);
        if (expected) matched += 1;
        assert.equal(again.matches(candidate), expected, `${source} on ${JSON.stringify(candidate)}`);
      }
    }),
    { numRuns: 4000 },
  );
  assert.ok(compiled > 500 && matched > 300, `${compiled} compiled, ${matched} matched`);
});
