/** What `npm run kills` was asked for: which test, and what it is told. */
import { parseArgs } from "node:util";

export interface AskedKills {
  /** The test's file, from here. */
  readonly test: string;
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
}

/** What plays the rounds, or one line that says what is wrong with them. */
export function killsOf(args: readonly string[]): AskedKills | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        emulators: { type: "boolean", default: false },
        rounds: { type: "string" },
        seed: { type: "string" },
      },
    });
    const { emulators, rounds, seed } = values;
    const seeded = seed === undefined ? {} : { SLUICE_SEED: wholeNumber("seed", seed, 0) };
    // Whoever asks for the emulators is not to hear that nothing has failed because they are missing.
    if (emulators)
      return {
        test: "../cloud/kills.emulator.ts",
        env: { SLUICE_KILL_ROUNDS: wholeNumber("rounds", rounds ?? "200", 1), CI_EMULATORS: "required", ...seeded },
        args: ["--test-name-pattern=rounds of kills|emulator is there"],
      };
    return {
      test: "../e2e/kill.test.ts",
      env: { SLUICE_KILLS: wholeNumber("rounds", rounds ?? "1000", 20), ...seeded },
      args: [],
    };
  } catch (error) {
    const [problem = ""] = String(error instanceof Error ? error.message : error).split(/(?<=\.) |\n/);
    return { problem };
  }
}

function wholeNumber(name: string, text: string, least: number): string {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return text;
  throw new Error(`--${name}: expected a whole number from ${least} on, got ${JSON.stringify(text)}`);
}
