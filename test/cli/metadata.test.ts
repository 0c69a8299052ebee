/** Metadata and the results of checks, as a person sees them at the terminal. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { meta } from "../../lib/core/metadata.ts";
import { longMetadata, metadataLines, metadataText } from "../../lib/cli/metadata-text.ts";
import { temporaryProject } from "../support/sluice-command.ts";
import type { Project } from "../support/sluice-command.ts";

const none = (_style: string, text: string): string => text;

test("short values stand on their line, Markdown and tables below theirs", () => {
  const metadata = {
    rows: 5,
    text: "plain",
    link: meta.link("https://example.org/a", "the report"),
    bare: meta.link("https://example.org/b"),
    short: meta.markdown("**one** line\n"),
    long: meta.markdown("# Title\n\n\tindented"),
    table: meta.table([
      { id: "a", note: "x".repeat(80) },
      { id: "b", at: 2 },
    ]),
    empty: meta.table([]),
    wrong: { $kind: "link", url: "javascript:alert(1)", label: "x" },
    discardSamples: [
      { row: 2, reason: "r".repeat(100) },
      { row: 7, reason: "score: expected number", values: { id: "b" } },
    ],
    deleted: ["gs://a/b", "gs://a/c"],
    kept: [],
    nested: [[1], { a: 1 }],
  };
  assert.deepEqual(metadataLines(metadata, none), [
    "rows  5",
    "text  plain",
    "link  the report <https://example.org/a>",
    "bare  https://example.org/b",
    "short  **one** line",
    "long",
    "  # Title",
    "",
    "      indented",
    "table",
    `  id  note${" ".repeat(58)}at`,
    `  a   ${"x".repeat(59)}…`,
    `  b   ${" ".repeat(62)}2`,
    "empty",
    "  no rows",
    'wrong  {"$kind":"link","url":"javascript:alert(1)","label":"x"}',
    "discardSamples",
    `  row  reason${" ".repeat(96)}values`,
    `  2    ${"r".repeat(100)}`,
    `  7    score: expected number${" ".repeat(80)}{"id":"b"}`,
    "deleted  gs://a/b, gs://a/c",
    "kept  none",
    'nested  [[1],{"a":1}]',
  ]);
  const { rows, long, table, link, discardSamples } = metadata;
  assert.equal(metadataText({ discardSamples }), " discardSamples=table of 2 rows");
  assert.deepEqual(longMetadata({ discardSamples, rows }), { discardSamples });
  assert.equal(
    metadataText({ rows, link, long, table }),
    " rows=5 link=the report <https://example.org/a> long=# Title… table=table of 2 rows",
  );
  assert.deepEqual(longMetadata({ rows, long, table, link }), { long, table });
});

test("nothing of it can move a cursor", () => {
  const nasty = "a\u001b[31m\u0007\u202eb\r";
  const metadata = {
    [nasty]: nasty,
    markdown: meta.markdown(`${nasty}\n${nasty}`),
    label: meta.link("https://example.org", nasty),
    table: meta.table([{ [nasty]: nasty }]),
    raw: { $kind: "table", columns: [nasty], rows: [{ [nasty]: [nasty] }] },
  };
  const control = /[\p{Cc}\u202e]/u;
  for (const line of metadataLines(metadata, none)) assert.ok(!control.test(line), JSON.stringify(line));
});

const SCORES = `
import { asset, assetCheck, bigqueryTable, meta } from "sluice";
import { z } from "zod";
export const scores = asset({
  key: "demo/scores",
  schema: z.object({ id: z.string(), score: z.number().optional(), place: z.object({ city: z.string() }).optional() }),
  ioManager: bigqueryTable(),
  *materialize({ row, metadata }) {
    metadata({ source: meta.link("https://example.org/drop", "the drop"), notes: meta.markdown("# Notes\\n\\nnone") });
    yield row({ id: "a", score: 1 });
    yield row({ id: "b" });
  },
});
export const filled = assetCheck({
  asset: scores,
  name: "filled",
  severity: "warn",
  async evaluate({ rows }) {
    const empty = [];
    for await (const { id, score } of rows()) if (score === undefined) empty.push({ id, why: "no score" });
    return { passed: empty.length === 0, message: \`\${empty.length} without a score\`, metadata: { empty: meta.table(empty) } };
  },
});
`;

describe("sluice shows metadata and checks", () => {
  let project: Project;
  before(async () => {
    project = temporaryProject({ "scores.ts": SCORES });
    const fresh = await project.sluice("show", "demo/scores");
    assert.match(fresh.stdout, /filled +code looks at the rows +warn +not evaluated yet/);
    const { code, stderr } = await project.sluice("materialize", "demo/scores");
    assert.equal(code, 0, stderr);
  });
  after(() => project.remove());

  test("show: rows, columns, what checks said last, and every kind of metadata", async () => {
    const { stdout } = await project.sluice("show", "demo/scores");
    assert.match(stdout, /filled +code looks at the rows +warn +failed at [\d: -]+ UTC: 1 without a score/);
    assert.match(
      stdout,
      /Columns of 2 rows\nid +STRING +REQUIRED\nscore +FLOAT64\nplace +STRUCT\nplace\.city +STRING +REQUIRED\n/,
    );
    assert.equal(stdout.match(/^run-jobs/gm)?.length, 1, stdout);
    assert.match(
      stdout,
      /\nMetadata\nsource {2}the drop <https:\/\/example.org\/drop>\nnotes\n {2}# Notes\n\n {2}none\n/,
    );
    assert.match(stdout, /\nMetadata of the check filled\nempty\n {2}id +why\n {2}b +no score\n/);
  });

  test("show --json has the same as data", async () => {
    const shown = (await project.json("show", "demo/scores")) as Record<string, Record<string, unknown>>; // looked at below
    assert.equal(shown["latest"]?.["rows"], 2);
    assert.deepEqual(Object.keys(shown["latest"]?.["metadata"] ?? {}), ["source", "notes"]);
    const [result] = shown["checkResults"] as unknown as Record<string, unknown>[]; // an array
    assert.deepEqual([result?.["check"], result?.["passed"], result?.["severity"]], ["filled", false, "warn"]);
  });

  test("events: what takes lines of its own stands below its event", async () => {
    const { stdout } = await project.sluice("events", "--type", "check.evaluated,materialized");
    assert.match(
      stdout,
      /check filled failed \(warning\): 1 without a score\n {4}empty\n {6}id +why\n {6}b +no score\n.*materialized 2 rows.*\n {4}source {2}the drop <https:\/\/example.org\/drop>\n {4}notes\n {6}# Notes\n/,
    );
  });
});
