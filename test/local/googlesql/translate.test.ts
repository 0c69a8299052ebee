import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Column, TableRef } from "../../../lib/core/table.ts";
import { openDuckdbWarehouse } from "../../../lib/local/duckdb/warehouse.ts";
import { checkScript } from "../../../lib/local/googlesql/check-script.ts";
import { Refusal } from "../../../lib/local/googlesql/lexer.ts";
import { isSingle, parseScript } from "../../../lib/local/googlesql/parse-script.ts";
import {
  refusalText,
  refused,
  tablesOf,
  translateGoogleSql,
  type Translation,
} from "../../../lib/local/googlesql/translate.ts";
import { systemClock } from "../../../lib/local/system-clock.ts";
import { openEngine, rowsOf } from "./values.ts";

/** Where the tables of allowed functions are: each module exports one called `…Functions`. */
const TABLES = join(import.meta.dirname, "../../../lib/local/googlesql");

/**
 * The table of cases. Values are what Google's own reference evaluator gave, or what `source` says. `fails`: BigQuery fails
 * when it runs, and so must this. `refused`: off the list, by name, at line:column.
 */
type Case =
  | {
      readonly sql: string;
      readonly types: readonly string[];
      readonly rows: readonly unknown[][];
      readonly source?: string;
    }
  | { readonly sql: string; readonly fails: true }
  /** A script, or statements that change tables, as a job in which it may change `d.t` and `d.v`; its rows as the port gives them. */
  | { readonly script: string; readonly rows: readonly unknown[][]; readonly source: string }
  | { readonly script: string; readonly fails: true }
  | { readonly sql: string; readonly refused: string; readonly at: string };

// Google's own analyzer and evaluator, which wrote the values, are too large to be among the dependencies.
const cases = JSON.parse(readFileSync(new URL("cases.json", import.meta.url), "utf8")) as readonly Case[];

const column = (name: string, type: Column["type"], mode: Column["mode"] = "NULLABLE"): Column => ({
  name,
  type,
  mode,
});
const orders: readonly Column[] = [
  column("id", "INT64"),
  column("Name", "STRING"),
  column("amount", "NUMERIC"),
  column("day", "DATE"),
  column("at", "TIMESTAMP"),
  column("tags", "STRING", "REPEATED"),
];
const tables: Readonly<Record<string, { readonly columns: readonly Column[]; readonly ingestionTime?: boolean }>> = {
  "d.t": { columns: [column("x", "INT64")] },
  "shop.orders": { columns: orders },
  "shop.news": { columns: [column("id", "INT64"), column("Name", "STRING")] },
  "shop.parts": { columns: [column("id", "INT64")], ingestionTime: true },
};
const table = ({ dataset, table: name }: TableRef): (typeof tables)[string] | undefined => tables[`${dataset}.${name}`];

function translated(sql: string, parameters = {}): Extract<Translation, { readonly kind: "ok" }> {
  const found = translateGoogleSql(sql, { table, parameters });
  if (found.kind === "refused") assert.fail(`${sql}: ${found.construct} at ${found.line}:${found.column}`);
  return found;
}

/** A statement or script, looked through as before it runs. */
function checked(sql: string): ReturnType<typeof checkScript> | Translation {
  try {
    const steps = parseScript(sql);
    return isSingle(steps) ? translateGoogleSql(sql, { table }) : checkScript(steps, sql, { table, dataset: "_temp" });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refused(sql, error);
  }
}

test("every case gives the value and the type of BigQuery, fails as there, or is refused by name and place", async (t) => {
  const connection = await openEngine();
  assert.ok(cases.length >= 480, "the table is whole");
  for (const one of cases) {
    if ("script" in one) continue;
    await t.test(one.sql.slice(0, 120), async () => {
      if ("refused" in one) {
        const found = checked(one.sql);
        assert.deepEqual(found.kind === "refused" && [found.construct, `${found.line}:${found.column}`], [
          one.refused,
          one.at,
        ]);
        return;
      }
      const found = translateGoogleSql(one.sql, { table });
      if ("fails" in one) {
        if (found.kind === "ok") await assert.rejects(rowsOf(connection, found.sql));
        return;
      }
      assert.ok(found.kind === "ok", found.kind === "refused" ? found.construct : "");
      const { types, rows } = await rowsOf(connection, found.sql);
      assert.deepEqual({ types, rows }, { types: one.types, rows: one.rows });
      assert.deepEqual(
        found.columns.map(({ type }) => type),
        one.types,
      );
    });
  }
});

