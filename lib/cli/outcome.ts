/** What a put or a published message has led to. */
import { clockText } from "./tables.ts";
import type { ExitCode } from "./command.ts";
import type { Follower } from "./follow.ts";
import { runResult } from "./follow.ts";
import type { Shell } from "./shell.ts";

/** Follows until all is done that can be done now, and says what sleeps; 1 when a run failed or the request was refused. */
export async function seeThrough(
  shell: Shell,
  follower: Follower,
): Promise<{ readonly code: ExitCode; readonly result: object }> {
  await follower.untilSettled();
  const runs = await follower.runs();
  const refusal = follower.refusal();
  for (const { name, partition, endedAt, wakeAt } of runs) {
    if (endedAt !== undefined) continue;
    const until = wakeAt === undefined ? "is not done" : `sleeps until ${clockText(wakeAt)}`;
    shell.warn(
      `${[name, partition].filter((part) => part !== "").join(" ")} ${until}; it goes on under \`sluice dev\` or with the next command`,
    );
  }
  const failed = refusal !== undefined || runs.some(({ status }) => status === "failed");
  const result = { runs: runs.map(runResult), ...(refusal === undefined ? {} : { refused: refusal }) };
  return { code: failed ? 1 : 0, result };
}
