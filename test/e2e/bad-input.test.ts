/** Bad input through the front door: one clear line and an event, the table as it was, and everything else goes on. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Interval, SourceMode, assetCheck, intervalGcsImportAsset, sql } from "sluice";
import type { IntervalGcsAsset } from "sluice";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import type { EventType } from "../../lib/core/events.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { lineOf, localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

const ASSET = { kind: "asset", key: "test/days" } as const;
const BUCKET = { kind: "bucket", bucket: "drops" } as const;
const PATTERN = String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.[a-z]+`;
const REMEDY = "nothing was published, and a corrected file is loaded by itself";

let duck: Duck;
let good: Buffer;
let next: Buffer;
before(async () => {
  duck = await openDuck();
  good = await duck.file("SELECT DATE '2024-05-01' AS day, 1 AS n");
  next = await duck.file("SELECT DATE '2024-05-09' AS day, 9 AS n");
});
after(() => duck.close());

const config: IntervalGcsAsset = {
  keyPrefix: "test",
  name: "days",
  bucketName: "drops",
  pathBase: "days",
  fileMatch: PATTERN,
  complete: { count: 1 },
  destinationTable: "days",
  rawDatasetName: "raw",
  cleanDatasetName: "clean",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  retentionDays: 10,
  format: "PARQUET",
};
const days = (more: Partial<IntervalGcsAsset> = {}) => ({ imported: intervalGcsImportAsset({ ...config, ...more }) });

const LINES: readonly EventType[] = ["run.failed", "run.skipped", "object.refused", "message.refused"];
const linesOf = async (platform: LocalPlatform) => (await platform.history(...LINES)).map(lineOf);
const content = (platform: LocalPlatform, columns = "CAST(day AS STRING) AS day, n") =>
  platform.rows(`SELECT ${columns} FROM clean.days ORDER BY ${places(columns)}`);
/** `1 NULLS LAST, …`: one for each column. */
const places = (columns: string): string =>
  columns
    .split(",")
    .map((_, index) => `${index + 1} NULLS LAST`)
    .join();

/** The good file of the day after shows that everything else goes on. */
async function goesOn(platform: LocalPlatform, bytes: Uint8Array | string = next, ending = "parquet"): Promise<void> {
  const loaded = (await platform.eventsOf("materialized")).length;
  await platform.put(`gs://drops/days/2024-05-09.${ending}`, bytes);
  await platform.quiet(3_000);
  const materialized = await platform.eventsOf("materialized");
  assert.equal(materialized.length, loaded + 1, `the good file is not loaded: ${(await linesOf(platform)).join("; ")}`);
  assert.equal(materialized.at(-1)?.partition, "2024-05-09");
  assert.deepEqual(await platform.leftovers(), []);
}

