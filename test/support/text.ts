/** What no file of the repository may say. The patterns are put together from pieces, so that they do not find themselves. */
import { codeOf, tokensOf } from "./tokens.ts";
import { isMember } from "./imports.ts";
import type { Violation } from "./house.ts";

const LATER = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);
const MACHINE_PATH = new RegExp(
  `(?<![\\w.~$}/:-])/(?:${["wo" + "rk", "ho" + "me", "Us" + "ers"].join("|")})(?![\\w-])`,
);
const REGISTRY = new RegExp(
  ["\\bregistry\\.(?:npm" + "js|yarn" + "pkg)\\.", "\\bnpm\\.pkg\\.", "^\\s*(?:\\S+:)?registry\\s*="].join("|"),
);
const RESOLVED = /^\s*"resolved": "(?!file:)/;

const LOCK_FILE = "package-lock.json";

/** Where a text file says what none may say. */
export function textViolations(file: string, text: string): Violation[] {
  const lines = text.split("\n").flatMap((content, index) => {
    const found: [string, string][] = [];
    if (file !== LOCK_FILE && LATER.test(content))
      found.push(["a note to do something later", "Do it, or open an issue."]);
    if (file !== LOCK_FILE && MACHINE_PATH.test(content))
      found.push([
        "a path of one machine",
        "Derive it from import.meta.dirname, the working directory or os.tmpdir().",
      ]);
    if (REGISTRY.test(content) || (file === LOCK_FILE && RESOLVED.test(content)))
      found.push([
        "the host of a package registry",
        "Leave the host to npm's own settings; .npmrc keeps it out of the lock file.",
      ]);
    return found.map(([rule, remedy]) => ({ file, line: index + 1, rule, remedy }));
  });
  return file.endsWith(".ts") ? [...lines, ...anyTypes(file, text)] : lines;
}

function anyTypes(file: string, source: string): Violation[] {
  const tokens = tokensOf(source);
  return tokens
    .filter((token, index) => codeOf(token) === "any" && !isMember(tokens, index) && codeOf(tokens[index + 1]) !== "(")
    .map(({ line }) => ({
      file,
      line,
      rule: "the type `any`",
      remedy: "Write `unknown` and narrow it, or name the type.",
    }));
}
