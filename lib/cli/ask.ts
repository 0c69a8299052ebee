/** A question to whoever sits at the terminal. */
import { env, stderr, stdin } from "node:process";
import { createInterface } from "node:readline/promises";

/** Whether somebody is there to be asked: not in a pipe, and not in CI. */
export function canAsk(): boolean {
  return stdin.isTTY && stderr.isTTY && (env["CI"] ?? "") === "";
}

/** Whether the answer was yes. Rejects when the signal is aborted. */
export async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