const uri = "gs://drops/days/2024-05-02.parquet";
const files: readonly {
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array | string> | Uint8Array | string;
  readonly line: string;
  readonly options?: Partial<IntervalGcsAsset>;
}[] = [
  {
    name: "corrupt Parquet",
    bytes: () => "x".repeat(500),
    line: `invalid: '${uri}' is no Parquet file, or only the beginning of one; ${REMEDY}`,
  },
  {
    name: "truncated Parquet",
    bytes: () => good.subarray(0, good.length - 20),
    line: `invalid: '${uri}' is no Parquet file, or only the beginning of one; ${REMEDY}`,
  },
  {
    name: "Parquet of 0 bytes",
    bytes: () => "",
    line: `invalid: File '${uri}' too small to be a Parquet file; ${REMEDY}`,
  },
  {
    name: "CSV under Parquet's name",
    bytes: () => "day,n\n2024-05-02,1\n",
    line: `invalid: '${uri}' is no Parquet file, or only the beginning of one; ${REMEDY}`,
  },
  {
    name: "Parquet without rows",
    bytes: () => duck.file("SELECT DATE '2024-05-02' AS day, 1 AS n WHERE false"),
    line: "check-failed: not published, blocking check failed: not_empty: 0 rows, expected at least 1; correct the data, or the check",
  },
  {
    name: "a column of another type",
    bytes: () => duck.file("SELECT DATE '2024-05-02' AS day, 'x' AS n"),
    line: "schema-changed: the columns of clean.days would change: the column n changes from INT64 to STRING; correct the file, or change the table first",
  },
  {
    name: "a column more",
    bytes: () => duck.file("SELECT DATE '2024-05-02' AS day, 1 AS n, 'x' AS more"),
    line: 'schema-changed: the columns of clean.days would change: the column more is new (schemaChange: "extend" would allow it); correct the file, or change the table first',
  },
  {
    name: "a column less",
    bytes: () => duck.file("SELECT DATE '2024-05-02' AS day"),
    line: 'schema-changed: the columns of clean.days would change: the column n is missing (schemaChange: "extend" would allow it); correct the file, or change the table first',
  },
  {
    name: "a type changes, although columns may come",
    options: { schemaChange: "extend" },
    bytes: () => duck.file("SELECT DATE '2024-05-02' AS day, TRUE AS n"),
    line: "schema-changed: the columns of clean.days would change: the column n changes from INT64 to BOOL; correct the file, or change the table first",
  },
];
for (const { name, bytes, line, options } of files) {
  for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
    test(`a bad file: ${name} (${mode})`, async () => {
      await using platform = await localPlatform({ exports: days({ mode, ...options }) });
      await platform.put("gs://drops/days/2024-05-01.parquet", good);
      await platform.quiet();
      const table = await content(platform);
      await platform.put(uri, await bytes());
      await platform.quiet(3_000);
      assert.deepEqual(await linesOf(platform), [line]);
      assert.deepEqual(await content(platform), table, "the table was touched");
      const [run] = await platform.allRuns();
      assert.equal(run?.status, "failed");
      assert.equal(run.attempt, 1, "what cannot get better is not tried again");
      assert.deepEqual(await platform.leftovers(), []);
      await goesOn(platform);
      // The correction of the bad file is loaded by itself.
      await platform.put(uri, await duck.file("SELECT DATE '2024-05-02' AS day, 2 AS n"));
      await platform.quiet();
      const shown = mode === SourceMode.Incremental ? ["2024-05-01", "2024-05-02", "2024-05-09"] : ["2024-05-09"];
      assert.deepEqual(
        (await content(platform)).map(({ day }) => day),
        shown,
      );
    });
  }
}

test("columns that come and go with schemaChange: extend", async (t) => {
  for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
    await t.test(mode, async () => {
      await using platform = await localPlatform({ exports: days({ mode, schemaChange: "extend" }) });
      const load = async (day: string, select: string): Promise<void> => {
        await platform.put(`gs://drops/days/${day}.parquet`, await duck.file(select));
        await platform.quiet();
      };
      await load("2024-05-01", "SELECT 1 AS n");
      await load("2024-05-02", "SELECT 'x' AS more, 2 AS N");
      await load("2024-05-03", "SELECT 'y' AS more");
      assert.deepEqual(await linesOf(platform), []);
      const last = { n: null, more: "y" };
      assert.deepEqual(
        await content(platform, "n AS n, more"),
        mode === SourceMode.Incremental ? [{ n: 1, more: null }, { n: 2, more: "x" }, last] : [last],
      );
      const extended = (await platform.eventsOf("schema.extended")).map(({ table, columns }) => [table, columns]);
      assert.deepEqual(extended, mode === SourceMode.Incremental ? [["clean.days", ["more"]]] : []);
      assert.deepEqual(await platform.leftovers(), []);
    });
  }
});

