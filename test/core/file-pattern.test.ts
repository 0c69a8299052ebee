import { describe, test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { compileFilePattern } from "../../lib/core/file-pattern.ts";
import type { Completeness, FilePatternOptions } from "../../lib/core/file-pattern.ts";
import { Interval, parseWindow, timestampTexts, windowAt } from "../../lib/core/interval.ts";

const DAY = String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)`;
const settle: Completeness = { settle: "1m" };

function daily(fileMatch: string, options: Partial<FilePatternOptions> = {}) {
  return compileFilePattern({ pathBase: "base", fileMatch, interval: Interval.Daily, complete: settle, ...options });
}

function refuses(act: () => unknown, message: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof DefinitionError);
    assert.ok(error.remedy !== undefined);
    assert.match(messageOf(error), message);
    return true;
  });
}

describe("the pattern of the Gitcoin example", () => {
  const pattern = compileFilePattern({
    pathBase: "passport",
    fileMatch: `${DAY}/scores.parquet`,
    interval: Interval.Daily,
  });

  test("needs no completeness rule, and lists one day", () => {
    assert.equal(pattern.variable, false);
    assert.equal(pattern.literalPrefix, "passport/");
    assert.equal(pattern.prefixOf(parseWindow("daily", "2024-05-01")), "passport/2024-05-01");
  });

  const names: [string, string][] = [
    ["passport/2024-05-01/scores.parquet", "match"],
    ["passport/2024-02-29/scores.parquet", "match"],
    ["passport/2024-02-30/scores.parquet", "refused"],
    ["passport/2023-02-29/scores.parquet", "refused"],
    ["passport/0000-01-01/scores.parquet", "refused"],
    ["passport/2024-05-01/scoresXparquet", "none"],
    ["passport/2024-05-01/scores.parquet.tmp", "none"],
    ["passport/2024-05-01/scores.parquet\n", "none"],
    ["x/passport/2024-05-01/scores.parquet", "none"],
    ["passport//2024-05-01/scores.parquet", "none"],
    ["passport2024-05-01/scores.parquet", "none"],
    ["Passport/2024-05-01/scores.parquet", "none"],
    ["passport/٢٠٢٤-٠٥-٠١/scores.parquet", "none"],
    ["", "none"],
    ["passport", "none"],
    ["passport/", "none"],
    ["passport/".repeat(114).slice(0, 1024), "none"],
  ];
  for (const [name, kind] of names) {
    test(`${kind}: ${JSON.stringify(name.slice(0, 60))}`, () => assert.equal(pattern.match(name).kind, kind));
  }

  test("a match carries its window and its text", () => {
    assert.deepEqual(pattern.match("passport/2024-05-01/scores.parquet"), {
      kind: "match",
      window: parseWindow("daily", "2024-05-01"),
      text: "2024-05-01",
    });
  });

  test("there is no marker", () => assert.equal(pattern.matchMarker("passport/2024-05-01/_SUCCESS").kind, "none"));
});

describe("names that the warehouse could not load", () => {
  const pattern = daily(`${DAY}/(?s:.*)`);
  const table: [string, RegExp | "match"][] = [
    ["base/2024-05-01/a", "match"],
    ["base/2024-05-01/ünï/日本 ?[x]..y", "match"],
    ["base/2024-05-01/*", /has a \*/],
    ["base/2024-05-01/a//b", /double slash/],
    ["base/2024-05-01/a\nb", /control character/],
    ["base/2024-05-01/a\u0000", /control character/],
    ["base/2024-05-01/../x", /path segment of dots/],
    ["base/2024-05-01/.", /path segment of dots/],
    ["base/2024-13-01/a", /calendar/],
  ];
  for (const [name, expected] of table) {
    test(JSON.stringify(name), () => {
      const match = pattern.match(name);
      assert.equal(match.kind, expected === "match" ? "match" : "refused");
      if (match.kind !== "refused" || expected === "match") return;
      assert.match(match.reason, expected);
      assert.ok(!match.reason.includes("\n"));
    });
  }
});

test("an empty folder is no data", () => {
  const pattern = daily(`${DAY}/.*`);
  assert.equal(pattern.match("base/2024-05-01/").kind, "none");
  assert.equal(pattern.match("base/2024-05-01/x").kind, "match");
});

describe("what varies, and what all names start with", () => {
  const table: [string, boolean, string][] = [
    [`${DAY}.csv`, false, "base/"],
    [`${DAY}\\.csv`, false, "base/"],
    [`${DAY}[.]csv`, false, "base/"],
    [`x/${DAY}/a{2}b`, false, "base/x/"],
    [`x(/)(?:y)${DAY}`, false, "base/x/y"],
    [`^x/${DAY}$`, false, "base/x/"],
    [`\\Qx.y/\\E${DAY}`, false, "base/x.y/"],
    [`(?:x|x)${DAY}`, false, "base/x"],
    ["x/(?P<interval_timestamp>\\d{8}|\\d{4}-\\d{2}-\\d{2})", false, "base/x/"],
    ["(?P<interval_timestamp>.+)/a", false, "base/"],
    ["(?P<interval_timestamp>(?i)[a-z0-9-]*)/a", false, "base/"],
    ["((?P<interval_timestamp>\\d{8}))", false, "base/"],
    [`(?i)1-${DAY}`, false, "base/1-"],
    [`${DAY}/.*`, true, "base/"],
    [`${DAY}/.{1}`, true, "base/"],
    [`${DAY}/a?`, true, "base/"],
    [`ab+/${DAY}`, true, "base/ab"],
    [`ab*/${DAY}`, true, "base/a"],
    [`(?:ab){2,}/${DAY}`, true, "base/abab"],
    [`(?:x|y)/${DAY}`, true, "base/"],
    [`x/[ab]${DAY}`, true, "base/x/"],
    [`x/\\d${DAY}`, true, "base/x/"],
    [`x/\\pL${DAY}`, true, "base/x/"],
    [`(?i)x/${DAY}`, true, "base/"],
    [`x/(?i:y)${DAY}`, true, "base/x/"],
    [`x/(?i:[y])${DAY}`, true, "base/x/"],
    [`x/(?i:[.])${DAY}`, false, "base/x/."],
    [`x/${DAY}(?i)/y`, true, "base/x/"],
    [`${DAY}(?:/a|/b)`, true, "base/"],
    [`(?:a(?:b|c))${DAY}`, true, "base/a"],
  ];
  for (const [fileMatch, variable, prefix] of table) {
    test(fileMatch, () => {
      const pattern = daily(fileMatch);
      assert.equal(pattern.variable, variable);
      assert.equal(pattern.literalPrefix, prefix);
      if (variable)
        refuses(
          () => daily(fileMatch, { complete: undefined } as never),
          /several objects of one interval.*marker.*count.*settle/,
        );
    });
  }
});

describe("lone dots", () => {
  const table: [string, string, string][] = [
    [`${DAY}/a.b`, "2024-05-01/a.b", "2024-05-01/axb"],
    [`${DAY}/(a.b)`, "2024-05-01/a.b", "2024-05-01/axb"],
    [`${DAY}/(?:.)+`, "2024-05-01/...", "2024-05-01/aa"],
    [`a.b.c/${DAY}.x`, "a.b.c/2024-05-01.x", "aab.c/2024-05-01.x"],
    [`${DAY}/[a.]`, "2024-05-01/a", "2024-05-01/b"],
    [`${DAY}/.+`, "2024-05-01/abc", "2024-05-01/"],
    [`😀.${DAY}`, "😀.2024-05-01", "😀x2024-05-01"],
  ];
  for (const [fileMatch, yes, no] of table) {
    test(fileMatch, () => {
      const pattern = daily(fileMatch);
      assert.notEqual(pattern.match(`base/${yes}`).kind, "none");
      assert.equal(pattern.match(`base/${no}`).kind, "none");
    });
  }

  test("in the interval group a dot stays a wildcard, and the timestamp decides", () => {
    const pattern = daily("(?P<interval_timestamp>\\d{4}.\\d{2}.\\d{2})/a");
    assert.equal(pattern.match("base/2024-05-01/a").kind, "match");
    assert.equal(pattern.match("base/2024_05_01/a").kind, "match");
    assert.equal(pattern.match("base/2024.05.01/a").kind, "refused");
    assert.equal(pattern.prefixOf(parseWindow("daily", "2024-05-01")), "base/2024");
  });
});

describe("the listing of one interval", () => {
  const table: [Interval, string, string, string][] = [
    ["hourly", "x/(?P<interval_timestamp>\\d{10})\\.csv", "2024-05-01T13", "base/x/2024050113"],
    ["hourly", "(?<interval_timestamp>\\d{4}/\\d\\d/\\d\\d/\\d\\d)/a", "2024-05-01T13", "base/2024/05/01/13"],
    ["daily", "dt=(?P<interval_timestamp>[0-9]{4}-[0-9]{2}-[0-9]{2})/a", "2024-05-01", "base/dt=2024-05-01"],
    ["daily", "(?P<interval_timestamp>\\d{8})", "2024-05-01", "base/20240501"],
    ["daily", "(?P<interval_timestamp>[\\d-]+)", "2024-05-01", "base/2024"],
    ["daily", "(?P<interval_timestamp>\\d{8})", "2024-12-31", "base/20241231"],
    ["weekly", "(?P<interval_timestamp>\\d{4}-W\\d\\d)", "2024-12-30", "base/2025-W01"],
    ["weekly", "(?i)(?P<interval_timestamp>\\d{4}-w\\d\\d|\\d{8})", "2024-04-29", "base/2024"],
    ["weekly", "(?P<interval_timestamp>.*)", "2024-12-30", "base/202"],
    ["monthly", "(?P<interval_timestamp>\\d{4}-\\d\\d)", "2024-05", "base/2024-05"],
    ["monthly", "(?P<interval_timestamp>\\d{4}-\\d\\d-\\d\\d)", "2024-05", "base/2024-05-01"],
    ["daily", "[ab]/(?P<interval_timestamp>\\d{8})", "2024-05-01", "base/"],
    ["daily", "(?P<interval_timestamp>\\b\\d{8})", "2024-05-01", "base/"],
    ["daily", "(?P<interval_timestamp>never)", "2024-05-01", "base/"],
  ];
  for (const [interval, fileMatch, key, prefix] of table) {
    test(`${interval} ${fileMatch} ${key}`, () => {
      assert.equal(daily(fileMatch, { interval }).prefixOf(parseWindow(interval, key)), prefix);
    });
  }
});

describe("markers", () => {
  const pattern = daily(`x/${DAY}/.*`, { complete: { marker: "_SUCCESS" } });

  test("lie in the folder of the files", () => {
    const marker = pattern.matchMarker("base/x/2024-05-01/_SUCCESS");
    assert.equal(marker.kind === "match" && marker.window.key, "2024-05-01");
    assert.equal(pattern.matchMarker("base/x/2024-05-01/deep/_SUCCESS").kind, "none");
    assert.equal(pattern.matchMarker("base/x/2024-05-01/_SUCCESS2").kind, "none");
    assert.equal(pattern.matchMarker("base/_SUCCESS").kind, "none");
    assert.equal(pattern.matchMarker("base/x/2024-02-30/_SUCCESS").kind, "refused");
  });

  test("are not data, although the pattern would take them", () => {
    assert.equal(pattern.match("base/x/2024-05-01/_SUCCESS").kind, "none");
    assert.equal(pattern.match("base/x/2024-05-01/part-0").kind, "match");
  });

  test("are found by the interval's own listing", () => {
    assert.ok("base/x/2024-05-01/_SUCCESS".startsWith(pattern.prefixOf(parseWindow("daily", "2024-05-01"))));
  });

  test("are literal text", () => {
    const dotted = daily(`${DAY}/\\d+`, { complete: { marker: "all.done+" } });
    assert.equal(dotted.matchMarker("base/2024-05-01/all.done+").kind, "match");
    assert.equal(dotted.matchMarker("base/2024-05-01/allxdone+").kind, "none");
    const folded = daily(`(?i)D/${DAY}/\\d+`, { complete: { marker: "_SUCCESS" } });
    assert.equal(folded.matchMarker("base/d/2024-05-01/_SUCCESS").kind, "match");
    assert.equal(folded.matchMarker("base/d/2024-05-01/_success").kind, "none");
  });

  const refused: [fileMatch: string, marker: string, message: RegExp][] = [
    [`x/${DAY}-\\d+`, "_SUCCESS", /could not tell its interval.*folder/],
    [`${DAY}-\\d+`, "_SUCCESS", /could not tell its interval/],
    [`(?:${DAY}/\\d+)`, "_SUCCESS", /could not tell its interval/],
    [`${DAY}/\\d+`, "a/b", /not a file name/],
    [`${DAY}/\\d+`, "", /not a file name/],
    [`${DAY}/\\d+`, "*", /not a file name/],
    [`${DAY}/\\d+`, "..", /not a file name/],
  ];
  for (const [fileMatch, marker, message] of refused) {
    test(`refuse ${marker} for ${fileMatch}`, () => refuses(() => daily(fileMatch, { complete: { marker } }), message));
  }
});

describe("refused definitions", () => {
  const table: [string, Partial<FilePatternOptions>, RegExp][] = [
    ["x/y", {}, /has no group interval_timestamp.*\(\?P</],
    ["", {}, /has no group/],
    ["(?P<interval>\\d+)", {}, /has no group/],
    [`(?:${DAY}|b)`, {}, /does not take part in every match/],
    [`${DAY}|b`, {}, /does not take part in every match/],
    [`(?:${DAY})?`, {}, /does not take part in every match/],
    [`(?:${DAY}/)+`, {}, /does not take part in every match/],
    ["(", {}, /missing closing \)/],
    ["a[", {}, /missing closing \].*at character 2/],
    [`${DAY}/(?=x)`, {}, /at character 44.*no lookahead/],
    ["(?<!x)", {}, /not a pattern/],
    ["(a)\\1", {}, /at character 4.*backreference/],
    ["*a", {}, /missing argument/],
    ["a**", {}, /nested repetition/],
    [`${DAY}${DAY}`, {}, /duplicate/],
    [`/${DAY}`, {}, /would start with "base\/\/"/],
    [`/${DAY}`, { pathBase: "" }, /would start with "\/"/],
    [`a//${DAY}`, {}, /would start with/],
    [DAY, { pathBase: "/base" }, /begins with a slash/],
    [DAY, { pathBase: "/" }, /only a slash/],
    [DAY, { pathBase: "a//b" }, /double slash/],
    [DAY, { pathBase: "gs://bucket" }, /double slash/],
    [DAY, { pathBase: "a*" }, /wildcard/],
    [DAY, { pathBase: "../a" }, /dots/],
    [DAY, { complete: { count: 2 } }, /matches one object an interval/],
    [`${DAY}.*`, { complete: { count: 0 } }, /complete\.count is 0/],
    [`${DAY}.*`, { complete: { count: 1.5 } }, /complete\.count is 1\.5/],
    [`${DAY}.*`, { complete: { settle: "1e3m" } }, /not a duration/],
  ];
  for (const [fileMatch, options, message] of table) {
    test(`${fileMatch} ${JSON.stringify(options)}`, () => refuses(() => daily(fileMatch, options), message));
  }
});