test("scripts, views and changes give the rows of BigQuery, or fail as there", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "googlesql-scripts-"));
  const warehouse = await openDuckdbWarehouse({
    file: join(folder, "cases.duckdb"),
    resolveUri: (uri) => uri,
    clock: systemClock(),
    memoryLimit: "1GB",
  });
  const writes = [
    { dataset: "d", table: "t" },
    { dataset: "d", table: "v" },
  ];
  const scripts = cases.flatMap((one) => ("script" in one ? [one] : []));
  assert.ok(scripts.length >= 45, "the table is whole");
  for (const [index, one] of scripts.entries()) {
    await t.test(one.script.slice(0, 120), async () => {
      for (const target of writes) await warehouse.drop(target);
      await warehouse.submit(`case_${index}`, { kind: "query", sql: one.script, writes }, {});
      const { state, error } = await warehouse.wait(`case_${index}`, { timeoutMs: 240_000 });
      if ("fails" in one) {
        assert.equal(state, "failed");
        assert.ok(["invalidQuery", "duplicate", "notFound"].includes(error?.reason ?? ""), error?.message);
        return;
      }
      assert.equal(state, "succeeded", error?.message);
      const rows = await Array.fromAsync(warehouse.rows(`case_${index}`));
      assert.deepEqual(
        rows.map((row) => Object.values(row)),
        one.rows,
      );
    });
  }
  await warehouse.close();
  await rm(folder, { recursive: true });
});

test("every function on the list is in the table", async () => {
  const shown = cases.map((one) => ("sql" in one && !("refused" in one) ? one.sql.toUpperCase() : "")).join("\n");
  const allowed: string[] = [];
  for (const file of globSync("{functions-*,aggregates}.ts", { cwd: TABLES })) {
    // A namespace of a module: its exports by their names.
    const exported = (await import(join(TABLES, file))) as Readonly<Record<string, unknown>>;
    for (const [name, table] of Object.entries(exported))
      if (name.endsWith("Functions")) allowed.push(...Object.keys(table as object));
  }
  assert.ok(allowed.length > 100, `${allowed.length} functions were found`);
  const missing = allowed.filter((name) => !shown.includes(`${name}(`) && !name.startsWith("CURRENT_"));
  assert.deepEqual(missing, []);
});