const unmatched = `its name does not match ${PATTERN} below days`;
const WIDE = "(?s)(?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d).*";
const names: readonly (readonly [string, string, string | undefined, string?])[] = [
  ["another name", "days/readme.txt", unmatched],
  ["an ending too much", "days/2024-05-02.parquet.gz", unmatched],
  ["a path that leads out", "days/../../2024-05-02.parquet", unmatched],
  ["a path that leads out and back", "days/../days/2024-05-02.parquet", unmatched],
  ["a wildcard", "days/*.parquet", unmatched],
  ["a double slash", "days//2024-05-02.parquet", unmatched],
  ["a newline at the end", "days/2024-05-02.parquet\n", unmatched],
  ["a newline within", "days/a\n2024-05-02.parquet", unmatched],
  ["digits of another script", "days/２０２４-05-02.parquet", unmatched],
  ["1,024 bytes", `days/${"データ/".repeat(101)}${"x".repeat(9)}`, unmatched],
  ["a folder's placeholder", "days/2024-05-02.parquet/", unmatched],
  [
    "an impossible day",
    "days/2024-02-30.parquet",
    `the object name "days/2024-02-30.parquet": "2024-02-30" is not a time of the calendar (write a day such as 2024-05-01)`,
  ],
  [
    "an impossible month",
    "days/2024-13-01.parquet",
    `the object name "days/2024-13-01.parquet": "2024-13-01" is not a time of the calendar (write a day such as 2024-05-01)`,
  ],
  [
    "a wildcard that the pattern takes",
    "days/2024-05-02*.parquet",
    `the object name "days/2024-05-02*.parquet" has a *, which the warehouse takes for a wildcard`,
    WIDE,
  ],
  [
    "a double slash that the pattern takes",
    "days/2024-05-02//x",
    `the object name "days/2024-05-02//x" has a double slash, which the warehouse takes for a single one`,
    WIDE,
  ],
  [
    "a newline that the pattern takes",
    "days/2024-05-02\n.parquet",
    `the object name "days/2024-05-02\\n.parquet" has a control character`,
    WIDE,
  ],
  [
    "dots that the pattern takes",
    "days/2024-05-02/../../x",
    `the object name "days/2024-05-02/../../x" has a path segment of dots`,
    WIDE,
  ],
  ["a name that is nobody's", "../2024-05-02.parquet", undefined],
  ["a folder that is nobody's", "other/2024-05-02.parquet", undefined],
];
for (const [name, object, line, fileMatch = PATTERN] of names) {
  test(`an object's name: ${name}`, async () => {
    assert.ok(Buffer.byteLength(object) <= 1024);
    await using platform = await localPlatform({ exports: days({ fileMatch }) });
    const { generation } = await platform.put(`gs://drops/${object}`, good);
    // And once more, as a bucket that knows nothing of folders would say it.
    await platform.publish("bucket.drops", { bucket: "drops", name: object, generation });
    await platform.quiet(3_000);
    assert.deepEqual(await linesOf(platform), line === undefined ? [] : [line]);
    const [event] = await platform.eventsOf("object.refused");
    if (line !== undefined) {
      assert.equal(event?.uri, `gs://drops/${object}`);
      assert.equal(event.generation, generation);
      assert.equal(event.asset, "test/days");
    }
    assert.deepEqual(await platform.allRuns(), []);
    await goesOn(platform);
  });
}

const unusual: readonly (readonly [string, string])[] = [
  ["non-Latin text", "days/2024-05-02 データ ö 🦆.parquet"],
  ["characters that shells, URLs and SQL know", "days/2024-05-02 %20?[x]{y}'\"; -- $HOME #1.parquet"],
  ["a backslash", "days/2024-05-02\\x.parquet"],
  ["1,024 bytes", `days/2024-05-02/${"データ/".repeat(100)}${"x".repeat(8)}`],
];
for (const [name, object] of unusual) {
  test(`an unusual name that is loaded: ${name}`, async () => {
    await using platform = await localPlatform({ exports: days({ fileMatch: WIDE }) });
    await platform.put(`gs://drops/${object}`, good);
    await platform.quiet(3_000);
    assert.deepEqual(await linesOf(platform), []);
    assert.deepEqual(await content(platform), [{ day: "2024-05-01", n: 1 }]);
    const [materialized] = await platform.eventsOf("materialized");
    assert.deepEqual(
      materialized?.inputs.map((input) => input.name),
      [object],
    );
    await goesOn(platform);
  });
}

test("names longer than a bucket takes are refused by the bucket, and by a notification of one without harm", async () => {
  await using platform = await localPlatform({ exports: days() });
  const name = `days/${"x".repeat(1020)}`;
  await assert.rejects(platform.put(`gs://drops/${name}`, good), /a name has at most 1024 bytes of UTF-8$/);
  await platform.publish("bucket.drops", { bucket: "drops", name, generation: "1" });
  await platform.quiet(3_000);
  assert.deepEqual(await linesOf(platform), [unmatched]);
  await goesOn(platform);
});

