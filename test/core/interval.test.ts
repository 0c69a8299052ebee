import { describe, test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import {
  addWindows,
  floor,
  Interval,
  intervalCron,
  latestWindow,
  parseTimestamp,
  parseWindow,
  tableSuffix,
  timePartitioningType,
  timestampTexts,
  windowAt,
  windowKey,
} from "../../lib/core/interval.ts";

const intervals = Object.values(Interval);
const interval = fc.constantFrom(...intervals);
/** From year 1 to a time after which every window has a next one. */
const FIRST = Date.parse("0001-01-01T00:00:00.000Z");
const LAST = Date.parse("9999-11-20T00:00:00.000Z");
const time = fc.oneof(
  fc.integer({ min: FIRST, max: LAST }),
  fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2027, 0) }),
);
const utc = (text: string) => Date.parse(`${text}Z`);

test("keys", () => {
  const at = utc("2024-05-01T13:59:59.999");
  assert.equal(windowKey("hourly", at), "2024-05-01T13");
  assert.equal(windowKey("daily", at), "2024-05-01");
  assert.equal(windowKey("weekly", at), "2024-04-29");
  assert.equal(windowKey("monthly", at), "2024-05");
});

test("a time lies in its own window, and windows tile time", () => {
  fc.assert(
    fc.property(interval, time, (kind, ms) => {
      const window = windowAt(kind, ms);
      assert.ok(window.start <= ms && ms < window.end);
      assert.equal(floor(kind, window.start), window.start);
      assert.equal(floor(kind, window.end - 1), window.start);
      assert.equal(windowAt(kind, window.end).start, window.end);
      assert.equal(addWindows(kind, window.end, -1), window.start);
    }),
    { numRuns: 400 },
  );
});

test("keys sort as time does", () => {
  fc.assert(
    fc.property(interval, time, time, (kind, a, b) => {
      const order = Math.sign(floor(kind, a) - floor(kind, b));
      const [x, y] = [windowKey(kind, a), windowKey(kind, b)];
      assert.equal(x < y ? -1 : x > y ? 1 : 0, order);
    }),
  );
});

test("going n windows on and back again ends where it began", () => {
  fc.assert(
    fc.property(
      interval,
      fc.integer({ min: Date.UTC(1900, 0), max: Date.UTC(2100, 0) }),
      fc.integer({ min: -1000, max: 1000 }),
      (kind, ms, n) => assert.equal(addWindows(kind, addWindows(kind, ms, n), -n), floor(kind, ms)),
    ),
  );
});

test("parsing undoes formatting, in every spelling", () => {
  fc.assert(
    fc.property(interval, time, (kind, ms) => {
      const window = windowAt(kind, ms);
      assert.deepEqual(parseWindow(kind, window.key), window);
      for (const text of timestampTexts(kind, window.start)) assert.deepEqual(parseTimestamp(kind, text), window, text);
    }),
    { numRuns: 60 },
  );
});

test("whatever parses is one of the window's spellings", () => {
  const text = fc.stringMatching(/^(19|20)\d\d[-_/]?[0-1]\d([-_/]?[0-3]\d([T_-]?[0-2]\d(:00)?Z?)?)?$/);
  let parsed = 0;
  fc.assert(
    fc.property(interval, text, (kind, candidate) => {
      let window;
      try {
        window = parseTimestamp(kind, candidate);
      } catch (error) {
        assert.ok(error instanceof DefinitionError);
        return;
      }
      parsed += 1;
      assert.ok(timestampTexts(kind, window.start).includes(candidate), candidate);
    }),
    { numRuns: 2000, seed: 1 },
  );
  assert.ok(parsed > 50, `only ${parsed} parsed`);
});

describe("timestamps in names", () => {
  const table: [Interval, string[], string][] = [
    [
      "hourly",
      [
        "2024-05-01T13",
        "2024-05-01-13",
        "2024-05-01_13",
        "2024-05-01/13",
        "2024/05/01/13",
        "2024050113",
        "20240501T13",
        "20240501-13",
        "20240501_13",
        "2024-05-01T13:00",
        "2024-05-01T13:00:00Z",
        "2024-05-01T13:00:00.000Z",
        "20240501T130000Z",
      ],
      "2024-05-01T13",
    ],
    ["daily", ["2024-05-01", "20240501", "2024/05/01", "2024_05_01"], "2024-05-01"],
    ["weekly", ["2024-04-29", "20240429", "2024/04/29", "2024-W18", "2024W18"], "2024-04-29"],
    ["monthly", ["2024-05", "202405", "2024/05", "2024_05", "2024-05-01", "20240501"], "2024-05"],
  ];
  for (const [kind, texts, key] of table) {
    for (const text of texts) test(`${kind} ${text}`, () => assert.equal(parseTimestamp(kind, text).key, key));
  }
});

