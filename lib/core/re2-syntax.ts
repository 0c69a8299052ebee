/**
 * The structure of an RE2 pattern, as far as `file-pattern.ts` must know it. The engine does not give its own tree
 * away. Hand in only what the engine has compiled: this reader relies on the pattern being well-formed.
 */
interface Place {
  /** Offsets into the pattern: `start` belongs to the node, `end` does not. */
  readonly start: number;
  readonly end: number;
}

export interface Group extends Place {
  readonly kind: "group";
  readonly name?: string;
  /** Where the group's own pattern begins, after `(?P<name>`. */
  readonly bodyStart: number;
  readonly alternatives: readonly (readonly Node[])[];
  /** The flags `i` and `s` as they are when the group opens. */
  readonly flags: string;
}

export type Node =
  | (Place & { readonly kind: "literal"; readonly char: string; readonly fold: boolean })
  /** A dot that stands for any character. */
  | (Place & { readonly kind: "any" })
  /** A class in brackets, or an escape such as `\d`; `only` is its one character, where it is so written. */
  | (Place & { readonly kind: "set"; readonly only?: string; readonly fold: boolean })
  /** Matches no text: `^`, `$`, `\A`, `\z`, `\b`, `\B`. */
  | (Place & { readonly kind: "assertion" })
  | (Place & { readonly kind: "repeat"; readonly node: Node; readonly min: number; readonly max: number })
  | Group;

