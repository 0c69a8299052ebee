/**
 * News of materializations may be lost on its way, and so may the requests that it leads to; history loses nothing. Each
 * materialization is met here once more, a little later: whoever follows it and has not seen it is asked again, until there is
 * a run. While nothing is materialized, that is one document and one empty page.
 */
import { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import { sensorTopicOf } from "../core/asset-key.ts";
import { followsUpstreams } from "../core/automation.ts";
import { put, ref } from "../core/documents.ts";
import type { CursorDocument } from "../core/documents.ts";
import { DefinitionError } from "../core/errors.ts";
import type { StoredEvent } from "../core/events.ts";
import { followersWith } from "../core/multi-requests.ts";
import { defaultMapping, downstreamOf } from "../core/partition-mapping.ts";
import { presentKey } from "../core/previous-keys.ts";
import { materializationSchema, runIdOf } from "../core/request.ts";
import { adoptFor } from "./adopt.ts";
import { decideFor } from "./follow-upstream.ts";
import { followRenames } from "./follow-renames.ts";
import { readOnce } from "./read-once.ts";
import { isSensorRunning } from "./run-sensor.ts";
import type { Services } from "./services.ts";

/** How many materializations one sweep meets, and how many of those who follow them it waits for. */
const NEWS_LIMIT = 200;
const WAITING_LIMIT = 200;
/** The news itself comes first; and by then a commit has its place in history, whatever the clocks say. */
const GRACE_MS = 120_000;
/** Whoever cannot be asked for so long (its topic is gone, say) is given up. */
const GIVEN_UP_MS = 86_400_000;
/** After so many who could not be asked, the others wait for the next sweep, which asks them first. */
const MOST_FAILURES = 20;
/** An older process may sweep for some time after a deployment; what was removed is soon forgotten. */
const UNKNOWN_MS = 3_600_000;
const UNKNOWN_LIMIT = 50;

const waitingSchema = z.union([
  z.object({ asset: z.string(), partition: z.string(), since: z.number() }),
  z.object({
    sensor: z.string(),
    news: materializationSchema,
    since: z.number(),
  }),
  // Of an asset that nobody here knows: it may come with a deployment that has begun.
  z.object({ unknown: materializationSchema, since: z.number() }),
]);
const stateSchema = z.object({
  position: z.string().optional(),
  waiting: z.array(waitingSchema),
});
/** Who has been asked, and has no run yet. */
type Waiting = z.infer<typeof waitingSchema>;
type News = z.infer<typeof materializationSchema>;

/**
 * Goes on where the last sweep ended; the result is how many were asked. Who cannot be asked holds up nobody: it waits, and the first
 * failure is what this rejects with when all is written down.
 */
export async function sweepNews(services: Services): Promise<number> {
  const { events, clock } = services;
  const cursor = ref("cursor", "sweep news");
  const stored = await events.get("cursor", cursor.id);
  const { position, waiting } = stateOf(stored);
  const page = await events.history({
    types: ["materialized", "observed"],
    order: "oldest",
    limit: NEWS_LIMIT,
    ...(position === undefined ? {} : { after: position }),
  });
  const now = clock.now();
  const left = new Map<string, Waiting>();
  const failed = new Map<string, { readonly one: Waiting; readonly error: unknown }>();
  let asked = 0;
  let unknown = 0;
  const look = async (one: Waiting): Promise<void> => {
    const key = keyOf(one);
    if (left.has(key) || failed.has(key)) return;
    if ("unknown" in one) {
      if (unknown++ < UNKNOWN_LIMIT && one.since + UNKNOWN_MS >= now) left.set(key, one);
      return;
    }
    if (failed.size === MOST_FAILURES) return void left.set(key, one);
    // However late this sweep comes, whoever waits is asked once more.
    const isLast = one.since + GIVEN_UP_MS < now;
    const behind = await isBehind(services, one).catch((error: unknown) => {
      // Partitions may have been redefined, as for `affectedBy`.
      if (!isLast && !(error instanceof DefinitionError)) failed.set(key, { one, error });
      return false;
    });
    if (!behind) return;
    asked += 1;
    if (!isLast) left.set(key, one);
  };
  // What an older process did not know has waited for nobody yet, however long ago that was.
  const known = (one: Waiting): readonly Waiting[] =>
    "unknown" in one ? followersOf(services, one.unknown, now).map((each) => ("unknown" in each ? one : each)) : [one];
  for (const one of waiting) for (const each of known(one)) await look(each);
  let last = position;
  for (const event of page.items) {
    if (event.at > now - GRACE_MS || left.size + failed.size >= WAITING_LIMIT) break;
    const news = newsOf(event);
    for (const one of news === undefined ? [] : followersOf(services, news, now)) await look(one);
    last = event.position;
  }
  const value = JSON.stringify({
    position: last,
    waiting: [...left.values(), ...[...failed.values()].map(({ one }) => one)],
  });
  if (value !== (stored?.value ?? JSON.stringify({ waiting: [] })))
    // Dying before this costs the same questions once more. Whoever swept at the same time has come as far, or farther.
    await events.transact({ cursor }, (state) => ({
      result: undefined,
      writes: state.cursor?.value === stored?.value ? [put(cursor, { value, at: now })] : [],
      events: [],
    }));
  const [failure] = failed.values();
  if (failure !== undefined) throw failure.error;
  return asked;
}

function stateOf(stored: CursorDocument | undefined): z.infer<typeof stateSchema> {
  return stored === undefined ? { waiting: [] } : stateSchema.parse(JSON.parse(stored.value));
}

function keyOf(one: Waiting): string {
  if ("unknown" in one) return `unknown ${one.unknown.materializationId}`;
  return "sensor" in one ? `sensor ${one.sensor} ${one.news.materializationId}` : `${one.asset}|${one.partition}`;
}

function newsOf(event: StoredEvent): News | undefined {
  if (event.type !== "materialized" && event.type !== "observed") return undefined;
  const { asset = "", partition = "", run = "", materializationId } = event;
  return { asset, partition, materializationId, runId: run };
}

/** Everybody whom the news is for. */
function followersOf(services: Services, told: News, since: number): readonly Waiting[] {
  const definitions = services.definitions();
  const { assets, sensors } = definitions;
  const key = presentKey(assets, told.asset);
  const upstream = assets.get(key);
  if (upstream === undefined) return [{ unknown: told, since }];
  const { partition } = told;
  const news: News = { ...told, asset: key };
  const followers: Waiting[] = [];
  for (const { name, watches } of sensors.values())
    if (watches.kind === "asset" && watches.asset === key) followers.push({ sensor: name, news, since });
  for (const asset of assets.values()) {
    if (asset.foreign === true || !followsUpstreams(asset.automation) || !asset.deps.includes(key)) continue;
    // One of the outputs of a multi-asset decides for all.
    if (followersWith(definitions, asset)[0]?.key !== asset.key) continue;
    for (const affected of affectedBy(upstream, asset, partition, since))
      followers.push({ asset: asset.key, partition: affected, since });
  }
  return followers;
}

/** Partitions may have been redefined since: what is none any more affects nobody. */
function affectedBy(
  upstream: AssetDefinition,
  asset: AssetDefinition,
  partition: string,
  now: number,
): readonly string[] {
  const mapping = asset.mappings[upstream.key] ?? defaultMapping(upstream.partitions, asset.partitions);
  try {
    return downstreamOf(mapping, upstream.partitions, asset.partitions, partition, now);
  } catch (error) {
    if (error instanceof DefinitionError) return [];
    throw error;
  }
}

/** Whether there is something to do and no run that does it, and then it is asked for; or whether that cannot be told yet. */
async function isBehind(services: Services, one: Exclude<Waiting, { unknown: unknown }>): Promise<boolean> {
  const { events, bus, clock } = services;
  const definitions = services.definitions();
  if ("sensor" in one) {
    const sensor = definitions.sensors.get(one.sensor);
    if (sensor === undefined || !(await isSensorRunning(services, sensor))) return false;
    if ((await events.get("run", runIdOf("sensor", one.sensor, "", one.news.materializationId))) !== undefined)
      return false;
    await bus.publish(sensorTopicOf(one.sensor), { data: one.news });
    return true;
  }
  const asset = definitions.assets.get(one.asset);
  if (asset === undefined) return false;
  // What its upstreams show may still stand under their previous names.
  const complete = await adoptFor(services, asset);
  const reader = { events: followRenames(readOnce(events)), assets: definitions.assets };
  const { partition } = one;
  const cause = { kind: "reconcile" } as const;
  const requests = await decideFor({
    definitions,
    reader,
    asset,
    partition,
    cause,
    now: clock.now(),
  });
  let behind = !complete;
  for (const { topic, data, runId } of requests) {
    if (runId !== undefined && (await events.get("run", runId)) !== undefined) continue;
    await bus.publish(topic, { data });
    behind = true;
  }
  return behind;
}