test("pathBase is literal text, with or without the slash at its end", () => {
  const name = "a.b+c/(d)/2024-05-01";
  for (const pathBase of ["a.b+c/(d)", "a.b+c/(d)/", "a.b+c/(d)//"])
    assert.equal(daily(DAY, { pathBase }).match(name).kind, "match");
  assert.equal(daily(DAY, { pathBase: "a.b+c/(d)" }).match("axb+c/(d)/2024-05-01").kind, "none");
  assert.equal(daily(DAY, { pathBase: "" }).match("2024-05-01").kind, "match");
  assert.equal(daily(DAY, { pathBase: "" }).match("/2024-05-01").kind, "none");
});

test("a pattern that makes other engines explode is quick", () => {
  const pattern = daily(`(?:a+)+b/${DAY}`);
  const started = process.cpuUsage();
  assert.equal(pattern.match(`base/${"a".repeat(1000)}/2024-05-01`).kind, "none");
  assert.ok(process.cpuUsage(started).user < 1_000_000);
});

/** A piece of a pattern and texts that it matches, all of them where they are few. */
const pieces: [string, string[]][] = [
  ["part-", ["part-"]],
  ["x/y", ["x/y"]],
  ["a.b", ["a.b"]],
  ["\\x61{3}", ["aaa"]],
  ["[x]", ["x"]],
  ["(?:q(?:r))", ["qr"]],
  ["(?:)", [""]],
  ["\\Q*\\E{0}", [""]],
  ["\\d+", ["0", "42"]],
  ["[a-c]", ["a", "c"]],
  ["(?i:z)", ["z", "Z"]],
  ["(?:m|nn)", ["m", "nn"]],
  ["w?", ["", "w"]],
  ["(?:uv)+", ["uv", "uvuv"]],
  ["k{1,2}", ["k", "kk"]],
  [".+", ["!", "a.b"]],
];
const groups: [string, RegExp][] = [
  ["\\d+", /^\d+$/],
  ["[0-9TWZ-]+", /^[0-9TWZ-]+$/],
  [".*", /^[^\n]*$/],
  ["\\d{4}-.*", /^\d{4}-/],
];
const some = fc.array(fc.constantFrom(...pieces), { maxLength: 4 });

