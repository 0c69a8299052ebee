/** Asks the job of a multi-asset for several outputs at once, and follows their runs to the end. */
import { jobTopicOf } from "../core/asset-key.ts";
import type { RunDocument } from "../core/documents.ts";
import { multiRunKey } from "../core/multi-asset.ts";
import { runIdOf } from "../core/request.ts";
import type { AssetEntry } from "./catalog.ts";
import { requestAndFollow } from "./request-run.ts";
import type { Requested } from "./request-run.ts";
import type { Shell } from "./shell.ts";
import type { Workbench } from "./workbench.ts";

/** What became of each output, by its key. Where the job did not come to its end, that is what became of each. */
export async function requestOutputs(
  shell: Shell,
  bench: Workbench,
  outputs: readonly AssetEntry[],
  wishes: Readonly<Record<string, unknown>>,
): Promise<ReadonlyMap<string, Requested>> {
  const name = outputs[0]?.multi?.name ?? "";
  const keys = new Set(outputs.map(({ key }) => key));
  const select = outputs.flatMap(({ multi }) => multi?.output ?? []);
  const jobOf = (runs: readonly RunDocument[]): RunDocument | undefined => runs.find(({ kind }) => kind === "job");
  const { refusal, runs } = await requestAndFollow(shell, bench, {
    name,
    topic: jobTopicOf(name),
    wishes: { config: { ...wishes, select } },
    with: (runKey) => [multiRunKey(runIdOf("job", name, "", runKey))],
    areOver: (all) => {
      const job = jobOf(all);
      if (job?.endedAt === undefined) return false;
      const ended = new Set(all.filter(({ endedAt }) => endedAt !== undefined).map((run) => run.name));
      return job.status !== "succeeded" || [...keys].every((key) => ended.has(key));
    },
  });
  const job = jobOf(runs);
  return new Map(
    [...keys].map((key): [string, Requested] => {
      if (refusal !== undefined) return [key, { kind: "refused", reason: refusal }];
      const run = runs.find((each) => each.name === key) ?? job;
      if (run === undefined) throw new Error(`the run of ${name} has gone`);
      return [key, { kind: "run", run }];
    }),
  );
}