test("tables, parameters and names", async () => {
  const connection = await openEngine();
  await connection.run(`CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id BIGINT, "Name" VARCHAR, amount DECIMAL(38,9), day DATE, "at" TIMESTAMPTZ, tags VARCHAR[]);
    INSERT INTO shop.orders VALUES (1, 'Ann', 1.5, DATE '2024-05-01', TIMESTAMPTZ '2024-05-01 10:00:00+00', ['a', 'b']),
      (2, 'bob', NULL, DATE '2024-05-02', NULL, []), (3, NULL, 2.25, NULL, NULL, NULL);
    CREATE TABLE shop.parts (id BIGINT, "_PARTITIONTIME" TIMESTAMPTZ);
    INSERT INTO shop.parts VALUES (1, TIMESTAMPTZ '2024-05-01 00:00:00+00')`);
  const parameters = {
    day: { type: "DATE" },
    text: { type: "STRING" },
    ids: { type: "INT64", array: true },
    n: { type: "INT64" },
    f: { type: "FLOAT64" },
  } as const;
  const rows = async (sql: string, values: Record<string, string> = {}): Promise<readonly unknown[][]> => {
    const found = translated(sql, parameters);
    const used = Object.fromEntries(found.parameters.map((name) => [name, values[name] ?? null]));
    return (await rowsOf(connection, found.sql, used)).rows;
  };
  assert.deepEqual(await rows("SELECT NAME FROM `my-project.shop.orders` AS o WHERE O.id = 1"), [["Ann"]]);
  assert.deepEqual(
    translated("SELECT NAME, id + 1, Id AS x FROM shop.orders").columns.map(({ name }) => name),
    ["NAME", "f1_", "x"],
  );
  assert.deepEqual(
    translated("SELECT * FROM shop.orders").columns.map(({ name }) => name),
    orders.map(({ name }) => name),
  );
  assert.deepEqual(await rows("SELECT id FROM shop.orders WHERE day = @day", { day: "2024-05-02" }), [["2"]]);
  assert.deepEqual(await rows("SELECT id FROM shop.orders WHERE day = @text", { text: "2024-05-01" }), [["1"]]);
  assert.deepEqual(
    await rows("SELECT id FROM shop.orders WHERE id IN UNNEST(@IDS) ORDER BY 1 LIMIT @n", { ids: '["1","3"]', n: "1" }),
    [["1"]],
  );
  assert.deepEqual(await rows("SELECT ABS(@n), @f > 1, @n + 1", { n: "-4", f: "1.5" }), [["4", true, "-3"]]);
  assert.deepEqual(
    await rows("SELECT o.id, t, i FROM shop.orders AS o, UNNEST(o.tags) AS t WITH OFFSET AS i ORDER BY i"),
    [
      ["1", "a", "0"],
      ["1", "b", "1"],
    ],
  );
  assert.deepEqual(await rows("SELECT id, tags FROM shop.orders ORDER BY id DESC LIMIT 1"), [["3", []]]);
  assert.deepEqual(await rows("SELECT * FROM shop.parts"), [["1"]]);
  assert.deepEqual(await rows("SELECT _PARTITIONTIME, _PARTITIONDATE FROM shop.parts"), [
    ["2024-05-01T00:00:00Z", "2024-05-01"],
  ]);
  assert.deepEqual(await rows("SELECT id FROM shop.parts WHERE _PARTITIONTIME = TIMESTAMP('2024-05-01')"), [["1"]]);
});

test("what is read is told, tables of WITH are not", () => {
  const sql =
    "WITH a AS (SELECT id FROM shop.orders) SELECT * FROM a JOIN `p.shop.news` AS n USING (id) WHERE EXISTS (SELECT 1 FROM d.t)";
  const expected = [
    { dataset: "shop", table: "orders" },
    { project: "p", dataset: "shop", table: "news" },
    { dataset: "d", table: "t" },
  ];
  assert.deepEqual(translated(sql).reads, expected);
  assert.deepEqual(tablesOf(sql), expected);
  assert.deepEqual(tablesOf("SELECT 'FROM d.t', 1 -- FROM d.t"), []);
  assert.deepEqual(tablesOf("nonsense"), []);
});

/** Runs statements as an executor would: rows are added, or take the place of all. */
async function after(statements: readonly string[]): Promise<readonly unknown[][]> {
  const connection = await openEngine();
  await connection.run(`CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id BIGINT, "Name" VARCHAR, amount DECIMAL(38,9), day DATE, "at" TIMESTAMPTZ, tags VARCHAR[]);
    INSERT INTO shop.orders SELECT 1, 'one', 1, NULL, NULL, [] UNION ALL SELECT 2, 'two', 2, NULL, NULL, ['x'];
    CREATE TABLE shop.news (id BIGINT, "Name" VARCHAR);
    INSERT INTO shop.news VALUES (2, 'zwei'), (3, 'drei')`);
  for (const statement of statements) {
    const { effect, sql } = translated(statement);
    if (effect.kind === "select" || effect.kind === "drop" || !("target" in effect))
      assert.fail("a change was expected");
    const { dataset, table: name } = effect.target;
    await connection.run(`CREATE TABLE next AS ${sql}`);
    if (effect.kind !== "insert") await connection.run(`DELETE FROM ${dataset}.${name}`);
    await connection.run(`INSERT INTO ${dataset}.${name} BY NAME SELECT * FROM next; DROP TABLE next`);
  }
  return (await rowsOf(connection, 'SELECT id, "Name", amount, tags FROM shop.orders ORDER BY id, "Name"')).rows;
}