test("files that are no objects: each is complained about once, and the others go on", async () => {
  await using platform = await localPlatform({ exports: days(), watch: true });
  const folder = join(platform.objects.root, "drops/days");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "2024-05-03\n.parquet"), good);
  writeFileSync(join(folder, "2024-05-04\\.parquet"), good);
  symlinkSync("/etc/passwd", join(folder, "2024-05-05.parquet"));
  writeFileSync(join(folder, ".2024-05-06.parquet.swp"), good);
  platform.dropFile("gs://drops/days/2024-05-09.parquet", next);
  for (let i = 0; i < 2_400 && (await platform.eventsOf("materialized")).length === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await platform.watcher?.rescan();
  await platform.quiet();
  const remedy =
    "is ignored: links, control characters, backslashes and names over 1,024 bytes make no object; copy the file under a plain name";
  assert.deepEqual([...platform.complaints].sort(), [
    `"drops/days/2024-05-03\\n.parquet" ${remedy}`,
    `"drops/days/2024-05-04\\\\.parquet" ${remedy}`,
    `"drops/days/2024-05-05.parquet" ${remedy}`,
  ]);
  assert.deepEqual(await content(platform), [{ day: "2024-05-09", n: 9 }]);
  assert.deepEqual(await linesOf(platform), []);
  assert.deepEqual(await platform.leftovers(), []);
});

const rows = (count: number): string => Array.from({ length: count }, (_, i) => `2024-05-02,${i}\n`).join("");
const csvUri = "gs://drops/days/2024-05-02.csv";
const brokenCsv: readonly (readonly [string, string, string])[] = [
  ["a value too much", `day,n\n${rows(20)}2024-05-02,1,2\n${rows(20)}`, `${csvUri} line 22: `],
  ["a value too much in the last row", `day,n\n${rows(20)}2024-05-02,1,2\n`, `${csvUri} line 22: `],
  ["a value too few", `day,n\n${rows(20)}2024-05-02\n${rows(20)}`, `${csvUri} line 22: `],
  ["a text for a number, far down", `day,n\n${rows(30_000)}2024-05-02,x\n`, `${csvUri} line 30002: `],
];
for (const [name, text, place] of brokenCsv) {
  test(`a CSV with a broken row: ${name}`, async () => {
    await using platform = await localPlatform({ exports: days({ format: "CSV" }) });
    await platform.put("gs://drops/days/2024-05-01.csv", "day,n\n2024-05-01,1\n");
    await platform.quiet();
    await platform.put(csvUri, text);
    await platform.quiet(3_000);
    const lines = await linesOf(platform);
    assert.equal(lines.length, 1);
    assert.ok(lines[0]?.startsWith(`invalid: ${place}`), lines[0]);
    assert.ok(lines[0]?.endsWith(REMEDY), lines[0]);
    assert.deepEqual(await content(platform), [{ day: "2024-05-01", n: 1 }]);
    await goesOn(platform, "day,n\n2024-05-09,9\n", "csv");
  });
}

test("a CSV without a header line loses no row to a broken one", async () => {
  await using platform = await localPlatform({ exports: days({ format: "CSV", csv: { skipLeadingRows: 0 } }) });
  await platform.put(csvUri, `${rows(20)}2024-05-02,1,2\n`);
  await platform.quiet(3_000);
  const lines = await linesOf(platform);
  assert.equal(lines.length, 1, "19 of 20 rows would be lost");
  assert.ok(lines[0]?.startsWith(`invalid: ${csvUri} line 21: `), lines[0]);
});

test("newline JSON with a broken line", async () => {
  await using platform = await localPlatform({ exports: days({ format: "NEWLINE_DELIMITED_JSON" }) });
  await platform.put("gs://drops/days/2024-05-02.json", '{"day":"2024-05-02","n":1}\n{"day":\n');
  await platform.quiet(3_000);
  assert.deepEqual(await linesOf(platform), [
    `invalid: Malformed JSON in file "gs://drops/days/2024-05-02.json", at byte 9 in line 2: unexpected end of data.; ${REMEDY}`,
  ]);
  await goesOn(platform, '{"day":"2024-05-09","n":9}\n', "json");
});

