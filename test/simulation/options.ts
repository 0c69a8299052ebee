/** What the simulator's command was asked for. */
import { parseArgs } from "node:util";

export interface SimulateOptions {
  /** How many seeds, from which one on, and in how many threads. */
  readonly seeds: number;
  readonly from: number;
  /** `from` was left to chance. */
  readonly chosen: boolean;
  readonly jobs: number;
  /** The one seed to be played instead. */
  readonly seed?: number;
  /** The projects whose seeds are played; all of them where it is left out. */
  readonly only?: readonly string[];
  readonly trace: boolean;
  readonly guards: boolean;
}

/** Random first seeds are below it: two seeds play the same where they differ by 2^32, and the last one has to be below that. */
const FRESH_BELOW = 4_000_000_000;

/** The options, or one line that says what is wrong with them. `random` gives a number from 0 to 1, as `Math.random` does. */
export function optionsOf(
  args: readonly string[],
  random: () => number,
): { readonly options: SimulateOptions } | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string", default: "1000" },
        from: { type: "string", default: "0" },
        jobs: { type: "string", default: "1" },
        seed: { type: "string" },
        only: { type: "string" },
        trace: { type: "boolean", default: false },
        guards: { type: "boolean", default: false },
      },
    });
    const chosen = values.from === "random";
    return {
      options: {
        seeds: wholeNumber("seeds", values.seeds, 1),
        from: chosen ? Math.floor(random() * FRESH_BELOW) : wholeNumber("from", values.from, 0),
        chosen,
        jobs: wholeNumber("jobs", values.jobs, 1),
        ...(values.seed === undefined ? {} : { seed: wholeNumber("seed", values.seed, 0) }),
        ...(values.only === undefined ? {} : { only: values.only.split(",") }),
        trace: values.trace,
        guards: values.guards,
      },
    };
  } catch (error) {
    // The parser's own errors may have several sentences; the first says what is wrong.
    const [problem = ""] = String(error instanceof Error ? error.message : error).split(/(?<=\.) |\n/);
    return { problem };
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number) && number >= least) return number;
  const also = name === "from" ? ', or "random"' : "";
  throw new Error(`--${name}: expected a whole number from ${least} on${also}, got ${JSON.stringify(text)}`);
}
