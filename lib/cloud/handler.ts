/** From an HTTP request to the runtime and back to a status that Pub/Sub, Cloud Tasks and Eventarc understand. */
import { messageOf } from "../core/errors.ts";
import { DEAD_LETTERS } from "../core/subscriptions.ts";
import { eachInTurn } from "../runtime/each-in-turn.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { traceOf } from "./log.ts";
import type { StructuredLog } from "./log.ts";
import { consumersOf, nameInPath, topicOfSource } from "./unit.ts";
import type { LoadedUnit } from "./unit.ts";

export interface IncomingRequest {
  readonly method: string;
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: unknown;
}

export interface Answer {
  /** 2xx acknowledges; anything else asks for the message again. */
  readonly status: number;
  readonly text: string;
}

/** What the process has ready when the first message comes; it is made once. */
export interface Ready {
  readonly unit: LoadedUnit;
  readonly runtime: Runtime;
  readonly log: StructuredLog;
  /** What the names of its topics begin with in the cloud, and not in the definitions. Default none. */
  readonly topicPrefix?: string;
}

/** Never rejects. A message that makes no sense is acknowledged, and recorded by the runtime. */
export async function handle(request: IncomingRequest, ready: Ready): Promise<Answer> {
  const { log } = ready;
  if (request.method !== "POST") return { status: 405, text: "send a message by POST" };
  return await log.runIn(traceOf(request.headers), async () => {
    try {
      return await deliver(request, ready);
    } catch (error) {
      // The event store is out of reach: the message comes again.
      log.write({ severity: "ERROR", message: `the message will be delivered again: ${messageOf(error)}` });
      return { status: 503, text: "try again" };
    }
  });
}

async function deliver({ path, headers, body }: IncomingRequest, ready: Ready): Promise<Answer> {
  const { unit, runtime, log, topicPrefix } = ready;
  if (unit.kind === "reconcile" && nameInPath(path) === DEAD_LETTERS) {
    const prefix = topicPrefix === undefined ? {} : { prefix: topicPrefix };
    await runtime.receive({ kind: "dead-letter", ...prefix }, { headers, body });
    return DONE;
  }
  if (unit.kind === "reconcile") {
    await eachInTurn([() => runtime.sweepDue(), () => runtime.sweepBuckets()], (part) => part());
    return DONE;
  }
  const topic = topicOfSource(headers["ce-source"] ?? sourceIn(body), topicPrefix);
  const consumers = consumersOf(unit, path, topic);
  if (consumers.length === 0) {
    // It would be the same the next time; a function is deployed before its subscriptions are.
    const name = topic ?? nameInPath(path);
    const text = `nothing in ${unit.id} takes messages of ${name}: deploy again, so that its subscriptions fit`;
    log.write({ severity: "ERROR", message: text });
    return (await runtime.refuse(name, { headers, body }, text)) ? DONE : { status: 404, text };
  }
  // One that fails must not leave the others at work when the answer is out: an instance sleeps between its requests.
  const outcomes = await Promise.allSettled(consumers.map((consumer) => runtime.receive(consumer, { headers, body })));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return DONE;
}

/** A CloudEvent in structured form has its attributes in the body. */
function sourceIn(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null || !("specversion" in body) || !("source" in body)) return undefined;
  return typeof body.source === "string" ? body.source : undefined;
}

const DONE: Answer = { status: 204, text: "" };
