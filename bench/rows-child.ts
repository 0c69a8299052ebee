/** A child of `rows.ts`: writes the same rows as a Parquet file in one of several ways, and reports what it took. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { DuckDBInstance } from "@duckdb/node-api";
import { rowCodec } from "../lib/core/row-codec.ts";
import { rowGate } from "../lib/core/row-gate.ts";
import { folderObjectStore } from "../lib/local/folder-object-store.ts";
import { systemClock } from "../lib/local/system-clock.ts";
import { writeRows } from "../lib/runtime/write-rows.ts";
import { peakMb } from "./measure.ts";
import { scoreOf, scoreSchema } from "./scores.ts";
import type { Score } from "./scores.ts";

const [home = "", how = "", rowsText = "0"] = process.argv.slice(2);
const total = Number(rowsText);

/** Rows of a page of a crawl. */
const PAGE = 100;

const cpu = process.cpuUsage();
const began = performance.now();
if (how.startsWith("duckdb")) await byDuckDb(how === "duckdb-1" ? "1" : undefined);
else await byRows();
const ms = performance.now() - began;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(JSON.stringify({ ms, cpuMs: (user + system) / 1000, peakMb: peakMb(), rows: total }));

async function byRows(): Promise<void> {
  if (how === "objects") {
    let sum = 0;
    for (const { id } of scores()) sum += id;
    if (sum !== (total * (total - 1)) / 2) throw new Error("rows are missing");
    return;
  }
  const codec = rowCodec(scoreSchema);
  const gate = rowGate(codec, { asset: "bench/scores", onInvalidRow: "fail" });
  await writeRows(produced(), codec.columns, gate.take, {
    objects: folderObjectStore({ root: home, clock: systemClock() }),
    bucket: "rows",
    nameOf: () => `${how}.parquet`,
    partBytes: Infinity,
    signal: new AbortController().signal,
  });
  if (gate.end().rows !== total) throw new Error("rows are missing");
}

function produced(): Iterable<unknown> | AsyncIterable<unknown> {
  switch (how) {
    case "async":
      return scoresLater();
    case "pages":
      return pages();
    case "async-pages":
      return pagesLater();
    default:
      return scores();
  }
}

/** An author's generator. */
function* scores(): Generator<Score> {
  const score = scoreOf();
  for (let id = 0; id < total; id++) yield score(id);
}

/** That of an author whose source gives many rows at a time. */
function* pages(): Generator<readonly Score[]> {
  const score = scoreOf();
  for (let from = 0; from < total; from += PAGE)
    yield Array.from({ length: Math.min(PAGE, total - from) }, (_, at) => score(from + at));
}

// The generators of an author who awaits something now and then; these never do.
async function* scoresLater(): AsyncGenerator<Score> {
  const score = scoreOf();
  for (let id = 0; id < total; id++) yield score(id);
}
async function* pagesLater(): AsyncGenerator<readonly Score[]> {
  for (const page of pages()) yield page;
}

async function byDuckDb(threads: string | undefined): Promise<void> {
  await mkdir(join(home, "rows"), { recursive: true });
  const file = join(home, "rows", `${how}.parquet`);
  const instance = await DuckDBInstance.create(":memory:", threads === undefined ? {} : { threads });
  const link = await instance.connect();
  await link.run("SET TimeZone = 'UTC'");
  await link.run(`
    COPY (
      SELECT i AS id,
             '0x' || printf('%x', (i * 2654435761) % 4294967296) AS address,
             CASE WHEN i % 3 = 0 THEN 'low' ELSE 'high' END AS tier,
             CASE WHEN i % 11 = 0 THEN NULL ELSE (i % 1000) / 7.0::DOUBLE END AS score,
             DATE '2024-01-01' + CAST((i // 86400) % 366 AS INTEGER) AS day,
             TIMESTAMPTZ '2024-01-01T00:00:00Z' + to_seconds(((i // 86400) % 366) * 86400 + i % 86400) AS at,
             i % 7 = 0 AS active
      FROM range(${total}) AS t(i)
    ) TO '${file.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION snappy)`);
  link.closeSync();
  instance.closeSync();
}
