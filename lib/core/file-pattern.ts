/**
 * Which objects of a bucket belong to which time window, by their names: a literal path, a slash, and an RE2 pattern
 * whose group `interval_timestamp` holds the window. Pure: everything is known from the pattern's structure.
 */
import { RE2JS, RE2JSException, RE2JSSyntaxException } from "re2js";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError, messageOf } from "./errors.ts";
import { hasAssertion, literalPrefix, loneDots, mandatoryGroup, variesOutside } from "./file-pattern-shape.ts";
import { parseTimestamp, timestampTexts } from "./interval.ts";
import type { Interval, Window } from "./interval.ts";
import { readPattern } from "./re2-syntax.ts";
import type { Group } from "./re2-syntax.ts";

/** When an interval of several objects is whole: a marker object is there, a count is reached, or nothing has changed for a while. */
export type Completeness = { readonly marker: string } | { readonly count: number } | { readonly settle: Duration };

export interface FilePatternOptions {
  readonly pathBase: string;
  readonly fileMatch: string;
  readonly interval: Interval;
  readonly complete?: Completeness;
}

export type Match =
  | { readonly kind: "match"; readonly window: Window; readonly text: string }
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly reason: string };

export interface FilePattern {
  /** Whether several names of one interval can match. */
  readonly variable: boolean;
  /** What all matching names start with. */
  readonly literalPrefix: string;
  /** What all matching names of one interval start with, so that a run lists only its own objects (and the marker). */
  prefixOf(window: Window): string;
  /** `refused` for a name that matches but whose timestamp is impossible, or that the warehouse could not load. */
  match(name: string): Match;
  /** As `match`, for the marker object that says an interval is whole; `none` where there is no marker rule. */
  matchMarker(name: string): Match;
}

const GROUP = "interval_timestamp";
const NONE = { kind: "none" } as const;

/**
 * A lone `.` in `fileMatch` (no quantifier behind it, outside the interval group) counts as a literal dot. Throws
 * `DefinitionError` for a bad pattern, one without the group, and one that varies but has no completeness rule.
 */
export function compileFilePattern(options: FilePatternOptions): FilePattern {
  const { interval, complete } = options;
  const base = checkPathBase(options.pathBase);
  const source = dotsAsLiterals(options.fileMatch);
  const regex = compile(source);
  const root = readPattern(source);
  const group = intervalGroup(root, options.fileMatch);
  const variable = variesOutside(root, group);
  checkCompleteness(complete, variable);
  const marker =
    complete !== undefined && "marker" in complete ? markerPattern(source, root, group, complete.marker) : undefined;

  const prefix = literalPrefix(root, group);
  const listed = base + prefix.text;
  if (listed.startsWith("/") || listed.includes("//")) {
    throw new DefinitionError(`every name that fileMatch accepts would start with ${JSON.stringify(listed)}`, {
      remedy: "leave the slash at the start of fileMatch out",
    });
  }
  const alone = prefix.next === "group" && !hasAssertion(group) ? compile(groupAlone(source, group)) : undefined;

  function matchOf(pattern: RE2JS, name: string): Match {
    // A name that ends with a slash is an empty folder, as some tools make them, and never data.
    if (!name.startsWith(base) || name.endsWith("/")) return NONE;
    const matcher = pattern.matcher(name.slice(base.length));
    if (!matcher.matches()) return NONE;
    const fault = nameFault(name);
    if (fault !== undefined) return { kind: "refused", reason: `the object name ${JSON.stringify(name)} ${fault}` };
    const text = matcher.group(GROUP) ?? "";
    try {
      return { kind: "match", window: parseTimestamp(interval, text), text };
    } catch (error) {
      if (!(error instanceof DefinitionError)) throw error;
      return { kind: "refused", reason: `the object name ${JSON.stringify(name)}: ${messageOf(error)}` };
    }
  }

  const matchMarker = (name: string): Match => (marker === undefined ? NONE : matchOf(marker, name));
  return {
    variable,
    literalPrefix: listed,
    prefixOf(window) {
      const texts =
        alone === undefined ? [] : timestampTexts(interval, window.start).filter((text) => alone.matches(text));
      return listed + commonPrefix(texts);
    },
    match: (name) => (matchMarker(name).kind === "none" ? matchOf(regex, name) : NONE),
    matchMarker,
  };
}

/** `path/` for `path` or `path/`; nothing for nothing. */
function checkPathBase(pathBase: string): string {
  const path = pathBase.replace(/\/+$/, "");
  const fault = path.startsWith("/") ? "begins with a slash" : nameFault(path);
  if (fault !== undefined) {
    throw new DefinitionError(`pathBase ${JSON.stringify(pathBase)} ${fault}`, {
      remedy: "write it as literal text such as exports/passport, without the bucket",
    });
  }
  // `/` alone would otherwise silently become the whole bucket.
  if (path === "" && pathBase !== "")
    throw new DefinitionError("pathBase is only a slash", { remedy: "leave it empty" });
  return path === "" ? "" : `${path}/`;
}

