/**
 * The one way in. A push envelope or a CloudEvent for one of the project's consumers comes in; when the returned promise
 * resolves, the message may be acknowledged. It rejects only when the transport should deliver the message again.
 */
import { z } from "zod";
import { scheduledRunKey } from "../core/automation.ts";
import type { AssetDefinition } from "../core/asset.ts";
import { backfillMessageSchema } from "../core/backfill-message.ts";
import type { BackfillMessage } from "../core/backfill-message.ts";
import { topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { Consumer } from "../core/subscriptions.ts";
import type { Definitions } from "../core/definitions.ts";
import { messageOf } from "../core/errors.ts";
import type { RunKind } from "../core/documents.ts";
import type { EventBody } from "../core/events.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import type { JobDefinition } from "../core/job.ts";
import { latestPartition, parsePartition } from "../core/partitions.ts";
import { materializationSchema, requestIn, requestSchema, runIdOf } from "../core/request.ts";
import type { RequestBody, RunRequest } from "../core/request.ts";
import { bucketTopicOf, parseTopic, topicOf } from "../core/asset-key.ts";
import { originOf, presentKey } from "../core/previous-keys.ts";
import { didYouMean } from "../core/suggest.ts";
import { adoptFor } from "./adopt.ts";
import { receiveBackfill } from "./backfill.ts";
import { followUpstream } from "./follow-upstream.ts";
import { configRefusal } from "./config.ts";
import { receiveDeadLetter } from "./dead-letters.ts";
import { readEnvelope, readRaw } from "./envelope.ts";
import type { Delivery, Incoming } from "./envelope.ts";
import { execute } from "./execution.ts";
import type { Ending, Execution } from "./execution.ts";
import { Refused } from "./interruptions.ts";
import { newestInterval } from "./look.ts";
import { askLater } from "./pass-on.ts";
import { routeNotification } from "./route-object.ts";
import { runAsset } from "./run-asset.ts";
import { runJob } from "./run-job.ts";
import { refusalOf, runMulti } from "./run-multi.ts";
import { isSensorRunning, runSensor, sensorRequest } from "./run-sensor.ts";
import type { Services } from "./services.ts";
import { undoAsset, undoJob } from "./undo.ts";

const wakeSchema = z.strictObject({ wake: z.string().regex(/^[0-9a-f]{16}$/) });

export async function receive(services: Services, consumer: Consumer, incoming: Incoming): Promise<void> {
  if (consumer.kind === "dead-letter") return await receiveDeadLetter(services, incoming, consumer.prefix);
  const envelope = readEnvelope(incoming, services.clock.now());
  if (envelope.kind === "refused") return await refuse(services, consumer, envelope.messageId, envelope.reason);
  const { delivery } = envelope;
  try {
    await dispatch(services, consumer, delivery);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    await refuse(services, consumer, delivery.messageId, error.message);
  }
}

/** The run that the message wakes, if it is such a message. */
function wakeOf({ data }: Delivery): string | undefined {
  if (typeof data !== "object" || data === null || !("wake" in data)) return undefined;
  return wakeSchema.safeParse(data).data?.wake;
}

/** What the message says to the driver of a backfill, if it is such a message. */
function backfillIn({ data }: Delivery): BackfillMessage | undefined {
  if (typeof data !== "object" || data === null || !("backfill" in data)) return undefined;
  const parsed = backfillMessageSchema.safeParse(data);
  if (parsed.success) return parsed.data.backfill;
  throw new Refused(`the message is nothing that a backfill is told: ${issueOf(parsed.error, ["backfill"])}`);
}

/** Who takes messages of its own, and not what others could not take. */
type Receiver = Exclude<Consumer, { readonly kind: "dead-letter" }>;

async function dispatch(services: Services, consumer: Receiver, delivery: Delivery): Promise<void> {
  const definitions = services.definitions();
  const wake = wakeOf(delivery);
  switch (consumer.kind) {
    case "bucket":
      return await routeNotification(services, consumer.bucket, delivery, (reason) => {
        throw new Refused(reason);
      });
    case "automation": {
      const asset = definitions.assets.get(consumer.key);
      if (asset === undefined) throw new Refused(`the asset ${consumer.key} is not defined any more`);
      await adoptFor(services, asset);
      return await followUpstream(services, asset, withPresentKey(definitions.assets, delivery), (reason) => {
        throw new Refused(reason);
      });
    }
    case "asset": {
      const asset = definitions.assets.get(consumer.key);
      if (asset === undefined) throw new Refused(`the asset ${consumer.key} is not defined any more`);
      if (wake !== undefined) return await wakeUp(services, consumer, wake);
      const backfill = backfillIn(delivery);
      if (backfill !== undefined) {
        if (!(await adoptFor(services, asset))) return; // still due: it is woken again
        return await receiveBackfill(services, asset, backfill, (reason) => {
          throw new Refused(reason);
        });
      }
      const request = await assetRequest(services, asset, delivery);
      refuseConfig(asset, request, asset.key);
      const identity = identify("asset", asset.key, request, originOf(asset));
      if (!(await adoptFor(services, asset))) return await askLater(services, identity, request, delivery);
      return await runAssetAs(services, identity, request, asset, delivery.sentAt);
    }
    case "job": {
      const job = definitions.jobs.get(consumer.name);
      if (job === undefined) throw new Refused(`the job ${consumer.name} is not defined any more`);
      if (wake !== undefined) return await wakeUp(services, consumer, wake);
      const body = parseBody(delivery);
      if (body.partition !== undefined)
        throw new Refused(`the job ${job.name} has no partitions: leave the partition out`);
      const request = settleRequest(body, "", delivery);
      refuseConfig(job, request, job.name);
      const refusal = refusalOf(job, request.config);
      if (refusal !== undefined) throw new Refused(`${job.name}: ${refusal}`);
      const identity = identify("job", job.name, request);
      if (!(await adoptFor(services, ...assetsOf(definitions, job))))
        return await askLater(services, identity, request, delivery);
      return await runJobAs(services, identity, request, job);
    }
    case "sensor": {
      const sensor = definitions.sensors.get(consumer.name);
      if (sensor === undefined) throw new Refused(`the sensor ${consumer.name} is not defined any more`);
      if (wake !== undefined) return await wakeUp(services, consumer, wake);
      if (!(await isSensorRunning(services, sensor))) return;
      const request = sensorRequest(sensor, withPresentKey(definitions.assets, delivery));
      if (request.kind === "refused") throw new Refused(request.reason);
      const identity = identify("sensor", sensor.name, request.request);
      return await execute(services, identity, request.request, {}, (execution) => runSensor(execution, sensor));
    }
  }
}

/** What would only fail is not begun. */
function refuseConfig(definition: Parameters<typeof configRefusal>[0], request: RunRequest, who: string): void {
  const refusal = configRefusal(definition, request, who);
  if (refusal !== undefined) throw new Refused(refusal);
}

/** News that was published before its asset was renamed is news of the asset. */
function withPresentKey(assets: Definitions["assets"], delivery: Delivery): Delivery {
  const news = materializationSchema.safeParse(delivery.data);
  return news.success ? { ...delivery, data: { ...news.data, asset: presentKey(assets, news.data.asset) } } : delivery;
}

/** Takes a parked or abandoned run up again; its own frozen request says what to do. */
async function wakeUp(
  services: Services,
  consumer: Extract<Consumer, { kind: RunKind }>,
  runId: string,
): Promise<void> {
  const run = await services.events.get("run", runId);
  const name = consumer.kind === "asset" ? consumer.key : consumer.name;
  if (run === undefined || run.kind !== consumer.kind) return;
  const { assets, jobs, sensors } = services.definitions();
  const called = run.kind === "asset" ? presentKey(assets, run.name) : run.name;
  if (called !== name) return;
  const identity: RunIdentity = { id: run.id, kind: run.kind, name, partition: run.partition };
  const asset = assets.get(name);
  const job = jobs.get(name);
  const sensor = sensors.get(name);
  if (run.kind === "asset" && asset !== undefined) {
    if (!(await adoptFor(services, asset))) return; // still due: it is woken again
    await runAssetAs(services, identity, undefined, asset);
  } else if (run.kind === "job" && job !== undefined) {
    if (!(await adoptFor(services, ...assetsOf(services.definitions(), job)))) return;
    await runJobAs(services, identity, undefined, job);
  } else if (run.kind === "sensor" && sensor !== undefined) {
    await execute(services, identity, undefined, {}, (execution) => runSensor(execution, sensor));
  }
}

/** The assets that the job makes, or deletes objects of. */
function assetsOf({ assets }: Definitions, { multi, resources }: JobDefinition): readonly AssetDefinition[] {
  const cleaned = Object.values(resources).map(({ asset }) => assets.get(asset ?? ""));
  return [...Object.values(multi?.outputs ?? {}), ...cleaned.filter((asset) => asset !== undefined)];
}

function runAssetAs(
  services: Services,
  identity: RunIdentity,
  request: RunRequest | undefined,
  asset: AssetDefinition,
  sentAt?: number,
): Promise<void> {
  return execute(services, identity, request, asset, (execution) => runAsset(execution, asset), {
    ...(sentAt === undefined ? {} : { sentAt }),
    undo: (execution) => undoAsset(execution, asset),
  });
}

function runJobAs(
  services: Services,
  identity: RunIdentity,
  request: RunRequest | undefined,
  job: JobDefinition,
): Promise<void> {
  return execute(services, identity, request, job, (execution) => runAnyJob(execution, job), {
    undo: (execution) => undoJob(execution, job),
  });
}

function runAnyJob(execution: Execution, job: JobDefinition): Promise<Ending> {
  return job.multi === undefined ? runJob(execution, job) : runMulti(execution, job, job.multi);
}

async function assetRequest(services: Services, asset: AssetDefinition, delivery: Delivery): Promise<RunRequest> {
  const body = parseBody(delivery);
  const wanted = body.partition ?? (await latestFor(services, asset, body, delivery));
  if (wanted === undefined) throw new Refused(`${asset.key} has no latest partition: name one`);
  try {
    return settleRequest(body, parsePartition(asset.partitions, wanted).key, delivery, asset);
  } catch (error) {
    throw new Refused(`${asset.key}: ${messageOf(error)}`);
  }
}

/** A schedule stands for the window that has just ended; a person, for the newest data there is. */
async function latestFor(
  services: Services,
  asset: AssetDefinition,
  body: RequestBody,
  delivery: Delivery,
): Promise<string | undefined> {
  const newest = body.cause?.kind === "schedule" ? undefined : await newestInterval(services, asset);
  return newest ?? latestPartition(asset.partitions, delivery.publishedAt)?.key;
}

/** A request is kept with its run, and with a partition that it waits for: documents of limited size. */
const MAX_REQUEST_CHARS = 100_000;

function parseBody(delivery: Delivery): RequestBody {
  const body = requestIn(delivery);
  const size = JSON.stringify(body).length;
  if (size > MAX_REQUEST_CHARS) {
    throw new Refused(
      `a request of ${size} characters is too large: send ${MAX_REQUEST_CHARS} at most, or a reference`,
    );
  }
  const parsed = requestSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new Refused(`the message is no request: ${issueOf(parsed.error, Object.keys(requestSchema.shape))}`);
}

function settleRequest(
  body: RequestBody,
  partition: string,
  delivery: Delivery,
  asset: Partial<Pick<AssetDefinition, "partitions" | "automation">> = {},
): RunRequest {
  const { runKey, cause = { kind: "manual" as const }, ...rest } = body;
  const byMessage = `message:${delivery.messageId}`;
  const byTick = () => scheduledRunKey(asset, partition, delivery.publishedAt, rest.config);
  const key = runKey ?? (cause.kind === "schedule" ? byTick() : byMessage);
  return { ...rest, cause, partition, runKey: key, requestedAt: delivery.publishedAt };
}

/** `origin`: the name that run ids are made of; a trigger that comes again after a rename is the same run. */
function identify(kind: RunIdentity["kind"], name: string, request: RunRequest, origin = name): RunIdentity {
  return { id: runIdOf(kind, origin, request.partition, request.runKey), kind, name, partition: request.partition };
}

/** The first thing that is wrong; `known` are the names that it may have. */
function issueOf(error: z.ZodError, known: readonly string[]): string {
  const issue = error.issues[0];
  const path = issue?.path.join(".") ?? "";
  const place = path === "" ? "" : `${path}: `;
  const wrong = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  if (wrong === undefined) return `${place}${issue?.message ?? "unreadable"}`;
  const remedy = path === "" ? didYouMean(wrong, known) : undefined;
  return `${place}unknown field ${JSON.stringify(wrong)}${remedy === undefined ? "" : ` (${remedy})`}`;
}

/** A message that cannot be understood is recorded, once, and acknowledged. */
async function refuse(services: Services, consumer: Receiver, messageId: string, reason: string): Promise<void> {
  const asset = "key" in consumer ? { asset: consumer.key } : {};
  await recordRefusal(services, { topic: topicOfConsumer(consumer), messageId, reason, ...asset });
}

async function recordRefusal(
  { events, clock }: Services,
  refusal: { readonly topic: string; readonly messageId: string; readonly reason: string; readonly asset?: string },
): Promise<void> {
  const { topic, messageId, reason } = refusal;
  const body: EventBody = { type: "message.refused", ...refusal };
  const id = `refused-${shortHash([topic, messageId, reason])}`;
  await events.append([{ v: EVENT_VERSION, id, at: clock.now(), ...body }]);
}

/** A message of `topic` that nobody here takes, nor will: it is recorded, once. `false` for what is no message. */
export async function refuseUnclaimed(
  services: Services,
  topic: string,
  incoming: Incoming,
  reason: string,
): Promise<boolean> {
  const now = services.clock.now();
  const envelope = readEnvelope(incoming, now);
  if (envelope.kind === "refused" && readRaw(incoming, now) === undefined) return false;
  const { messageId } = envelope.kind === "refused" ? envelope : envelope.delivery;
  const parsed = parseTopic(topic);
  const asset = parsed !== undefined && "key" in parsed ? { asset: parsed.key } : {};
  await recordRefusal(services, { topic, messageId, reason, ...asset });
  return true;
}

function topicOfConsumer(consumer: Receiver): string {
  if (consumer.kind === "bucket") return bucketTopicOf(consumer.bucket);
  if ("key" in consumer) return topicOf(consumer.key);
  return topicOfRun(consumer);
}