describe("refused", () => {
  const table: [Interval, string, RegExp][] = [
    ["daily", "2024-02-30", /not a time of the calendar/],
    ["daily", "2023-02-29", /not a time of the calendar/],
    ["daily", "1900-02-29", /not a time of the calendar/],
    ["daily", "2024-13-01", /not a time of the calendar/],
    ["daily", "2024-00-10", /not a time of the calendar/],
    ["daily", "2024-05-00", /not a time of the calendar/],
    ["daily", "0000-05-01", /not a time of the calendar/],
    ["daily", "2024-5-1", /no daily timestamp/],
    ["daily", "2024-05/01", /no daily timestamp/],
    ["daily", "2024-05-01 ", /no daily timestamp/],
    ["daily", "2024-05-01\n", /no daily timestamp/],
    ["daily", "٢٠٢٤-٠٥-٠١", /no daily timestamp/],
    ["daily", "+002024-05-01", /no daily timestamp/],
    ["daily", "", /no daily timestamp/],
    ["daily", "1".repeat(5000), /no daily timestamp/],
    ["hourly", "2024-05-01T24", /not a time of the calendar/],
    ["hourly", "2024-05-01T13:30", /not on the hour .*2024-05-01T13/],
    ["hourly", "2024-05-01T13:00:01Z", /not on the hour/],
    ["hourly", "2024-05-01", /no hourly timestamp/],
    ["weekly", "2024-05-01", /not a Monday .*2024-04-29/],
    ["weekly", "2024-W54", /not a time of the calendar/],
    ["weekly", "2021-W53", /not a time of the calendar/],
    ["weekly", "2024-W00", /not a time of the calendar/],
    ["monthly", "2024-05-02", /not the first of its month .*2024-05/],
    ["monthly", "2024-13", /not a time of the calendar/],
  ];
  for (const [kind, text, message] of table) {
    test(`${kind} ${JSON.stringify(text.slice(0, 30))}`, () => {
      assert.throws(
        () => parseTimestamp(kind, text),
        (error) => {
          assert.ok(error instanceof DefinitionError);
          assert.match(messageOf(error), message);
          assert.ok(messageOf(error).length < 250);
          return true;
        },
      );
    });
  }

  test("a partition key has one spelling, and a week two", () => {
    assert.equal(parseWindow("weekly", "2024-W18").key, "2024-04-29");
    assert.throws(
      () => parseWindow("weekly", "2024-05-01"),
      (error) => /2024-04-29/.test(messageOf(error)),
    );
    assert.throws(() => parseWindow("daily", "20240501"), /no daily partition/);
    assert.throws(() => parseWindow("monthly", "2024-05-01"), /no monthly partition/);
    assert.throws(() => parseWindow("hourly", "2024-05-01T13:00"), /no hourly partition/);
  });
});

test("ISO weeks at the turn of the year", () => {
  assert.equal(parseWindow("weekly", "2020-W53").key, "2020-12-28");
  assert.equal(parseWindow("weekly", "2025-W01").key, "2024-12-30");
  assert.equal(windowKey("weekly", utc("2021-01-03T23:59:59")), "2020-12-28");
  assert.ok(timestampTexts("weekly", utc("2024-12-30T00:00:00")).includes("2025-W01"));
});

test("leap days and long centuries", () => {
  assert.equal(parseWindow("daily", "2000-02-29").key, "2000-02-29");
  assert.equal(windowAt("monthly", utc("2024-02-29T12:00:00")).end, utc("2024-03-01T00:00:00"));
  assert.equal(addWindows("monthly", utc("2024-01-31T12:00:00"), 1), utc("2024-02-01T00:00:00"));
});

test("hours and days do not feel any zone's summer time", () => {
  // The nights in which clocks change in Europe and in America.
  for (const day of ["2024-03-10", "2024-03-31", "2024-10-27", "2024-11-03"]) {
    const window = parseWindow("daily", day);
    assert.equal(window.end - window.start, 86_400_000);
    const hours = new Set(
      Array.from({ length: 24 }, (_, hour) => windowKey("hourly", window.start + hour * 3_600_000)),
    );
    assert.equal(hours.size, 24);
  }
});

test("the latest window is over", () => {
  fc.assert(
    fc.property(interval, fc.integer({ min: Date.UTC(1900, 0), max: Date.UTC(2100, 0) }), (kind, now) => {
      const window = latestWindow(kind, now);
      assert.ok(window.end <= now);
      assert.ok(windowAt(kind, window.end).end > now);
    }),
  );
  assert.equal(latestWindow("daily", utc("2024-05-02T00:00:00")).key, "2024-05-01");
  assert.equal(latestWindow("daily", utc("2024-05-01T23:59:59.999")).key, "2024-04-30");
});

test("tables, partitioning and cron", () => {
  const at = utc("2024-05-01T13:00:00");
  assert.deepEqual(
    intervals.map((kind) => tableSuffix(kind, at)),
    ["2024050113", "20240501", "20240429", "202405"],
  );
  assert.deepEqual(intervals.map(timePartitioningType), ["HOUR", "DAY", "DAY", "MONTH"]);
  assert.deepEqual(intervals.map(intervalCron), ["0 * * * *", "0 0 * * *", "0 0 * * 1", "0 0 1 * *"]);
});

test("the years 1 to 9999 are the bounds", () => {
  for (const kind of intervals) {
    assert.equal(windowAt(kind, FIRST).start, FIRST);
    assert.throws(() => windowAt(kind, FIRST - 1), /outside the years/);
    const last = windowAt(kind, Date.UTC(10000, 0, 1) - 1);
    assert.ok(last.end >= Date.UTC(10000, 0, 1) && Number.isFinite(last.end));
    assert.throws(() => windowAt(kind, last.end), /outside the years/);
    for (const ms of [NaN, Infinity, -Infinity]) assert.throws(() => floor(kind, ms), /outside the years/);
    assert.throws(() => addWindows(kind, 0, 1e9), /outside the years/);
  }
});