/** Why the warehouse could not load an object of that name, or would load another one. */
function nameFault(name: string): string | undefined {
  if (name.includes("*")) return "has a *, which the warehouse takes for a wildcard";
  if (name.includes("//")) return "has a double slash, which the warehouse takes for a single one";
  if (/\p{Cc}/u.test(name)) return "has a control character";
  if (/(?:^|\/)\.{1,2}(?:\/|$)/.test(name)) return "has a path segment of dots";
  return undefined;
}

function dotsAsLiterals(fileMatch: string): string {
  compile(fileMatch);
  let source = fileMatch;
  for (const at of loneDots(readPattern(fileMatch), GROUP).reverse()) {
    source = `${source.slice(0, at)}\\${source.slice(at)}`;
  }
  return source;
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    const rest = error instanceof RE2JSSyntaxException ? (error.getPattern() ?? "") : "";
    const what = error instanceof RE2JSSyntaxException ? error.getDescription() : error.message;
    const at = rest === "" || rest === pattern ? -1 : pattern.indexOf(rest);
    const place = at < 0 ? "" : ` at character ${at + 1}, ${JSON.stringify(rest.slice(0, 40))}`;
    const beyond = /^\(\?[=!<]|^\\[1-9kGZ]/.test(rest);
    throw new DefinitionError(`fileMatch ${JSON.stringify(pattern)} is not a pattern: ${what}${place}`, {
      remedy: beyond ? "RE2 has no lookahead, lookbehind or backreference" : "write it in RE2's syntax",
      cause: error,
    });
  }
}

function intervalGroup(root: Group, fileMatch: string): Group {
  const group = mandatoryGroup(root, GROUP);
  if (group !== undefined) return group;
  const hidden = new RegExp(`\\(\\?P?<${GROUP}>`).test(fileMatch);
  throw new DefinitionError(
    hidden
      ? `the group ${GROUP} of fileMatch does not take part in every match`
      : `fileMatch ${JSON.stringify(fileMatch)} has no group ${GROUP}`,
    {
      remedy: hidden
        ? "take it out of the alternatives or the repetition"
        : `mark the interval, as in (?P<${GROUP}>\\d\\d\\d\\d-\\d\\d-\\d\\d)/scores.parquet`,
    },
  );
}

function checkCompleteness(complete: Completeness | undefined, variable: boolean): void {
  if (complete === undefined) {
    if (!variable) return;
    throw new DefinitionError(
      "fileMatch can match several objects of one interval, and nothing says when it is whole",
      {
        remedy:
          'give complete: { marker: "_SUCCESS" }, { count: 4 } or { settle: "10m" }, or make fileMatch literal outside the interval',
      },
    );
  }
  if ("settle" in complete) durationMs(complete.settle);
  if (!("count" in complete)) return;
  if (!Number.isSafeInteger(complete.count) || complete.count < 1) {
    throw new DefinitionError(`complete.count is ${complete.count}`, { remedy: "give a whole number of at least 1" });
  }
  if (!variable && complete.count > 1) {
    throw new DefinitionError(`complete.count is ${complete.count}, but fileMatch matches one object an interval`, {
      remedy: "leave complete out, or let fileMatch vary outside the interval",
    });
  }
}

/** The marker lies in the folder of the files: whatever fileMatch has before its last slash outside of any group. */
function markerPattern(source: string, root: Group, group: Group, marker: string): RE2JS {
  if (marker === "" || marker.includes("/") || nameFault(marker) !== undefined) {
    throw new DefinitionError(`the marker ${JSON.stringify(marker)} is not a file name`, {
      remedy: "name the object alone, such as _SUCCESS",
    });
  }
  const nodes = root.alternatives.length === 1 ? (root.alternatives[0] ?? []) : [];
  const slash = nodes.findLast((node) => node.kind === "literal" && node.char === "/");
  if (slash === undefined || group.end > slash.start) {
    throw new DefinitionError(`the marker ${marker} could not tell its interval`, {
      remedy: `put the group ${GROUP} in the folder part of fileMatch, or use count or settle`,
    });
  }
  return compile(`(?:${source.slice(0, slash.start)})/${RE2JS.quote(marker)}`);
}

function groupAlone(source: string, group: Group): string {
  return `(?${group.flags}:${source.slice(group.bodyStart, group.end - 1)})`;
}

function commonPrefix(texts: readonly string[]): string {
  const [first = "", ...others] = texts;
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