test("options for CSV and JSON are honoured", async (t) => {
  const load = async (options: Partial<IntervalGcsAsset>, text: string | Uint8Array, columns: string) => {
    await using platform = await localPlatform({ exports: days(options) });
    await platform.put("gs://drops/days/2024-05-02.txt", text);
    await platform.quiet(3_000);
    const lines = await linesOf(platform);
    const found = lines.length > 0 ? [] : await platform.rows(`SELECT ${columns} FROM clean.days ORDER BY 1`);
    return { line: lines.join("; "), found };
  };
  await t.test("delimiter, quote, nulls, header, newlines, encoding", async () => {
    const csv = {
      fieldDelimiter: "|",
      quote: "'",
      nullMarker: "NULL",
      skipLeadingRows: 2,
      allowQuotedNewlines: true,
      encoding: "ISO-8859-1",
    } as const;
    const text = Buffer.from("# by hand\na|b|c\n1|'x\ny'|NULL\n2|'\xe9|z'|3\n", "latin1");
    assert.deepEqual((await load({ format: "CSV", csv }, text, "a, b, c")).found, [
      { a: 1, b: "x\ny", c: null },
      { a: 2, b: "é|z", c: 3 },
    ]);
  });
  await t.test("short rows", async () => {
    const text = "a,b\n1,2\n3\n";
    assert.deepEqual((await load({ format: "CSV", csv: { allowJaggedRows: true } }, text, "a, b")).found, [
      { a: 1, b: 2 },
      { a: 3, b: null },
    ]);
  });
  await t.test("bad rows, up to a number", async () => {
    const text = `day,n\n${rows(10)}2024-05-02,1,2\n`;
    assert.deepEqual((await load({ format: "CSV", maxBadRecords: 1 }, text, "COUNT(*) AS n")).found, [{ n: 10 }]);
    const { line } = await load({ format: "CSV", maxBadRecords: 1 }, `${text}2024-05-02,1,2,3\n`, "COUNT(*) AS n");
    assert.match(line, /line 12: .*\(\d bad rows, 1 allowed\)/);
  });
  await t.test("newlines in quotes only when meant", async () => {
    const { line } = await load({ format: "CSV" }, 'a,b\n1,"x\ny"\n', "a");
    assert.match(line, /a quoted newline in the column "b"; set csv\.allowQuotedNewlines if it is meant/);
  });
  await t.test("JSON with fields of its own in each line", async () => {
    const text = '{"a":1,"s":{"x":[1,2]}}\n{"a":2,"b":"ö"}\n';
    assert.deepEqual((await load({ format: "NEWLINE_DELIMITED_JSON" }, text, "a, b, s.x AS x")).found, [
      { a: 1, b: null, x: [1, 2] },
      { a: 2, b: "ö", x: [] },
    ]);
  });
  await t.test("formats that only the cloud reads", async () => {
    for (const format of ["AVRO", "ORC"] as const) {
      const { line } = await load({ format }, "Obj", "a");
      assert.match(
        line,
        new RegExp(
          `the embedded engine cannot read ${format}; write Parquet, CSV or newline-delimited JSON, or run this in the cloud`,
        ),
      );
    }
  });
});

