/** What a put or a published message has led to. */
import { clockText } from "./tables.ts";
import type { ExitCode } from "./command.ts";
import type { Follower } from "./follow.ts";
import { runResult } from "./follow.ts";
import { goesOn } from "./elsewhere.ts";
import type { Shell } from "./shell.ts";
import type { Workbench } from "./workbench.ts";

/**
 * Follows until all is done that can be done now, in a deployment until the run has ended, and says what sleeps; 1 when a run
 * failed or was canceled, or the request was refused.
 */
export async function seeThrough(
  shell: Shell,
  bench: Pick<Workbench, "deployment">,
  follower: Follower,
): Promise<{ readonly code: ExitCode; readonly result: object }> {
  await (bench.deployment === undefined ? follower.untilSettled() : follower.untilEnded());
  const runs = await follower.runs();
  const refusal = follower.refusal();
  for (const { name, partition, endedAt, wakeAt } of runs) {
    if (endedAt !== undefined) continue;
    const until = wakeAt === undefined ? "is not done" : `sleeps until ${clockText(wakeAt)}`;
    shell.warn(`${[name, partition].filter((part) => part !== "").join(" ")} ${until}; it goes on ${goesOn(bench)}`);
  }
  const failed = refusal !== undefined || runs.some(({ status }) => status === "failed" || status === "canceled");
  const result = { runs: runs.map(runResult), ...(refusal === undefined ? {} : { refused: refusal }) };
  return { code: failed ? 1 : 0, result };
}