test("INSERT, UPDATE, DELETE, TRUNCATE and MERGE leave the rows that BigQuery leaves", async () => {
  const one = ["1", "one", "1", []];
  const two = ["2", "two", "2", ["x"]];
  assert.deepEqual(await after(["INSERT INTO shop.orders (id, name) VALUES (3, 'x'), (4, DEFAULT)"]), [
    one,
    two,
    ["3", "x", null, []],
    ["4", null, null, []],
  ]);
  assert.deepEqual(
    await after(["INSERT shop.orders (amount, id) SELECT id * 2, id FROM shop.news"]),
    [one, two, ["2", null, "4", []], ["3", null, "6", []]].toSorted((a, b) =>
      String(a[0]) + String(a[1] ?? "~") < String(b[0]) + String(b[1] ?? "~") ? -1 : 1,
    ),
  );
  assert.deepEqual(
    await after(["UPDATE shop.orders AS o SET amount = o.amount + 1, o.name = UPPER(name) WHERE amount > 1"]),
    [one, ["2", "TWO", "3", ["x"]]],
  );
  assert.deepEqual(await after(["UPDATE shop.orders o SET name = n.name FROM shop.news n WHERE o.id = n.id"]), [
    one,
    ["2", "zwei", "2", ["x"]],
  ]);
  assert.deepEqual(await after(["DELETE FROM shop.orders WHERE name = 'one' OR amount IS NULL"]), [two]);
  assert.deepEqual(await after(["DELETE shop.orders WHERE NULL"]), [one, two]);
  assert.deepEqual(await after(["TRUNCATE TABLE shop.orders"]), []);
  const merge = `MERGE shop.orders AS t USING shop.news AS s ON t.id = s.id
    WHEN MATCHED AND s.name = 'nobody' THEN DELETE
    WHEN MATCHED THEN UPDATE SET name = s.name, amount = t.amount * 10
    WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)
    WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN DELETE`;
  assert.deepEqual(await after([merge]), [
    ["2", "zwei", "20", ["x"]],
    ["3", "drei", null, []],
  ]);
  assert.deepEqual(
    await after(["MERGE shop.orders t USING (SELECT 2 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE"]),
    [one],
  );
  assert.deepEqual(
    await after(["MERGE shop.news t USING (SELECT 9 AS a, 'n' AS b) s ON FALSE WHEN NOT MATCHED THEN INSERT ROW"]),
    [one, two],
  );
});

test("a row that two source rows match is an error, as in BigQuery, unless no clause takes them", async () => {
  const twice = "(SELECT 1 AS id UNION ALL SELECT 1)";
  await assert.rejects(
    after([`MERGE shop.orders t USING ${twice} s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = 'x'`]),
    /at most one source row/,
  );
  await assert.rejects(
    after([`UPDATE shop.orders t SET name = 'x' FROM ${twice} s WHERE t.id = s.id`]),
    /at most one source row/,
  );
  const calm = await after([
    `MERGE shop.orders t USING ${twice} s ON t.id = s.id WHEN MATCHED AND t.id = 2 THEN DELETE`,
  ]);
  assert.equal(calm.length, 2);
});

