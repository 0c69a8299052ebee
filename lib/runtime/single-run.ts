/** What a run is to a backfill by a single run: the one that makes the range, or one that records what was made. */
import type { AssetDefinition } from "../core/asset.ts";
import { backfillOf, backfillRunKey } from "../core/backfill.ts";
import type { BackfillDocument } from "../core/documents.ts";
import { put, ref } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { partitionSpan } from "../core/partition-span.ts";
import { originOf, presentKey } from "../core/previous-keys.ts";
import { runIdOf } from "../core/request.ts";
import { holds, runRefs } from "../core/run-identity.ts";
import { upstreamsDigest } from "../core/single-run.ts";
import type { Execution } from "./execution.ts";
import { ClaimLost } from "./interruptions.ts";
import { upstreamVersions } from "./upstream-versions.ts";

export type SingleRun =
  | { readonly kind: "makes"; readonly keys: readonly string[] }
  | {
      readonly kind: "made";
      /** The run that made this partition with others. */
      readonly by: string;
      /** What of its upstreams it was made from. */
      readonly upstreams: Readonly<Record<string, string>>;
    };

/**
 * `undefined` for a run that makes its own partition, as every run does that is not of such a backfill; where the range's run
 * turns out not to have made this one (an older version of the code may have executed it); and where an upstream has changed since.
 */
export async function singleRunOf(execution: Execution, asset: AssetDefinition): Promise<SingleRun | undefined> {
  const { services, identity, request } = execution;
  const id = backfillOf(request.runKey);
  if (asset.backfill === undefined || id === undefined) return undefined;
  if (request.runKey !== backfillRunKey(id, identity.partition)) return undefined;
  const backfill = await services.events.get("backfill", id);
  if (backfill?.singleRun !== true) return undefined;
  if (presentKey(services.definitions().assets, backfill.asset) !== asset.key) return undefined;
  return backfill.from === identity.partition ? makes(asset, backfill) : await made(execution, asset, backfill);
}

function makes({ key, partitions }: AssetDefinition, { from, to, total }: BackfillDocument): SingleRun {
  const span = partitions === undefined ? undefined : partitionSpan(partitions, from, to);
  if (span?.total !== total)
    throw new PermanentError(`the partitions of ${key} are not those that the backfill began with: start a new one`, {
      code: "partitions-changed",
    });
  return { kind: "makes", keys: Array.from({ length: total }, (_, n) => span.at(n)) };
}

async function made(
  execution: Execution,
  asset: AssetDefinition,
  { id, from }: BackfillDocument,
): Promise<SingleRun | undefined> {
  const { services, identity } = execution;
  const { partition } = identity;
  const by = runIdOf("asset", originOf(asset), from, backfillRunKey(id, from));
  const run = await services.events.get("run", by);
  const { range } = run ?? {};
  if (run?.status !== "succeeded" || range === undefined || range.token !== run.token) return undefined;
  if (!Object.hasOwn(range.upstreams, partition)) return undefined;
  const now = await upstreamVersions(execution, asset, partition);
  // What has changed since may have been read, or not. Nobody else would make it anew: a run for that very change may have ended
  // before the range's run wrote over what it had made, and its run key is taken.
  return range.upstreams[partition] === upstreamsDigest(now) ? { kind: "made", by, upstreams: now } : undefined;
}

const AT_A_TIME = 20;

/**
 * Notes with the run, before any data is read, what the upstreams of all its partitions show; the result tells one such state
 * from another. Throws `EndRun` when one of them is blocked.
 */
export async function noteRange(
  execution: Execution,
  asset: AssetDefinition,
  keys: readonly string[],
): Promise<string> {
  const { services, identity, token } = execution;
  const digests: (readonly [string, string])[] = [];
  for (let at = 0; at < keys.length; at += AT_A_TIME) {
    execution.signal.throwIfAborted();
    const some = keys.slice(at, at + AT_A_TIME).map(async (key) => {
      const versions = await upstreamVersions(execution, asset, key);
      return [key, upstreamsDigest(versions)] as const;
    });
    digests.push(...(await Promise.all(some)));
  }
  const upstreams = Object.fromEntries(digests);
  const held = await services.events.transact(runRefs(identity), ({ run, partition }) => {
    if (run === undefined || partition === undefined || !holds(partition, token))
      return { result: false, writes: [], events: [] };
    const noted = { ...run, range: { token, upstreams } };
    return { result: true, writes: [put(ref("run", identity.id), noted)], events: [] };
  });
  if (!held) throw new ClaimLost(identity.id);
  return upstreamsDigest(upstreams);
}
