/** Files: what is read, how its types come out, and what is refused with the file's own name. */
import assert from "node:assert/strict";
import { column, csvLoad, n, parquet, parquetLoad, ref, type Scenario } from "./world.ts";

const pair = [column("a", "INT64"), column("b", "STRING")];

export const loadScenarios: Readonly<Record<string, Scenario>> = {
  "Parquet: types become BigQuery's": async ({ warehouse, put, succeed, select }) => {
    const uri = await put(
      await parquet(`SELECT true AS bool, 1::TINYINT AS i8, 2::UINTEGER AS u32, 9007199254740993::BIGINT AS i64, 3::UBIGINT AS u64, 1.5::FLOAT AS f32,
        0.1::DOUBLE AS f64, 12.340::DECIMAL(10,3) AS dec, 0.123456789012::DECIMAL(30,12) AS big, 'ü' AS text, '\\xFF\\x00'::BLOB AS bytes, DATE '2024-02-29' AS day,
        TIMESTAMP '2024-05-01 10:00:00.123456' AS naive, TIMESTAMPTZ '2024-05-01 10:00:00+02' AS instant, TIME '10:20:30' AS clock,
        {'x': 1, 'y': ['p', 'q']} AS nested, [1, 2] AS list, MAP {'k': 7} AS map, uuid '00000000-0000-0000-0000-000000000001' AS id`),
    );
    await succeed(parquetLoad(uri, "types"));
    const schema = (await warehouse.describe(ref("types")))?.schema ?? [];
    assert.deepEqual(
      Object.fromEntries(schema.map(({ name, type, mode }) => [name, mode === "REPEATED" ? `${type}[]` : type])),
      {
        bool: "BOOL",
        i8: "INT64",
        u32: "INT64",
        i64: "INT64",
        u64: "INT64",
        f32: "FLOAT64",
        f64: "FLOAT64",
        dec: "NUMERIC",
        big: "BIGNUMERIC",
        text: "STRING",
        bytes: "BYTES",
        day: "DATE",
        naive: "DATETIME",
        instant: "TIMESTAMP",
        clock: "TIME",
        nested: "STRUCT",
        list: "INT64[]",
        map: "STRUCT[]",
        id: "STRING",
      },
    );
    assert.deepEqual(await select("SELECT * FROM `shop.types`"), [
      {
        bool: true,
        i8: 1,
        u32: 2,
        i64: "9007199254740993",
        u64: 3,
        f32: 1.5,
        f64: 0.1,
        dec: "12.34",
        big: "0.123456789012",
        text: "ü",
        bytes: "/wA=",
        day: "2024-02-29",
        naive: "2024-05-01T10:00:00.123456",
        instant: "2024-05-01T08:00:00Z",
        clock: "10:20:30",
        nested: { x: 1, y: ["p", "q"] },
        list: [1, 2],
        map: [{ key: "k", value: 7 }],
        id: "00000000-0000-0000-0000-000000000001",
      },
    ]);
  },

  "Parquet: what BigQuery cannot hold is refused by its column": async ({ put, fail }) => {
    await fail(parquetLoad(await put(await parquet("SELECT [[1]] AS deep")), "t"), "invalid", '"deep"', "gs://drops/");
    await fail(
      parquetLoad(await put(await parquet("SELECT 18446744073709551615::UBIGINT AS wide")), "t"),
      "invalid",
      "gs://drops/",
    );
    await fail(parquetLoad(await put(await parquet('SELECT 1 AS a, 2 AS "a;b"')), "t"), "invalid", "a;b");
  },

  "Parquet: a file without rows is a table without rows": async ({ warehouse, put, succeed }) => {
    const { rows } = await succeed(parquetLoad(await put(await parquet("SELECT 1 AS n WHERE false")), "empty"));
    assert.equal(rows, 0);
    assert.deepEqual((await warehouse.describe(ref("empty")))?.schema, n);
  },

  "Parquet: several files, joined by column name": async ({ put, succeed, select }) => {
    const uris = [
      await put(await parquet("SELECT 1::BIGINT AS a, 'x' AS b")),
      await put(await parquet("SELECT 'y' AS b, 2::BIGINT AS a")),
    ];
    await succeed(parquetLoad(uris, "both"));
    assert.deepEqual(await select("SELECT a, b FROM `shop.both` ORDER BY a"), [
      { a: 1, b: "x" },
      { a: 2, b: "y" },
    ]);
  },

  "Parquet: an explicit schema is enforced": async ({ warehouse, put, succeed, fail, select }) => {
    const uri = await put(await parquet("SELECT 1::INTEGER AS a, 'x' AS b, NULL::BIGINT AS gap"));
    const spec = parquetLoad(uri, "t");
    const schema = [
      column("B", "STRING"),
      column("a", "NUMERIC"),
      column("gap", "INT64"),
      column("new", "DATE"),
      column("tags", "STRING", "REPEATED"),
    ];
    await succeed({ ...spec, schema });
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, schema);
    assert.deepEqual(await select("SELECT * FROM `shop.t`"), [{ B: "x", a: "1", gap: null, new: null, tags: [] }]);
    await fail(
      { ...spec, schema: [column("a", "INT64"), column("b", "INT64"), column("gap", "INT64")] },
      "invalid",
      '"b"',
      "STRING",
      "INT64",
    );
    await fail({ ...spec, schema: pair }, "invalid", '"gap"');
    await fail({ ...spec, schema: [...pair, column("gap", "INT64", "REQUIRED")] }, "invalid", '"gap"', "required");
    await fail(
      { ...spec, schema: [...pair, column("gap", "INT64"), column("more", "INT64", "REQUIRED")] },
      "invalid",
      '"more"',
      "required",
    );
  },

  "Parquet: a folder that looks like a Hive partition adds no column": async ({ warehouse, put, succeed }) => {
    await succeed(parquetLoad(await put(await parquet("SELECT 1::BIGINT AS n"), "day=2024-05-01/x.parquet"), "t"));
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, n);
  },

  "bad Parquet is refused with its name": async ({ warehouse, put, fail }) => {
    const good = await parquet("SELECT i AS n, repeat('x', 50) || i AS t FROM range(20000) r(i)");
    const cases = {
      "zero.parquet": new Uint8Array(),
      "text.parquet": Buffer.from("this is not Parquet"),
      "short.parquet": good.subarray(0, good.length / 2),
    };
    for (const [name, bytes] of Object.entries(cases))
      await fail(parquetLoad(await put(bytes, name), "t"), "invalid", `gs://drops/${name}`);
    const damaged = Uint8Array.from(good);
    damaged.fill(0xff, 1000, damaged.length / 2);
    await fail(
      parquetLoad([await put(good), await put(damaged, "damaged.parquet")], "t"),
      "invalid",
      "gs://drops/damaged.parquet",
    );
    assert.equal(await warehouse.describe(ref("t")), undefined);
  },

  "a missing file and an empty list are refused": async ({ put, fail }) => {
    await fail(
      parquetLoad([await put(await parquet("SELECT 1 AS n")), "gs://drops/nothing.parquet"], "t"),
      "notFound",
      "gs://drops/nothing.parquet",
    );
    await fail(parquetLoad("gs://nowhere/nothing.parquet", "t"), "notFound", "gs://nowhere/nothing.parquet");
    await fail(parquetLoad([], "t"), "invalid", "file");
  },

  "names that a shell, a pattern or SQL could misread are plain names": async ({ put, succeed, values }) => {
    for (const [i, name] of [
      "a[1].csv",
      "what?.csv",
      "it's.csv",
      "ünï 日本.csv",
      "a{b,c}.csv",
      "$(x);--.csv",
      'say "hi".csv',
      "back\\slash.csv",
      "100%.csv",
    ].entries()) {
      await put("999\n", "a1.csv");
      await put("999\n", "whatX.csv");
      await succeed(csvLoad(await put(`${i}\n`, name), "t", n));
      assert.deepEqual(await values("t"), [i], name);
    }
  },

  "CSV: plain rows by an explicit schema": async ({ put, succeed, select }) => {
    const uri = await put(
      'id,who,at\n1,"Ann, ""the"" A",2024-05-01 10:00:00 UTC\n2,,2024-05-01T12:00:00+02:00\n3,"",\n',
    );
    const schema = [column("id", "INT64", "REQUIRED"), column("who", "STRING"), column("at", "TIMESTAMP")];
    await succeed(csvLoad(uri, "t", schema, { csv: { skipLeadingRows: 1 } }));
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), [
      { id: 1, who: 'Ann, "the" A', at: "2024-05-01T10:00:00Z" },
      { id: 2, who: null, at: "2024-05-01T10:00:00Z" },
      { id: 3, who: "", at: null },
    ]);
  },

  "CSV: every type that text can hold": async ({ put, succeed, select }) => {
    const schema = (["BOOL", "FLOAT64", "NUMERIC", "BYTES", "DATE", "DATETIME", "TIME", "JSON"] as const).map((type) =>
      column(type.toLowerCase(), type),
    );
    const uri = await put(
      'true|1e3|12345678901234567890.123456789|/wA=|2024-02-29|2024-02-29 01:02:03|04:05:06|{"a": [1]}\n',
    );
    await succeed(csvLoad(uri, "t", schema, { csv: { fieldDelimiter: "|" } }));
    assert.deepEqual(await select("SELECT * FROM `shop.t`"), [
      {
        bool: true,
        float64: 1000,
        numeric: "12345678901234567890.123456789",
        bytes: "/wA=",
        date: "2024-02-29",
        datetime: "2024-02-29T01:02:03",
        time: "04:05:06",
        json: { a: [1] },
      },
    ]);
  },

  "CSV: its options": async ({ put, succeed, fail, select }) => {
    const all = (): ReturnType<typeof select> => select("SELECT * FROM `shop.t` ORDER BY a");
    await succeed(
      csvLoad(await put("1;'x;y'\n2;\\N\n"), "t", pair, {
        csv: { fieldDelimiter: ";", quote: "'", nullMarker: "\\N" },
      }),
    );
    assert.deepEqual(await all(), [
      { a: 1, b: "x;y" },
      { a: 2, b: null },
    ]);
    await succeed(
      csvLoad(await put(Buffer.from("1,\xfc\n", "latin1")), "t", pair, { csv: { encoding: "ISO-8859-1" } }),
    );
    assert.deepEqual(await all(), [{ a: 1, b: "ü" }]);
    await succeed(csvLoad(await put('1\t"as it is"\n'), "t", pair, { csv: { fieldDelimiter: "\t", quote: "" } }));
    assert.deepEqual(await all(), [{ a: 1, b: '"as it is"' }]);
    const jagged = await put("1,x\n2\n");
    await fail(csvLoad(jagged, "t", pair), "invalid", jagged, "line 2");
    await succeed(csvLoad(jagged, "t", pair, { csv: { allowJaggedRows: true } }));
    assert.deepEqual(await all(), [
      { a: 1, b: "x" },
      { a: 2, b: null },
    ]);
    const newline = await put('1,"x\ny"\n2,z\n');
    await fail(csvLoad(newline, "t", pair), "invalid", newline, "newline");
    await succeed(csvLoad(newline, "t", pair, { csv: { allowQuotedNewlines: true } }));
    assert.deepEqual(await all(), [
      { a: 1, b: "x\ny" },
      { a: 2, b: "z" },
    ]);
    await succeed(csvLoad(newline, "t", pair, { csv: { allowQuotedNewlines: true, allowJaggedRows: true } }));
    assert.equal((await all()).length, 2);
    const wide = await put("1,x,more\n2,y\n");
    await fail(csvLoad(wide, "t", pair), "invalid", wide, "line 1");
    await succeed(csvLoad(wide, "t", pair, { ignoreUnknownValues: true }));
    assert.deepEqual(await all(), [
      { a: 1, b: "x" },
      { a: 2, b: "y" },
    ]);
  },

  "CSV: bad rows are named, and as many as allowed are dropped": async ({ put, succeed, fail, values }) => {
    const good = await put("1,a\n");
    const bad = await put("1,a\ntwo,b\n3\n4,d\n");
    await fail(csvLoad([good, bad], "t", pair), "invalid", bad, "line 2", "two");
    await fail(csvLoad([good, bad], "t", pair, { maxBadRecords: 1 }), "invalid", bad, "line 2", "2 bad rows");
    const { rows } = await succeed(csvLoad([good, bad], "t", pair, { maxBadRecords: 2 }));
    assert.equal(rows, 3);
    assert.deepEqual(await values("t", "a"), [1, 1, 4]);
  },

  "CSV: without a schema it is detected": async ({ warehouse, put, succeed, select }) => {
    await succeed(
      csvLoad(
        await put(
          "id,price,day,at,who\n1,1.5,2024-05-01,2024-05-01 10:00:00,ann\n2,2.5,2024-05-02,2024-05-02 10:00:00,bob\n",
        ),
        "t",
        undefined,
        { csv: { skipLeadingRows: 1 } },
      ),
    );
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, [
      column("id", "INT64"),
      column("price", "FLOAT64"),
      column("day", "DATE"),
      column("at", "TIMESTAMP"),
      column("who", "STRING"),
    ]);
    assert.deepEqual(await select("SELECT `at` FROM `shop.t` WHERE id = 2"), [{ at: "2024-05-02T10:00:00Z" }]);
  },

  "CSV: without a schema, several files are one table": async ({ put, succeed, fail, select }) => {
    const csv = { csv: { skipLeadingRows: 1 } };
    const one = await put("id,who\n1,ann\n");
    await succeed(csvLoad([one, await put("id,who\n2,bob\n")], "t", undefined, csv));
    assert.deepEqual(await select("SELECT id, who FROM `shop.t` ORDER BY id"), [
      { id: 1, who: "ann" },
      { id: 2, who: "bob" },
    ]);
    const more = await put("id,who,more\n3,cid,x\n");
    await fail(csvLoad([one, more], "t", undefined, csv), "invalid", more);
    assert.equal((await select("SELECT id FROM `shop.t`")).length, 2);
  },

  "CSV: an INT64 is exact, and a fraction is none": async ({ put, succeed, fail, values }) => {
    await succeed(csvLoad(await put("-9223372036854775808\n9223372036854775807\n9007199254740993\n"), "t", n));
    assert.deepEqual(await values("t"), ["-9223372036854775808", "9007199254740993", "9223372036854775807"]);
    const half = await put("1\n2.5\n");
    await fail(csvLoad(half, "t", n), "invalid", half, '"n"', "2.5");
    const wide = await put("9223372036854775808\n");
    await fail(csvLoad(wide, "t", n), "invalid", wide);
  },

  "CSV: names that differ in case only are refused": async ({ put, fail }) => {
    await fail(
      csvLoad(await put("1,2\n"), "t", [column("id", "INT64"), column("ID", "INT64")]),
      "invalid",
      '"ID"',
      "twice",
    );
  },

  "CSV: a file without a byte has no rows": async ({ put, succeed }) => {
    assert.equal((await succeed(csvLoad(await put(""), "t", pair))).rows, 0);
  },

  "JSON: nested, repeated and missing values": async ({ put, succeed, select }) => {
    const schema = [
      column("id", "INT64"),
      {
        name: "who",
        type: "STRUCT",
        mode: "NULLABLE",
        fields: [column("name", "STRING"), column("tags", "STRING", "REPEATED")],
      },
      {
        name: "items",
        type: "STRUCT",
        mode: "REPEATED",
        fields: [column("sku", "STRING"), column("price", "NUMERIC")],
      },
      column("raw", "BYTES"),
      column("any", "JSON"),
    ] as const;
    const rows = [
      {
        id: 1,
        who: { name: "ann", tags: ["a", "b"] },
        items: [
          { sku: "x", price: "1.50" },
          { sku: "y", price: 2 },
        ],
        raw: "/wA=",
        any: { deep: [1, null] },
      },
      { id: 2 },
    ];
    const uris = [await put(rows.map((row) => `${JSON.stringify(row)}\n`).join(""))];
    await succeed({ kind: "load", uris, format: "NEWLINE_DELIMITED_JSON", schema, destination: ref("t") });
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), [
      {
        id: 1,
        who: { name: "ann", tags: ["a", "b"] },
        items: [
          { sku: "x", price: "1.5" },
          { sku: "y", price: "2" },
        ],
        raw: "/wA=",
        any: { deep: [1, null] },
      },
      { id: 2, who: null, items: [], raw: null, any: null },
    ]);
  },

  "JSON: values without a column are refused, unless they are to be ignored": async ({
    put,
    succeed,
    fail,
    values,
  }) => {
    const schema = [...n, { name: "in", type: "STRUCT", mode: "NULLABLE", fields: [column("x", "INT64")] }] as const;
    const uri = await put('{"n": 1}\n{"n": 2, "in": {"x": 1, "y": 2}}\n');
    const spec = {
      kind: "load",
      uris: [uri],
      format: "NEWLINE_DELIMITED_JSON",
      schema,
      destination: ref("t"),
    } as const;
    await fail(spec, "invalid", "in.y", uri);
    await succeed({ ...spec, options: { ignoreUnknownValues: true } });
    assert.deepEqual(await values("t"), [1, 2]);
  },

  "JSON: a fraction is no INT64, and a name that is spelled otherwise is not lost": async ({ put, fail }) => {
    for (const [text, word] of [
      ['{"n": 1}\n{"n": 2.5}\n', '"n"'],
      ['{"n": 1}\n{"N": 2}\n', '"N"'],
    ] as const) {
      const uri = await put(text);
      const spec = {
        kind: "load",
        uris: [uri],
        format: "NEWLINE_DELIMITED_JSON",
        schema: n,
        destination: ref("t"),
      } as const;
      await fail({ ...spec, options: { ignoreUnknownValues: true } }, "invalid", uri, word);
    }
  },

  "JSON: a bad line is named": async ({ put, fail }) => {
    for (const [text, line] of [
      ['{"n": 1}\n{"n": \n', "line 2"],
      ['{"n": 1}\n{"n": 2}\n{"n": "many"}\n', "line 3"],
    ] as const) {
      const uri = await put(text);
      await fail(
        { kind: "load", uris: [uri], format: "NEWLINE_DELIMITED_JSON", schema: n, destination: ref("t") },
        "invalid",
        uri,
        line,
      );
    }
  },

  "JSON: without a schema it is detected": async ({ warehouse, put, succeed, select }) => {
    const uris = [
      await put(
        '{"n": 1, "at": "2024-05-01T10:00:00Z", "in": {"tags": ["x"]}}\n{"n": 2, "at": "2024-05-02T10:00:00Z", "in": {"tags": []}}\n',
      ),
    ];
    await succeed({ kind: "load", uris, format: "NEWLINE_DELIMITED_JSON", destination: ref("t") });
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, [
      column("n", "INT64"),
      column("at", "TIMESTAMP"),
      { ...column("in", "STRUCT"), fields: [column("tags", "STRING", "REPEATED")] },
    ]);
    assert.deepEqual(await select("SELECT `at` FROM `shop.t` WHERE n = 1"), [{ at: "2024-05-01T10:00:00Z" }]);
  },

  "Avro and ORC are read, or refused with what to do": async ({ put, run }) => {
    for (const format of ["AVRO", "ORC"] as const) {
      const { state, error } = await run({ kind: "load", uris: [await put("Obj")], format, destination: ref("t") });
      assert.equal(state, "failed");
      assert.equal(error?.reason, "invalid");
      assert.ok(error.message.includes("gs://drops/"));
    }
  },
};
