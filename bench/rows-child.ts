/** A child of `rows.ts`: writes the same rows as a Parquet file in one of several ways, and reports what it took. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import process from "node:process";
import { DuckDBInstance } from "@duckdb/node-api";
import { z } from "zod";
import { rowCodec } from "../lib/core/row-codec.ts";
import { rowGate } from "../lib/core/row-gate.ts";
import { parquetWriter } from "../lib/runtime/parquet/writer.ts";
import { peakMb } from "./measure.ts";

const [file = "", how = "", rowsText = "0"] = process.argv.slice(2);
const total = Number(rowsText);

const schema = z.object({
  id: z.int(),
  address: z.string(),
  tier: z.enum(["low", "high"]),
  score: z.number().nullable(),
  day: z.iso.date(),
  at: z.iso.datetime(),
  active: z.boolean(),
});
type Score = z.output<typeof schema>;

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
  const codec = rowCodec(schema);
  const gate = rowGate(codec, { asset: "bench/scores", onInvalidRow: "fail" });
  const writer = parquetWriter(codec.columns);
  const out = createWriteStream(file);
  const send = async (parts: readonly Uint8Array[]): Promise<void> => {
    for (const part of parts) if (!out.write(part)) await once(out, "drain");
  };
  const put = (row: Score): boolean => {
    const checked = gate.take(row);
    if (checked !== undefined) writer.write(checked);
    return writer.full();
  };
  switch (how) {
    case "async":
      for await (const row of scoresLater()) if (put(row)) await send(writer.flush());
      break;
    case "pages":
      for (const page of pages()) for (const row of page) if (put(row)) await send(writer.flush());
      break;
    case "async-pages":
      for await (const page of pagesLater()) for (const row of page) if (put(row)) await send(writer.flush());
      break;
    case "unchecked":
      for (const row of scores()) {
        writer.write(row);
        if (writer.full()) await send(writer.flush());
      }
      break;
    default:
      for (const row of scores()) if (put(row)) await send(writer.flush());
  }
  await send(writer.finish());
  if (how !== "unchecked" && gate.end().rows !== total) throw new Error("rows are missing");
  out.end();
  await once(out, "finish");
}

/** What makes the row of a number: every one is a new object. */
function scoreOf(): (id: number) => Score {
  const two = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, "0"));
  const days = Array.from({ length: 366 }, (_, n) => new Date(Date.UTC(2024, 0, 1 + n)).toISOString().slice(0, 10));
  return (id) => {
    const second = id % 86_400;
    const day = days[Math.floor(id / 86_400) % 366] ?? "";
    return {
      id,
      address: `0x${(Math.imul(id, 2_654_435_761) >>> 0).toString(16)}`,
      tier: id % 3 === 0 ? "low" : "high",
      score: id % 11 === 0 ? null : (id % 1000) / 7,
      day,
      at: `${day}T${two[Math.floor(second / 3600)]}:${two[Math.floor(second / 60) % 60]}:${two[second % 60]}Z`,
      active: id % 7 === 0,
    };
  };
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
  for (const row of scores()) yield row;
}
async function* pagesLater(): AsyncGenerator<readonly Score[]> {
  for (const page of pages()) yield page;
}

async function byDuckDb(threads: string | undefined): Promise<void> {
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
