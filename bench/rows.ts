/**
 * Ten million rows from JavaScript objects to a Parquet file, against DuckDB writing the same from its own generator; and the whole way
 * into a table.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { child, median, print } from "./measure.ts";

interface Round {
  readonly ms: number;
  /** Of all threads. */
  readonly cpuMs: number;
  readonly peakMb: number;
  readonly rows: number;
  readonly fileMb: number;
}

/** Of the whole way. */
interface Trip extends Omit<Round, "fileMb"> {
  /** What passed, and the peak, until the load job began: the rows are then checked and staged. */
  readonly untilLoadMs: number;
  readonly untilLoadMb: number;
}

const ways = {
  duckdb: "DuckDB, all cores",
  "duckdb-1": "DuckDB, one thread",
  checked: "rows, checked and written",
  pages: "the same, a hundred a yield",
  async: "rows, from an async generator",
  "async-pages": "the same, a hundred a yield",
  objects: "the generator alone",
} as const;
type Way = keyof typeof ways;
/** How an author's rows may come. */
const WRITTEN = ["checked", "pages", "async", "async-pages"] as const;
// The literal above has exactly these keys.
const names = Object.keys(ways) as Way[];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    rows: { type: "string", default: "10000000" },
    json: { type: "boolean" },
  },
});
const [rounds, rows] = [Number(values.rounds), Number(values.rows)];
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds is a whole number, at least 1");
if (!Number.isInteger(rows) || rows < 1) throw new Error("--rows is a whole number, at least 1");

const measured: Record<Way, Round[]> = {
  duckdb: [],
  "duckdb-1": [],
  checked: [],
  pages: [],
  async: [],
  "async-pages": [],
  objects: [],
};
const trips: Trip[] = [];
const home = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const file = (way: Way): string => join(home, "rows", `${way}.parquet`);
try {
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const way = names[(round + turn) % names.length] ?? "checked";
      const result = await child<Omit<Round, "fileMb">>("rows-child.ts", home, way, String(rows));
      const fileMb = way === "objects" ? 0 : (await stat(file(way))).size / 1e6;
      measured[way].push({ ...result, fileMb });
    }
    trips.push(await wholeWay());
  }
  for (const way of WRITTEN) await compare(way);
} finally {
  await rm(home, { recursive: true, force: true });
}

const of = (way: Way, figure: keyof Round): number => median(measured[way].map((round) => round[figure]));
const speed = (way: Way): number => (rows / of(way, "ms")) * 1000;
const ofTrips = (figure: keyof Trip): number => median(trips.map((trip) => trip[figure]));

print({
  title: `${rows.toLocaleString("en-US")} rows of 7 columns into a Parquet file, medians of ${rounds} rounds`,
  table: [
    ["", "time", "processor", "rows a second", "to DuckDB, all cores", "to one thread", "peak memory", "file"],
    ...names.map((way) => [
      ways[way],
      `${(of(way, "ms") / 1000).toFixed(2)} s`,
      `${(of(way, "cpuMs") / 1000).toFixed(2)} s`,
      Math.round(speed(way)).toLocaleString("en-US"),
      (speed(way) / speed("duckdb")).toFixed(2),
      (speed(way) / speed("duckdb-1")).toFixed(2),
      `${of(way, "peakMb").toFixed(0)} MB`,
      `${of(way, "fileMb").toFixed(0)} MB`,
    ]),
    [
      "from an async generator into a table",
      `${(ofTrips("ms") / 1000).toFixed(2)} s`,
      `${(ofTrips("cpuMs") / 1000).toFixed(2)} s`,
      Math.round((rows / ofTrips("ms")) * 1000).toLocaleString("en-US"),
      "",
      "",
      `${ofTrips("peakMb").toFixed(0)} MB`,
      "",
    ],
  ],
  goals: [
    ...(["checked", "async"] as const).map((way) => ({
      what: `time, ${ways[way]}, to DuckDB on all cores`,
      value: of(way, "ms") / of("duckdb", "ms"),
      limit: 3,
      unit: "×",
    })),
    { what: "memory, the writer", value: Math.max(...WRITTEN.map((way) => of(way, "peakMb"))), limit: 300, unit: "MB" },
    { what: "memory, the whole way", value: Math.max(...trips.map(({ peakMb }) => peakMb)), limit: 300, unit: "MB" },
  ],
  figures: { ...measured, trips },
  notes: [
    "  Rows are JavaScript objects in one thread; the file is the same, value by value, as DuckDB's own.",
    `  Of the whole way: ${(ofTrips("untilLoadMs") / 1000).toFixed(2)} s and ${ofTrips("untilLoadMb").toFixed(0)} MB until the load begins.`,
  ],
});

async function wholeWay(): Promise<Trip> {
  const place = join(home, "platform");
  try {
    const trip = await child<Trip>("rows-platform.ts", place, String(rows));
    if (trip.rows !== rows) throw new Error(`the table has ${trip.rows} rows, not ${rows}`);
    return trip;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** The two files hold the same rows, as DuckDB reads them. */
async function compare(way: Way): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const link = await instance.connect();
  const sums = (of: Way): string =>
    `(SELECT row(count(*), bit_xor(hash(id, address, tier, score, day, "at", active))) FROM '${file(of)}')`;
  const reader = await link.runAndReadAll(`SELECT ${sums(way)} = ${sums("duckdb")}`);
  const same = reader.getRows()[0]?.[0];
  link.closeSync();
  instance.closeSync();
  if (same !== true) throw new Error(`${ways[way]}: the file holds other rows than DuckDB's`);
}
