/** The 3-million-row file through the platform, against DuckDB alone doing the same load. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { child, median, ms, print } from "./measure.ts";

interface Round {
  readonly startMs: number;
  readonly loadMs: number;
  readonly finishedMs: number;
  readonly peakMb: number;
  readonly rows: number;
  /** Of the platform alone: until the load job begins, from there until the publish job begins, and until the commit. */
  readonly beforeMs?: number;
  readonly stagingMs?: number;
  readonly publishMs?: number;
}

const ROWS = 3_000_000;
const contestants = {
  "DuckDB, one statement": ["import-duckdb.ts", "bare"],
  "DuckDB, staged and swapped": ["import-duckdb.ts", "careful"],
  "the platform": ["import-platform.ts"],
} as const;
type Contestant = keyof typeof contestants;
const names: readonly Contestant[] = ["DuckDB, one statement", "DuckDB, staged and swapped", "the platform"];

const { values } = parseArgs({ options: { rounds: { type: "string", default: "9" }, json: { type: "boolean" } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds is a whole number, at least 1");

const measured: Record<Contestant, Round[]> = {
  "DuckDB, one statement": [],
  "DuckDB, staged and swapped": [],
  "the platform": [],
};
// Interleaved, each time in another order, after a round that only warms the disk's cache.
for (let round = 0; round <= rounds; round++) {
  for (let turn = 0; turn < names.length; turn++) {
    const name = names[(round + turn) % names.length] ?? "the platform";
    const result = await measure(name);
    if (round > 0) measured[name].push(result);
  }
}

const of = (name: Contestant, figure: keyof Round): number =>
  median(measured[name].map((round) => round[figure] ?? NaN));
const [bare, platform]: [Contestant, Contestant] = ["DuckDB, one statement", "the platform"];
const ratioOf = (name: Contestant): number => of(name, "loadMs") / of(bare, "loadMs");
const fastest = (name: Contestant): number => Math.min(...measured[name].map(({ loadMs }) => loadMs));
/** The median of what each round says by itself. */
const paired = median(measured[platform].map(({ loadMs }, round) => loadMs / (measured[bare][round]?.loadMs ?? NaN)));
const extraMb = of(platform, "peakMb") - of(bare, "peakMb");

print({
  title: `Import of ${ROWS.toLocaleString("en-US")} rows, medians of ${rounds} rounds`,
  table: [
    ["", "load", "min", "max", "ratio", "peak memory", "process start"],
    ...names.map((name) => {
      return [
        name,
        ms(of(name, "loadMs")),
        ms(fastest(name)),
        ms(Math.max(...measured[name].map(({ loadMs }) => loadMs))),
        ratioOf(name).toFixed(3),
        `${of(name, "peakMb").toFixed(0)} MB`,
        ms(of(name, "startMs")),
      ];
    }),
  ],
  goals: [
    { what: "time, the platform to one statement", value: ratioOf(platform), limit: 1.15, unit: "×" },
    { what: "memory beyond one statement", value: extraMb, limit: 100, unit: "MB" },
  ],
  figures: measured,
  notes: [
    `  By other counts: ${(fastest(platform) / fastest(bare)).toFixed(3)} of the fastest rounds, ${paired.toFixed(3)} as the median of the rounds' own ratios.`,
    `  Of the platform's time: ${ms(of(platform, "beforeMs"))} until the load job begins, ${ms(of(platform, "stagingMs"))} for the load and the audit,`,
    `  ${ms(of(platform, "publishMs"))} to publish and commit; ${ms(of(platform, "finishedMs") - of(platform, "loadMs"))} more until the staging is put away.`,
  ],
});

async function measure(name: Contestant): Promise<Round> {
  const home = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    const [script, ...args] = contestants[name];
    const result = await child<Round>(script, home, ...args);
    if (result.rows !== ROWS) throw new Error(`${name} has loaded ${result.rows} rows, not ${ROWS}`);
    return result;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
