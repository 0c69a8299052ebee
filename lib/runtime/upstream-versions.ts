/** The versions of its upstreams that a partition is about to be made from. */
import type { AssetDefinition } from "../core/asset.ts";
import type { Execution } from "./execution.ts";
import { followRenames } from "./follow-renames.ts";
import { EndRun } from "./interruptions.ts";
import { readUpstreams, versionsOf } from "./upstreams.ts";

/** Nothing starts from an upstream whose last run failed a blocking check, unless it is forced. */
export async function upstreamVersions(
  execution: Execution,
  asset: AssetDefinition,
  partition: string = execution.identity.partition,
): Promise<Readonly<Record<string, string>>> {
  const { services, request } = execution;
  const reader = { events: followRenames(services.events), assets: services.definitions().assets };
  const upstreams = await readUpstreams(reader, asset, partition);
  const blocked = upstreams.find((upstream) => upstream.blocked !== undefined);
  if (blocked !== undefined && request.force !== true) {
    throw new EndRun("upstream-blocked", `${blocked.asset} is blocked: ${blocked.blocked ?? ""}`);
  }
  return versionsOf(upstreams);
}
