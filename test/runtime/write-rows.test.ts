import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PermanentError } from "../../lib/core/errors.ts";
import type { Column } from "../../lib/core/table.ts";
import { folderObjectStore } from "../../lib/local/folder-object-store.ts";
import type { FolderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import { checkpointDesk } from "../../lib/runtime/checkpoint.ts";
import type { Row } from "../../lib/runtime/parquet/writer.ts";
import { writeRows } from "../../lib/runtime/write-rows.ts";
import type { Saves } from "../../lib/runtime/write-rows.ts";
import type { PartDestination } from "../../lib/runtime/part-series.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

const columns: readonly Column[] = [{ name: "n", type: "INT64", mode: "REQUIRED" }];
const home = mkdtempSync(join(tmpdir(), "sluice-write-rows-"));
let store: FolderObjectStore;
let duck: Duck;
before(async () => {
  store = folderObjectStore({ root: home, clock: systemClock() });
  duck = await openDuck();
});
after(() => {
  duck.close();
  rmSync(home, { recursive: true });
});

let calls = 0;
function destination(more: Partial<PartDestination> = {}): PartDestination {
  const folder = `case-${++calls}`;
  return {
    objects: store,
    bucket: "staging",
    nameOf: (index) => `${folder}/${index}.parquet`,
    partBytes: 1 << 20,
    signal: new AbortController().signal,
    ...more,
  };
}
/** All rows fit that are objects. */
const take = (row: unknown): Row | undefined => (typeof row === "object" ? (row as Row) : undefined);

async function numbersIn(to: PartDestination, parts: number): Promise<readonly unknown[]> {
  const paths = Array.from({ length: parts }, (_, index) => `'${store.pathOf(to.bucket, to.nameOf(index))}'`);
  const rows = await duck.query(`SELECT n::INT AS n FROM read_parquet([${paths.join(", ")}]) ORDER BY n`);
  return rows.map(({ n }) => n);
}

const three = [{ n: 1 }, { n: 2 }, { n: 3 }];
const forms: Readonly<Record<string, () => unknown>> = {
  "an array": () => three,
  "a set": () => new Set(three),
  "an array of pages": () => [three.slice(0, 2), [], three.slice(2)],
  "a generator of pages and rows": async function* () {
    yield three.slice(0, 2);
    yield three[2];
  },
  "a promise of an array": () => Promise.resolve(three),
  "an async iterable": () => ({ [Symbol.asyncIterator]: () => three.values() }),
  "a generator": function* () {
    yield* three;
  },
  "an async generator": async function* () {
    yield* three;
  },
  "rows of which some are left out": () => ["x", ...three, undefined, "y"],
};
for (const [form, make] of Object.entries(forms)) {
  test(`${form} becomes a file`, async () => {
    const to = destination();
    const parts = await writeRows(make(), columns, take, to);
    assert.deepEqual(
      parts.map(({ name }) => name),
      [to.nameOf(0)],
    );
    const info = await store.stat(to.bucket, to.nameOf(0));
    assert.equal(info?.generation, parts[0]?.generation);
    assert.deepEqual(await numbersIn(to, 1), [1, 2, 3]);
  });
}

test("no rows are one file, without rows", async () => {
  const to = destination();
  assert.equal((await writeRows([], columns, take, to)).length, 1);
  assert.deepEqual(await numbersIn(to, 1), []);
});

test("a part ends with the row group that makes it large enough, and no row is lost between two", async () => {
  const to = destination({ partBytes: 1, parquet: { rowGroupRows: 100 } });
  const rows = Array.from({ length: 250 }, (_, n) => ({ n }));
  const parts = await writeRows(rows, columns, take, to);
  assert.equal(parts.length, 3);
  assert.deepEqual(
    await numbersIn(to, 3),
    rows.map(({ n }) => n),
  );
});

test("what is no rows is refused", async () => {
  for (const nothing of [undefined, null, 7, {}, "text", () => three])
    await assert.rejects(
      async () => await writeRows(nothing, columns, take, destination()),
      (error: unknown) => error instanceof PermanentError && error.code === "no-rows",
    );
});

test("an error in the rows comes out as it is, and there is no file", async () => {
  const fault = new Error("the source hung up");
  const to = destination();
  let closed = false;
  async function* rows(): AsyncGenerator<Row> {
    try {
      yield { n: 1 };
      throw fault;
    } finally {
      closed = true;
    }
  }
  await assert.rejects(writeRows(rows(), columns, take, to), (error: unknown) => error === fault);
  assert.equal(closed, true);
  assert.equal(await store.stat(to.bucket, to.nameOf(0)), undefined);
});

test("when a row is refused, the store fails, or the run is cut off, the author's generator is ended", async () => {
  const abort = new AbortController();
  const cut = new Error("cut off");
  const cases: readonly (readonly [Error, (row: unknown) => Row | undefined, Partial<PartDestination>])[] = [
    [
      new Error("refused"),
      () => {
        throw cases[0]?.[0] ?? cut;
      },
      {},
    ],
    [
      new Error("the disk is full"),
      take,
      {
        objects: {
          async write(_bucket, _name, body) {
            for await (const _ of body) throw cases[1]?.[0] ?? cut;
            return assert.fail("there were bytes");
          },
        },
        parquet: { rowGroupRows: 10 },
      },
    ],
    [
      cut,
      (row) => {
        abort.abort(cut);
        return take(row);
      },
      { signal: abort.signal, parquet: { rowGroupRows: 10 } },
    ],
  ];
  for (const [expected, taking, more] of cases) {
    let closed = false;
    function* endless(): Generator<Row> {
      try {
        for (let n = 0; ; n++) yield { n };
      } finally {
        closed = true;
      }
    }
    const to = destination(more);
    await assert.rejects(writeRows(endless(), columns, taking, to), (error: unknown) => error === expected);
    assert.equal(closed, true, expected.message);
    assert.equal(await store.stat(to.bucket, to.nameOf(0)), undefined);
  }
});

test("a source that hangs does not hold up a run that is cut off", async () => {
  const abort = new AbortController();
  const cut = new Error("cut off");
  async function* hanging(): AsyncGenerator<Row> {
    yield { n: 1 };
    setTimeout(() => abort.abort(cut), 20);
    await new Promise<never>(() => undefined);
  }
  const to = destination({ signal: abort.signal });
  await assert.rejects(writeRows(hanging(), columns, take, to), (error: unknown) => error === cut);
  assert.equal(await store.stat(to.bucket, to.nameOf(0)), undefined);
});

/** Saves that note, for each value, how many rows were taken and how many parts were whole by then. */
function notes(to: PartDestination) {
  const desk = checkpointDesk({ last: undefined, clock: { now: () => 0 }, pauseMs: () => 0 });
  const noted: string[] = [];
  let rows = 0;
  const parts = async (): Promise<number> => {
    for (let index = 0; ; index++) if ((await store.stat(to.bucket, to.nameOf(index))) === undefined) return index;
  };
  const saves: Saves = {
    ...desk,
    serve: () =>
      desk.serve(async (value) => void noted.push(`${JSON.stringify(value)}: ${rows} rows, ${await parts()} parts`)),
  };
  const counted = (row: unknown): Row | undefined => {
    rows++;
    return take(row);
  };
  return { save: desk.checkpoint.save, saves, noted, counted };
}

test("a save comes after the rows before it and before the rows after it, and ends a part only where rows came", async () => {
  const to = destination();
  const { save, saves, noted, counted } = notes(to);
  async function* rows(): AsyncGenerator<Row> {
    await save("a");
    yield { n: 1 };
    yield { n: 2 };
    await save("b");
    await save("c");
    await new Promise((resolve) => setTimeout(resolve, 1));
    await Promise.all([save("d"), save("e")]);
    yield { n: 3 };
    await save("f");
  }
  const parts = await writeRows(rows(), columns, counted, to, saves);
  assert.equal(parts.length, 2);
  assert.deepEqual(noted, [
    '"a": 0 rows, 0 parts',
    '"b": 2 rows, 1 parts',
    '"c": 2 rows, 1 parts',
    '"d": 2 rows, 1 parts',
    '"e": 2 rows, 1 parts',
    '"f": 3 rows, 2 parts',
  ]);
  assert.deepEqual(await numbersIn(to, 2), [1, 2, 3]);
});

test("a save that nobody waits for has its place among the rows all the same", async () => {
  const forms: readonly ((save: (value: string) => Promise<void>) => Iterable<Row> | AsyncIterable<Row>)[] = [
    async function* (save) {
      yield { n: 1 };
      void save("a");
      yield { n: 2 };
      void save("b");
    },
    function* (save) {
      yield { n: 1 };
      void save("a");
      yield { n: 2 };
      void save("b");
    },
  ];
  for (const form of forms) {
    const to = destination();
    const { save, saves, noted, counted } = notes(to);
    assert.equal((await writeRows(form(save), columns, counted, to, saves)).length, 2);
    assert.deepEqual(noted, ['"a": 1 rows, 1 parts', '"b": 2 rows, 2 parts']);
  }
});

test("code that saves before it returns its rows is served", async () => {
  const to = destination();
  const { save, saves, noted, counted } = notes(to);
  const produce = async (): Promise<readonly Row[]> => {
    await save("a");
    return three;
  };
  assert.equal((await writeRows(produce(), columns, counted, to, saves)).length, 1);
  assert.deepEqual(noted, ['"a": 0 rows, 0 parts']);
});

test("rows go on after the parts that are there", async () => {
  const to = destination();
  const first = await writeRows([{ n: 1 }], columns, take, to);
  const both = await writeRows([{ n: 2 }], columns, take, { ...to, after: first });
  assert.deepEqual(both[0], first[0]);
  assert.deepEqual(await numbersIn(to, 2), [1, 2]);
  assert.deepEqual(await writeRows([], columns, take, { ...to, after: both }), both);
});

test("a save whose part cannot be stored fails with it, also in code that saves once more on its way out", async () => {
  const fault = new Error("the disk is full");
  const seen: unknown[] = [];
  const to = destination({ objects: { write: () => Promise.reject(fault) } });
  const { save, saves, noted, counted } = notes(to);
  async function* rows(): AsyncGenerator<Row> {
    try {
      yield { n: 1 };
      await save("a");
      yield { n: 2 };
    } catch (error) {
      seen.push(error);
    } finally {
      await save("b").catch((error: unknown) => seen.push(error));
    }
  }
  await assert.rejects(writeRows(rows(), columns, counted, to, saves), (error: unknown) => error === fault);
  assert.deepEqual([seen, noted], [[fault, fault], []]);
});

test("more parts than a load takes are refused with the remedy", async () => {
  const to = destination();
  const after = Array.from({ length: 9_000 }, (_, index) => ({ name: to.nameOf(index), generation: "1" }));
  await assert.rejects(
    writeRows([{ n: 1 }], columns, take, { ...to, after }),
    (error: unknown) =>
      error instanceof PermanentError && error.code === "too-many-parts" && /less often/.test(error.message),
  );
});

test("a page that is larger than a row group goes to the store on the way, and ends a part only with a row group", async () => {
  const page = Array.from({ length: 1000 }, (_, n) => ({ n }));
  const to = destination({ partBytes: 1, parquet: { rowGroupRows: 300 } });
  const parts = await writeRows([page, page.slice(0, 1)], columns, take, to);
  assert.equal(parts.length, 4);
  assert.deepEqual((await numbersIn(to, 4)).slice(0, 3), [0, 0, 1]);
  assert.equal((await numbersIn(to, 4)).length, 1001);
});