/** Reads a pattern that the engine accepts. The result is a group that spans all of it. */
export function readPattern(pattern: string): Group {
  let at = 0;
  let fold = false;
  let dotAll = false;

  function readGroup(start: number, name: string | undefined, bodyStart: number, flags: string): Group {
    const outer = { fold, dotAll };
    const alternatives: Node[][] = [[]];
    at = bodyStart;
    while (at < pattern.length && pattern.charAt(at) !== ")") {
      const nodes = alternatives.at(-1) ?? [];
      if (pattern.charAt(at) === "|") {
        at += 1;
        alternatives.push([]);
      } else {
        nodes.push(...readAtoms());
        readRepeats(nodes);
      }
    }
    if (start < bodyStart) at += 1;
    // Flags that are set within a group end with it.
    ({ fold, dotAll } = outer);
    return { kind: "group", start, end: at, bodyStart, alternatives, flags, ...(name === undefined ? {} : { name }) };
  }

  /** One atom; none for a lone change of flags, several for `\Q…\E`. */
  function readAtoms(): Node[] {
    const start = at;
    const char = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
    if (char === "(") return readParenthesis(start);
    if (char === "[") return [readClass(start)];
    if (char === "\\") return readEscape(start);
    at += char.length;
    if (char === ".") return [{ kind: "any", start, end: at }];
    if (char === "^" || char === "$") return [{ kind: "assertion", start, end: at }];
    return [{ kind: "literal", char, fold, start, end: at }];
  }

  function readParenthesis(start: number): Node[] {
    const flags = `${fold ? "i" : ""}${dotAll ? "s" : ""}`;
    const named = /^\(\?P?<(\w+)>/.exec(pattern.slice(start));
    if (named !== null) return [readGroup(start, named[1], start + named[0].length, flags)];
    const flagged = /^\(\?([imsU]*)(-[imsU]+)?([:)])/.exec(pattern.slice(start));
    if (flagged === null) return [readGroup(start, undefined, start + 1, flags)];
    const [whole, on = "", off = "", close] = flagged;
    const before = { fold, dotAll };
    fold = (fold || on.includes("i")) && !off.includes("i");
    dotAll = (dotAll || on.includes("s")) && !off.includes("s");
    if (close === ")") {
      at = start + whole.length;
      return [];
    }
    const group = readGroup(start, undefined, start + whole.length, flags);
    ({ fold, dotAll } = before);
    return [group];
  }

  /** Wraps the last node in the quantifiers that follow it. */
  function readRepeats(nodes: Node[]): void {
    for (;;) {
      const quantifier = /^(?:([*+?])|\{(\d+)(,(\d*))?\})\??/.exec(pattern.slice(at, at + 24));
      const node = nodes.at(-1);
      if (quantifier === null || node === undefined || !isCount(quantifier[2]) || !isCount(quantifier[4])) return;
      at += quantifier[0].length;
      const [, sign, low, range, high] = quantifier;
      const min = sign === undefined ? Number(low) : sign === "+" ? 1 : 0;
      const exact = range === undefined ? min : high === "" ? Infinity : Number(high);
      const max = sign === undefined ? exact : sign === "?" ? 1 : Infinity;
      nodes[nodes.length - 1] = { kind: "repeat", node, min, max, start: node.start, end: at };
    }
  }

  function readEscape(start: number): Node[] {
    const letter = pattern.charAt(start + 1);
    at = start + 2;
    if (letter === "Q") return readQuoted();
    if ("AbBz".includes(letter)) return [{ kind: "assertion", start, end: at }];
    if ("dDsSwW".includes(letter)) return [{ kind: "set", fold, start, end: at }];
    if (letter === "p" || letter === "P") {
      at = pattern.charAt(at) === "{" ? pattern.indexOf("}", at) + 1 : at + 1;
      return [{ kind: "set", fold, start, end: at }];
    }
    const char = readEscapedChar(start);
    return [{ kind: "literal", char, fold, start, end: at }];
  }

  function readQuoted(): Node[] {
    const close = pattern.indexOf("\\E", at);
    const text = pattern.slice(at, close < 0 ? undefined : close);
    const nodes = Array.from(text, (char): Node => {
      const start = at;
      at += char.length;
      return { kind: "literal", char, fold, start, end: at };
    });
    if (close >= 0) at = close + 2;
    return nodes;
  }

  /** The character of `\.`, `\n`, `\x41`, `\x{1F600}` or `\101`; `at` ends behind it. */
  function readEscapedChar(start: number): string {
    const rest = pattern.slice(start + 1);
    const hex = /^x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))/.exec(rest);
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest);
    const length = (hex ?? octal)?.[0].length ?? 1;
    at = start + 1 + length;
    if (hex !== null) return String.fromCodePoint(parseInt(hex[1] ?? hex[2] ?? "0", 16));
    if (octal !== null) return String.fromCodePoint(parseInt(octal[0], 8));
    const char = rest.charAt(0);
    return ({ a: "\x07", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" } as Record<string, string>)[char] ?? char;
  }

  function readClass(start: number): Node {
    at = start + 1;
    const negated = pattern.charAt(at) === "^";
    if (negated) at += 1;
    const items: (string | undefined)[] = [];
    // A closing bracket that comes first is a member.
    while (at < pattern.length && (items.length === 0 || pattern.charAt(at) !== "]")) items.push(readMember());
    at += 1;
    const only = items.length === 1 && !negated ? items[0] : undefined;
    return { kind: "set", fold, start, end: at, ...(only === undefined ? {} : { only }) };
  }

  /** One member of a class: its character, or `undefined` where it is more than one. */
  function readMember(): string | undefined {
    const rest = pattern.slice(at);
    const wide = /^(?:\[:\^?[a-z]+:\]|\\[dDsSwW]|\\[pP](?:\{[^}]*\}|.))/u.exec(rest);
    if (wide !== null) {
      at += wide[0].length;
      return undefined;
    }
    const low = readMemberChar();
    if (pattern.charAt(at) !== "-" || pattern.charAt(at + 1) === "]") return low;
    at += 1;
    return readMemberChar() === low ? low : undefined;
  }

  function readMemberChar(): string {
    if (pattern.charAt(at) === "\\") return readEscapedChar(at);
    const char = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
    at += char.length;
    return char;
  }

  return readGroup(0, undefined, 0, "");
}

/** The engine takes `{08}` and the like for literal text. */
function isCount(digits: string | undefined): boolean {
  return digits === undefined || digits === "" || /^(?:0|[1-9]\d*)$/.test(digits);
}
