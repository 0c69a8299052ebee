/** A question to whoever sits at the terminal. */
import { env, stderr, stdin } from "node:process";
import { createInterface } from "node:readline/promises";

/** Whether somebody is there to be asked: not in a pipe, and not in CI. */
export function canAsk(): boolean {
  return stdin.isTTY && stderr.isTTY && (env["CI"] ?? "") === "";
}

/** Whether the answer was yes. Rejects when the signal is aborted. */
export async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  return /^y(es)?$/i.test(await askText(`${question} [y/N]`, signal));
}

/** The answer, without blanks around it. Rejects when the signal is aborted. */
export async function askText(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    return (await lines.question(`${question} `, { signal })).trim();
  } finally {
    lines.close();
  }
}