test("rows outside of the interval are not published", async (t) => {
  const load = async (partitionColumn: string, select: string): Promise<readonly string[]> => {
    await using platform = await localPlatform({ exports: days({ partitionColumn }) });
    await platform.put(uri, await duck.file(select));
    await platform.quiet(3_000);
    assert.deepEqual(await platform.eventsOf("materialized"), []);
    const lines = await linesOf(platform);
    if (partitionColumn === "day") await goesOn(platform);
    return lines;
  };
  await t.test("a day too late, and none at all", async () => {
    const select =
      "SELECT DATE '2024-05-02' AS day, 1 AS n UNION ALL SELECT DATE '2024-05-03', 2 UNION ALL SELECT NULL, 3";
    const [line, ...more] = await load("day", select);
    assert.deepEqual(more, []);
    assert.match(
      line ?? "",
      /^check-failed: not published, blocking check failed: rows_in_interval: 2 rows, such as \{"day":("2024-05-03"|null)\}, \{"day":("2024-05-03"|null)\}; correct the data, or the check$/,
    );
  });
  await t.test("a column that is not there", async () => {
    assert.deepEqual(await load("dya", "SELECT 1 AS n"), [
      `invalid: ${uri}: the partitioning column "dya" is not in the table; ${REMEDY}`,
    ]);
  });
  await t.test("a column that is no time", async () => {
    assert.deepEqual(await load("n", "SELECT 1 AS n"), [
      `invalid: ${uri}: the column "n" of type INT64 cannot partition a table by DAY; ${REMEDY}`,
    ]);
  });
});

test("an author's blocking check that fails, and one that cannot be run", async () => {
  const imported = intervalGcsImportAsset(config);
  const positive = assetCheck({
    asset: imported.asset,
    name: "positive",
    blocking: true,
    sql: sql`SELECT n FROM ${imported.asset} WHERE n <= ${0}`,
  });
  await using platform = await localPlatform({ exports: { imported, positive } });
  await platform.put("gs://drops/days/2024-05-01.parquet", good);
  await platform.put(uri, await duck.file("SELECT DATE '2024-05-02' AS day, -5 AS n"));
  await platform.put("gs://drops/days/2024-05-03.parquet", await duck.file("SELECT DATE '2024-05-03' AS day, 7 AS m"));
  await platform.quiet();
  const lines = [...(await linesOf(platform))].sort();
  assert.equal(lines.length, 2, lines.join("; "));
  assert.equal(
    lines[0],
    'check-failed: not published, blocking check failed: positive: 1 row, such as {"n":-5}; correct the data, or the check',
  );
  assert.match(lines[1] ?? "", /^invalid\w*: .*the unknown name n\b/);
  assert.deepEqual(await content(platform), [{ day: "2024-05-01", n: 1 }]);
  const results = (await platform.eventsOf("check.evaluated")).map(
    ({ partition, result }) => `${partition} ${result.check} ${result.passed}`,
  );
  assert.deepEqual([...results].sort(), [
    "2024-05-01 not_empty true",
    "2024-05-01 positive true",
    "2024-05-02 not_empty true",
    "2024-05-02 positive false",
  ]);
  await goesOn(platform);
});

