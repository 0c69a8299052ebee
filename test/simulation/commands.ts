/** What people do about runs and assets: they cancel, pause and resume, by the code that the command runs. */
import { jobTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import type { RunDocument } from "../../lib/core/documents.ts";
import type { Chance } from "./chance.ts";
import { onCancelAnswer } from "./cancels.ts";
import type { Instance, Instances } from "./instances.ts";
import type { Outside } from "./outside.ts";
import { SEVERAL } from "./projects.ts";
import type { Act, TimedAct } from "./schedule.ts";

export type Command =
  /** `which` run: of those that have not ended, or of all. `by` which process; `twice`: by both at once. */
  | { readonly do: "cancel"; readonly which: number; readonly by: number; readonly twice?: true }
  /** `asset`: its place among the project's. */
  | { readonly do: "pause" | "resume"; readonly asset: number; readonly by: number };

interface CommandsIn {
  readonly from: number;
  readonly steps: number;
  readonly assets: number;
  readonly often: boolean;
}

/** Commands for a schedule of so many steps, from its step `from` on; most schedules have none. */
export function commandsOf({ below, oneIn }: Chance, { from, steps, assets, often }: CommandsIn): readonly TimedAct[] {
  const acts: TimedAct[] = [];
  const add = (at: number, act: Act): void => void acts.push({ at, act });
  const cancel = (at: number): void =>
    add(at, { do: "cancel", which: below(64), by: below(2), ...(oneIn(4) ? { twice: true as const } : {}) });
  if (oneIn(often ? 2 : 10)) {
    const at = from + below(steps);
    cancel(at);
    if (oneIn(3)) cancel(at + below(8));
    if (oneIn(6)) cancel(from + below(steps));
  }
  if (oneIn(often ? 4 : 12)) {
    const asset = below(assets);
    const at = from + below(Math.max(1, steps >> 1));
    const until = at + 1 + below(20);
    add(at, { do: "pause", asset, by: below(2) });
    if (oneIn(4)) add(at + below(6), { do: "pause", asset, by: below(2) });
    // Where nobody does, somebody resumes it when all is quiet.
    if (!oneIn(5)) add(until, { do: "resume", asset, by: below(2) });
    if (oneIn(4)) add(until + below(4), { do: "resume", asset, by: below(2) });
    if (oneIn(6)) add(until + 1 + below(6), { do: "pause", asset, by: below(2) });
  }
  return acts;
}

export function command(around: Outside, instances: Instances, act: Command): void {
  const instance = instances.all[act.by % instances.all.length] ?? instances.newest();
  if (act.do === "cancel") {
    const runId = runToCancel(around, act.which);
    if (runId === undefined) return;
    for (const each of act.twice === true ? instances.all : [instance]) cancel(around, instances, each, runId);
    return;
  }
  const asset = [...instance.deployment.definitions.assets.keys()][act.asset];
  if (asset === undefined) return;
  around.journal.count(act.do);
  instances.command(instance, `${act.do} ${asset}`, ({ operations }) => operations[act.do](asset));
}

/** Three times of four, one that may still have an effect. */
function runToCancel({ documents }: Outside, which: number): string | undefined {
  const runs = documents.all("run");
  const waiting = documents.events.flatMap(({ type, run }) =>
    type === "run.coalesced" && run !== undefined && documents.get("run", run) === undefined ? [run] : [],
  );
  const open = [...runs.flatMap(([id, { endedAt }]) => (endedAt === undefined ? [id] : [])), ...waiting];
  const all = [...runs.map(([id]) => id), ...waiting];
  const choice = which % 4 === 0 || open.length === 0 ? all : open;
  return choice[(which >> 2) % choice.length];
}

function cancel(around: Outside, instances: Instances, instance: Instance, runId: string): void {
  around.journal.count("cancel");
  instances.command(instance, `cancel ${runId}`, async ({ operations }) => {
    const answer = await operations.cancel(runId, "a person");
    around.journal.count(`cancel answered: ${answer.kind}`);
    onCancelAnswer(around, runId, answer);
  });
}

/** Ends every pause; whether there was one. */
export function resumeAll({ documents, journal }: Outside, instances: Instances): boolean {
  const paused = documents.all("pause").flatMap(([id, { movedTo }]) => (movedTo === undefined ? [id] : []));
  for (const asset of paused) {
    journal.say?.(`resume ${asset}, when all is quiet`);
    instances.command(instances.newest(), `resume ${asset}`, ({ operations }) => operations.resume(asset));
  }
  return paused.length > 0;
}

/** Asks for all again that a person has canceled; whether there was anything. */
export function askAgain(around: Outside): boolean {
  const { documents, transport, deployed } = around;
  const canceled = documents.all("run").flatMap(([, run]) => (run.status === "canceled" ? [run] : []));
  let asked = false;
  const publish = (topic: string, data: unknown): void => {
    asked = true;
    around.journal.say?.(`asked for again on ${topic}: ${JSON.stringify(data)}`);
    transport.publish(topic, data);
  };
  for (const { kind, name, partition, request } of canceled as readonly RunDocument[]) {
    const { assets, jobs } = deployed.definitions;
    const day = partition === "" ? {} : { partition };
    if (kind === "job" && jobs.has(name)) publish(jobTopicOf(name), { config: request.config });
    else if (kind === "asset" && request.multi !== undefined) publish(jobTopicOf(SEVERAL), { config: day });
    else if (kind === "asset")
      for (const { key, previousKeys = [] } of assets.values())
        if (key === name || previousKeys.includes(name)) publish(topicOf(key), day);
  }
  return asked;
}
