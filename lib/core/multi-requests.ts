/** Requests that belong together: outputs of one multi-asset that are due at once are asked of its job, so that its code runs once. */
import { jobTopicOf, topicOf } from "./asset-key.ts";
import type { AssetDefinition } from "./asset.ts";
import { followsUpstreams } from "./automation.ts";
import type { Definitions } from "./definitions.ts";
import { shortHash } from "./hash.ts";
import type { MultiWish } from "./multi-asset.ts";
import { originOf } from "./previous-keys.ts";
import { runIdOf } from "./request.ts";
import type { Cause, OutboxMessage } from "./request.ts";

export interface Due {
  readonly asset: AssetDefinition;
  /** What the request stands for; left out, its message does. */
  readonly runKey?: string;
}

/** A message that asks for something, and the run that it begins, where its run key says which. */
export interface Asked extends OutboxMessage {
  readonly runId?: string;
}

/** The messages that ask for all that is due, of one partition and for one reason. */
export function requestsFor(
  { jobs }: Pick<Definitions, "jobs">,
  due: readonly Due[],
  common: { readonly cause: Cause; readonly partition?: string },
): readonly Asked[] {
  const groups = Map.groupBy(due, ({ asset: { key, multi } }) => (multi === undefined ? key : `${multi.name}.`));
  return [...groups.values()].flatMap((members) => {
    const name = members[0]?.asset.multi?.name ?? "";
    if (members.length > 1 && jobs.get(name)?.multi !== undefined) return [jobRequest(name, members, common)];
    return members.map(({ asset, runKey }) => ({
      topic: topicOf(asset.key),
      data: { ...common, ...(runKey === undefined ? {} : { runKey }) },
      ...(runKey === undefined
        ? {}
        : {
            runId: runIdOf("asset", originOf(asset), common.partition ?? "", runKey),
          }),
    }));
  });
}

function jobRequest(
  name: string,
  members: readonly Due[],
  { cause, partition }: { readonly cause: Cause; readonly partition?: string },
): Asked {
  const select = members.map(({ asset }) => asset.multi?.output ?? "");
  const config: MultiWish = { select, ...(partition === undefined ? {} : { partition }) };
  const keys = members.map(({ runKey }) => runKey);
  const known = keys.every((key) => key !== undefined);
  if (!known) return { topic: jobTopicOf(name), data: { cause, config } };
  const runKey = `outputs:${shortHash([partition ?? "", ...select, ...keys])}`;
  return {
    topic: jobTopicOf(name),
    data: { cause, config, runKey },
    runId: runIdOf("job", name, "", runKey),
  };
}

/** The assets that one message of an upstream is decided for together: an asset alone, or the outputs of a multi-asset. */
export function followersWith({ assets, jobs }: Pick<Definitions, "assets" | "jobs">, asset: AssetDefinition) {
  const outputs = Object.values(jobs.get(asset.multi?.name ?? "")?.multi?.outputs ?? {});
  const following = outputs.filter(({ key, automation }) => assets.has(key) && followsUpstreams(automation));
  return following.some(({ key }) => key === asset.key) ? following : [asset];
}