test("messages that make no sense are recorded once, acknowledged, and never come again", async () => {
  await using platform = await localPlatform({ exports: days() });
  const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
  const cases: readonly (readonly [string, Consumer, string])[] = [
    ["{nope", ASSET, `the message's data is not JSON: "{nope"`],
    ["[]", ASSET, "the message is no request: Invalid input: expected object, received array"],
    ['{"partition":5}', ASSET, "the message is no request: partition: Invalid input: expected string, received number"],
    [
      '{"partion":"2024-05-01"}',
      ASSET,
      'the message is no request: unknown field "partion" (did you mean "partition"?)',
    ],
    [
      '{"partition":"2024-02-30"}',
      ASSET,
      'test/days: "2024-02-30" is not a time of the calendar (write a day such as 2024-05-01)',
    ],
    [
      '{"partition":"yesterday"}',
      ASSET,
      'test/days: "yesterday" is no daily partition (write a day such as 2024-05-01)',
    ],
    [
      '{"partition":"2024-05-01T00"}',
      ASSET,
      'test/days: "2024-05-01T00" is no daily partition (write a day such as 2024-05-01)',
    ],
    ['{"partition":"\\ud800"}', ASSET, 'test/days: "\\ud800" is no daily partition (write a day such as 2024-05-01)'],
    [
      `{"tags":{"a":"${"x".repeat(200_000)}"}}`,
      ASSET,
      "a request of 200017 characters is too large: send 100000 at most, or a reference",
    ],
    [
      '{"wake":"../../x"}',
      ASSET,
      'the message is no request: unknown field "wake" (known: "partition", "runKey", "cause", "config", "force" and 5 more)',
    ],
    ['{"bucket":"other","name":"x","generation":"1"}', BUCKET, "the notification is about the bucket other, not drops"],
    ["{}", BUCKET, "the notification names no bucket, object and generation"],
    ['{"bucket":"drops","name":7,"generation":"1"}', BUCKET, "the notification names no bucket, object and generation"],
    [
      "{}",
      { kind: "job", name: "days_clean_up_job" },
      "the config is not what days_clean_up_job takes: before: expected string, but there is none",
    ],
    [
      '{"config":{"before":"2024-05-01","dry":true}}',
      { kind: "job", name: "days_clean_up_job" },
      'the config is not what days_clean_up_job takes: dry: unknown field "dry" (known: "before", "dryRun")',
    ],
    [
      '{"partition":"2024-05-01"}',
      { kind: "job", name: "days_clean_up_job" },
      "the job days_clean_up_job has no partitions: leave the partition out",
    ],
    ["{}", { kind: "asset", key: "test/nights" }, "the asset test/nights is not defined any more"],
    ["{}", { kind: "job", name: "nothing" }, "the job nothing is not defined any more"],
    ["{}", { kind: "sensor", name: "nothing" }, "the sensor nothing is not defined any more"],
  ];
  for (const [data, consumer] of cases) {
    const body = {
      message: {
        data: base64(data),
        messageId: `m${cases.findIndex((one) => one[0] === data && one[1] === consumer)}`,
      },
    };
    // The transport delivers it twice.
    for (const _ of [1, 2]) await platform.runtime.receive(consumer, { body });
  }
  assert.deepEqual(
    await linesOf(platform),
    cases.map(([, , line]) => line),
  );
  assert.deepEqual(await platform.allRuns(), []);
  // Over the bus, as anybody may publish them.
  await platform.bus.publishRaw("asset.test.days", base64(Uint8Array.of(0xff, 0xfe)));
  await platform.bus.publishRaw("bucket.drops", base64("nonsense"));
  await platform.bus.publishRaw("sensor.days_clean_up_sensor.materialized", base64("nonsense"));
  await platform.quiet(3_000);
  assert.deepEqual((await linesOf(platform)).slice(cases.length), [
    "the message's data is not UTF-8 text",
    `the message's data is not JSON: "nonsense"`,
  ]);
  await goesOn(platform);
});

test("a notification for an object that is gone ends in one line", async () => {
  await using platform = await localPlatform({ exports: days() });
  await platform.publish("bucket.drops", { bucket: "drops", name: "days/2024-05-02.parquet", generation: "1" });
  await platform.quiet(3_000);
  assert.deepEqual(await linesOf(platform), ["no-inputs: no object of 2024-05-02 is in gs://drops/days"]);
  await goesOn(platform);
});

test("definitions that cannot work are refused with their place and a remedy", () => {
  const refusal = (options: object): string => {
    try {
      // What an author without a type checker could write.
      intervalGcsImportAsset({ ...config, ...options });
    } catch (error) {
      const { problems } = collectDefinitions([{ file: "functions/days.ts", error }]);
      assert.equal(problems.length, 1);
      return messageOf(problems[0]);
    }
    return assert.fail("it was accepted");
  };
  const lines: readonly (readonly [object, string])[] = [
    [
      { fileMatch: PATTERN, complete: undefined },
      `functions/days.ts test/days: fileMatch can match several objects of one interval, and nothing says when it is whole (give complete: { marker: "_SUCCESS" }, { count: 4 } or { settle: "10m" }, or make fileMatch literal outside the interval)`,
    ],
    [
      { retentionDay: 10 },
      `functions/days.ts test/days.retentionDay: unknown option "retentionDay" (did you mean "retentionDays"?)`,
    ],
    [
      { bucketname: "drops" },
      `functions/days.ts test/days.bucketname: unknown option "bucketname" (did you mean "bucketName"?)`,
    ],
    [
      { fileMatch: "[0-9]+" },
      `functions/days.ts test/days: fileMatch "[0-9]+" has no group interval_timestamp (mark the interval, as in (?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d)/scores.parquet)`,
    ],
    [
      { partitionColumn: "day", mode: "overwrite" },
      `functions/days.ts test/days.partitionColumn: a partition column is for incremental mode (use SourceMode.Incremental, or leave it out)`,
    ],
    [
      { destinationTable: "my-table" },
      `functions/days.ts test/days: table "my-table" is not a legal name (use letters, digits and underscores, not starting with a digit)`,
    ],
  ];
  for (const [options, line] of lines) assert.equal(refusal(options), line);
  const more: readonly (readonly [object, string])[] = [
    [{ retentionDays: "10" }, 'functions/days.ts test/days.retentionDays: expected number ≥ 1, got "10"'],
    [{ retentionDays: 0 }, "functions/days.ts test/days.retentionDays: expected number ≥ 1, got 0"],
    [
      { complete: { settle: "soon" } },
      'functions/days.ts test/days.complete: Invalid input (give { marker: "_SUCCESS" }, { count: 4 } or { settle: "10m" })',
    ],
    [
      { csv: { fieldDelimter: ";" } },
      'functions/days.ts test/days.csv.fieldDelimter: unknown option "fieldDelimter" (did you mean "fieldDelimiter"?)',
    ],
    [
      { interval: "dayly" },
      'functions/days.ts test/days.interval: expected one of "hourly", "daily", "weekly", "monthly", got "dayly" (did you mean "daily"?)',
    ],
  ];
  for (const [options, line] of more) assert.equal(refusal(options), line);
});

