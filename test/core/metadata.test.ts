import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MetadataValue } from "../../lib/core/events.ts";
import { meta, METADATA_LIMITS, richValue } from "../../lib/core/metadata.ts";

const refused = { code: "bad-metadata" };

test("each kind is plain JSON, and is read back as what it was", () => {
  const values = [
    meta.markdown("# Title\n\n* one"),
    meta.link("https://example.org/a?b=c#d", "the report"),
    meta.table([
      { day: "2024-05-01", n: 1 },
      { n: 2, extra: null },
    ]),
  ];
  assert.deepEqual(JSON.parse(JSON.stringify(values)), values);
  assert.deepEqual(values.map(richValue), values);
  assert.deepEqual(values[2], {
    $kind: "table",
    columns: ["day", "n", "extra"],
    rows: [
      { day: "2024-05-01", n: 1 },
      { n: 2, extra: null },
    ],
  });
  assert.equal(meta.link("http://example.org").label, "http://example.org");
});

test("a link is a web address and nothing else", () => {
  for (const url of [
    "javascript:alert(1)",
    "JavaScript://example.org/%0aalert(1)",
    "data:text/html,x",
    "ftp://example.org",
    "//example.org",
    "example.org",
    "https:example.org",
    "https://",
    "https://exa mple.org",
    "https://example.org/\u001b[31m",
    "https://example.org/\n",
    " https://example.org",
    "",
  ]) {
    assert.throws(() => meta.link(url), refused, url);
    assert.equal(richValue({ $kind: "link", url, label: "x" }), undefined, url);
  }
  const long = `https://example.org/${"x".repeat(METADATA_LIMITS.urlChars)}`;
  assert.throws(() => meta.link(long), refused);
  assert.throws(
    () => meta.link("https://example.org", "x".repeat(201)),
    /label in metadata has 201 characters, and may have 200/,
  );
});

test("sizes are bounded, and the error says by what", () => {
  assert.doesNotThrow(() => meta.markdown("x".repeat(20_000)));
  assert.throws(() => meta.markdown("x".repeat(20_001)), /20001 characters, and may have 20000: shorten it/);
  const rows = Array.from({ length: 101 }, (_, n) => ({ n }));
  assert.equal(meta.table(rows.slice(0, 100)).rows.length, 100);
  assert.throws(() => meta.table(rows), /at most 100 rows: show the first of them/);
  const wide = Object.fromEntries(rows.slice(0, 51).map(({ n }) => [`c${n}`, n]));
  assert.throws(() => meta.table([wide]), /51 columns, and may have 50/);
  assert.throws(() => meta.table([{ text: "x".repeat(50_001) }]), /characters as JSON, and may have 50000/);
  // An endless source ends at the bound.
  const endless = function* () {
    for (;;) yield { n: 1 };
  };
  assert.throws(() => meta.table(endless()), refused);
});

test("a table's values become JSON, or are refused", () => {
  const row = {
    wide: 2n ** 63n,
    at: new Date(0),
    nan: NaN,
    list: [1n, undefined],
    inner: { a: undefined, b: -Infinity },
  };
  assert.deepEqual(meta.table([row]).rows[0], {
    wide: "9223372036854775808",
    at: "1970-01-01T00:00:00.000Z",
    nan: "NaN",
    list: ["1", null],
    inner: { b: "-Infinity" },
  });
  assert.throws(() => meta.table([{ bytes: new Uint8Array(2) }]), /bytes: write it as a text/);
  assert.throws(() => meta.table([{ code: () => 1 }]), /a function: write it as a text/);
});

test("what only looks like a kind is no kind, whatever it is", () => {
  const near: MetadataValue[] = [
    { $kind: "markdown" },
    { $kind: "markdown", text: 1 },
    { $kind: "link", url: "javascript:alert(1)", label: "x" },
    { $kind: "table", columns: ["a"], rows: [1] },
    { $kind: "table", columns: [1], rows: [] },
    { $kind: "table", columns: ["a"], rows: [["a"]] },
    { $kind: "video", url: "https://example.org" },
    ["markdown"],
    null,
  ];
  for (const value of near) assert.equal(richValue(value), undefined, JSON.stringify(value));
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const rich = richValue(value as MetadataValue); // JSON
      assert.ok(rich === undefined || ["markdown", "link", "table"].includes(rich.$kind));
    }),
  );
});