test("definitions say what they make", () => {
  const made = translated(
    "CREATE OR REPLACE TABLE `shop.made` PARTITION BY day CLUSTER BY id AS SELECT id, tags, day, STRUCT(1 AS a) AS s FROM shop.orders",
  );
  assert.deepEqual(made.effect, {
    kind: "create-table-as",
    target: { dataset: "shop", table: "made" },
    replace: true,
    ifNotExists: false,
    clusterBy: ["id"],
    partitionBy: "day",
    schema: [
      column("id", "INT64"),
      column("tags", "STRING", "REPEATED"),
      column("day", "DATE"),
      { ...column("s", "STRUCT"), fields: [column("a", "INT64")] },
    ],
  });
  const plain = translated("CREATE TABLE IF NOT EXISTS shop.made (id INT64 NOT NULL, tags ARRAY<STRING>)");
  assert.deepEqual(plain.effect.kind === "create-table" && plain.effect.schema, [
    column("id", "INT64", "REQUIRED"),
    column("tags", "STRING", "REPEATED"),
  ]);
  assert.deepEqual(translated("DROP TABLE IF EXISTS shop.made").effect, {
    kind: "drop",
    what: "table",
    target: { dataset: "shop", table: "made" },
    ifExists: true,
  });
  const refused = translateGoogleSql("CREATE TABLE shop.made AS SELECT 1", { table });
  assert.equal(refused.kind, "refused");
});

test("a refusal has its line and column", () => {
  const found = translateGoogleSql("SELECT 1,\n  /* … */ FOO(2)", { table });
  assert.deepEqual(found, { kind: "refused", construct: "the function FOO", line: 2, column: 11 });
});

test("a refusal says whether BigQuery refuses it too, as far as that can be known", () => {
  for (const [sql, why] of [
    ["SELEC 1", "a syntax error"],
    ["SELECT 1 AS one FORM shop.orders WHERE true", "a syntax error"],
    ["SELECT id FROM shop.orders WERE id = 1", "a syntax error"],
    ["SELECT (1", "a syntax error"],
    ["SELECT 'a", "a syntax error"],
    ["SELECT 1 /* a", "a syntax error"],
    ["= 1", "a syntax error"],
    ["SELECT 5 % 2", "a syntax error, or GoogleSQL that"],
    ["SELECT * FROM shop.orders MATCH_RECOGNIZE (PATTERN (a))", "a syntax error, or GoogleSQL that"],
    ["SELECT COLLATE('a', 'und:ci')", "a syntax error, or GoogleSQL that"],
    ["EXPORT DATA OPTIONS(uri='x') AS SELECT 1", "the embedded engine does not"],
    ["FROM shop.orders |> SELECT id", "the embedded engine does not"],
    ["SELECT SOUNDEX('a')", "the embedded engine does not"],
  ] as const) {
    const found = translateGoogleSql(sql, { table });
    const text = found.kind === "refused" ? refusalText(found) : "";
    assert.match(text, /^line 1, column \d+: /, sql);
    assert.ok(why === "a syntax error" ? text.endsWith(`: ${why}`) : text.includes(`: ${why}`), `${sql}: ${text}`);
  }
});

test("no text makes the translator throw, and none of a statement's texts becomes SQL", () => {
  const words = [
    "SELECT",
    "'",
    '"',
    "`",
    "(",
    ")",
    "FROM",
    "d.t",
    "x",
    ",",
    "*",
    "--",
    "/*",
    "\\",
    "1",
    "UNNEST",
    "[",
    "]",
    "CASE",
    "@p",
    "\n",
    ";",
    "\u0000",
    "\ufdd0",
    "AS",
    "WITH",
    "ORDER BY",
    ".",
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 14 }), (parts) => {
      const found = translateGoogleSql(parts.join(" "), { table, parameters: { p: { type: "STRING" } } });
      assert.ok(found.kind === "ok" || found.construct !== "");
    }),
    { numRuns: 2000 },
  );
});

test("texts come back as they are", async () => {
  const connection = await openEngine();
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: "binary", maxLength: 20 }).filter((text) => !/[\0\ufdd0-\ufdef]/.test(text)),
      async (text) => {
        const literal = `'${text.replaceAll(/[\\'\n\r]/g, (one) => ({ "\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r" })[one] ?? one)}'`;
        const { sql } = translated(`SELECT ${literal}, LENGTH(${literal})`);
        assert.deepEqual((await rowsOf(connection, sql)).rows, [[text, String(Array.from(text).length)]]);
      },
    ),
    { numRuns: 200 },
  );
});