test("modules that cannot be used hide nothing about the others", async () => {
  const root = mkdtempSync(join(tmpdir(), "sluice-modules-"));
  const index = pathToFileURL(join(import.meta.dirname, "../../lib/index.ts")).href;
  const source = (name: string, body: string): void => {
    writeFileSync(join(root, "functions", name), `import { asset, daily } from ${JSON.stringify(index)};\n${body}`);
  };
  const plain = (key: string, deps: readonly string[] = []): string =>
    `asset({ key: "${key}", deps: ${JSON.stringify(deps)}, async materialize() {} })`;
  try {
    mkdirSync(join(root, "functions"));
    source("a-syntax.ts", "export const x = ;");
    source("b-throws.ts", `throw new Error("no\\nluck");`);
    source("c-import.ts", `import "./nowhere.ts";`);
    source("d-good.ts", `export const good = ${plain("x/good")};`);
    source("e-twice.ts", `export const again = ${plain("x/good")};`);
    source("f-cycle.ts", `export const all = [${plain("c/a", ["c/b"])}, ${plain("c/b", ["c/a"])}];`);
    source("g-unknown.ts", `export const lost = ${plain("x/lost", ["x/god"])};`);
    source("_helper.ts", `throw new Error("never loaded");`);
    source("h.test.ts", `throw new Error("never loaded");`);
    const { definitions, problems } = await functionsLoader(root).load();
    assert.deepEqual([...definitions.assets.keys()], ["x/good", "c/a", "c/b", "x/lost"]);
    const lines = problems.map(messageOf);
    for (const line of lines) assert.doesNotMatch(line, /\n/);
    assert.equal(lines.length, 6, lines.join("\n"));
    const [syntax, throws, nowhere, ...others] = lines;
    assert.match(syntax ?? "", /^functions\/a-syntax\.ts:2:\d+: /);
    assert.equal(throws, "functions/b-throws.ts:2:7: no luck");
    assert.match(nowhere ?? "", /^functions\/c-import\.ts: Cannot find module .*nowhere\.ts/);
    assert.deepEqual(others, [
      "functions/e-twice.ts again: asset x/good is defined here and in functions/d-good.ts good (give one of them another name)",
      'functions/g-unknown.ts lost: x/lost depends on x/god, which is not defined (did you mean "x/good"?)',
      "functions/f-cycle.ts all: the dependencies run in a circle: c/a → c/b → c/a (take one of them out)",
    ]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("no name of a file leads out of its bucket", async () => {
  await using platform = await localPlatform({ exports: days() });
  await platform.put("gs://drops/../../../../tmp/sluice-escape", "x");
  const path = platform.objects.pathOf("drops", "../../../../tmp/sluice-escape");
  assert.ok(dirname(path).startsWith(join(platform.objects.root, "drops")));
});
