/** What the benchmarks share: children that report figures, statistics, and how a report looks. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, totalmem } from "node:os";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** The 3 million flights of `vega-datasets`. */
export const flightsFile = fileURLToPath(
  new URL("../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url),
);

/**
 * Runs a script of this folder in a process of its own, and reads the JSON that it prints. The script is trusted to print
 * what its caller expects.
 */
export async function child<T>(script: string, ...args: readonly string[]): Promise<T> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const running = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const [output] = await Promise.all([text(running.stdout), once(running, "close")]);
  if (running.exitCode !== 0) throw new Error(`${script} ended with ${running.exitCode ?? running.signalCode}`);
  return JSON.parse(output) as T;
}

/** Milliseconds of the clock that all processes of the machine share; only differences mean anything. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The value below which the share `p` of the values lies, by nearest rank. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return (low + high) / 2;
}

/** The largest memory that this process has held so far, in MB. */
export function peakMb(): number {
  return process.resourceUsage().maxRSS / 1024;
}

export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
}

export interface Report {
  readonly title: string;
  /** Rows of equal length; the first is the heading. */
  readonly table: readonly (readonly string[])[];
  readonly goals: readonly Goal[];
  /** Everything that was measured. */
  readonly figures: unknown;
  readonly notes: readonly string[];
}

/** Prints the report for people, or with `--json` for programs. A goal that is missed is the exit code 1. */
export function print(report: Report): void {
  const { title, table, goals, figures, notes } = report;
  const machine = {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "",
    memoryGb: Math.round(totalmem() / 1e9),
    node: process.version,
  };
  const met = goals.map((goal) => ({ ...goal, met: goal.value <= goal.limit }));
  if (met.some((goal) => !goal.met)) process.exitCode = 1;
  if (process.argv.includes("--json")) {
    process.stdout.write(`${JSON.stringify({ title, machine, goals: met, figures }, undefined, 2)}\n`);
    return;
  }
  const widths = (table[0] ?? []).map((_, at) => Math.max(...table.map((row) => (row[at] ?? "").length)));
  const lines = table.map((row) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join("  "),
  );
  const verdicts = met.map(
    ({ what, value, limit, unit, met: good }) =>
      `${good ? "✓" : "✗"} ${what}: ${value.toFixed(unit === "×" ? 2 : 1)} ${unit}, goal at most ${limit} ${unit}`,
  );
  const about = `${machine.cores} cores (${machine.processor}), ${machine.memoryGb} GB, Node ${machine.node}`;
  process.stdout.write(["", title, about, "", ...lines, "", ...verdicts, ...notes, ""].join("\n"));
}

export function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