test("names made from a pattern match it, start with its prefixes, and vary only if it says so", () => {
  let matched = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(Interval)),
      some,
      fc.constantFrom(...groups),
      some,
      fc.integer({ min: Date.UTC(1990, 0), max: Date.UTC(2040, 0) }),
      fc.infiniteStream(fc.nat()),
      (interval, before, [groupPattern, groupTest], after, ms, choices) => {
        const source = (list: [string, string[]][]) => list.map(([part]) => part).join("");
        const fileMatch = `${source(before)}#(?P<interval_timestamp>${groupPattern})#${source(after)}`;
        const pattern = daily(fileMatch, { interval });
        assert.equal(
          pattern.variable,
          [...before, ...after].some(([, texts]) => texts.length > 1),
          fileMatch,
        );
        const window = windowAt(interval, ms);
        const prefix = pattern.prefixOf(window);
        assert.ok(prefix.startsWith(pattern.literalPrefix));
        const pick = (list: readonly string[]) => list[(choices.next().value ?? 0) % list.length] ?? "";
        const texts = timestampTexts(interval, window.start).filter((text) => groupTest.test(text));
        if (texts.length === 0) return;
        const name = `base/${before.map(([, all]) => pick(all)).join("")}#${pick(texts)}#${after.map(([, all]) => pick(all)).join("")}`;
        const match = pattern.match(name);
        assert.ok(match.kind === "match", `${fileMatch} on ${name}`);
        matched += 1;
        assert.deepEqual(match.window, window);
        assert.ok(name.startsWith(prefix), `${name} does not start with ${prefix}`);
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(matched > 800, `only ${matched} matched`);
});
