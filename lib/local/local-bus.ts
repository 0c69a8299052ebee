import { backoff } from "../core/backoff.ts";
import { PermanentError, messageOf } from "../core/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { MessageBus } from "../ports/message-bus.ts";
import { envelopeOf, jsonPayload, rawPayload } from "./bus-envelope.ts";
import type { Payload, PushEnvelope } from "./bus-envelope.ts";
import { isGone, ownerName } from "./bus-owner.ts";
import { openBusQueue } from "./bus-queue.ts";
import type { Copy, DeadLetter, FailOptions, QueueDepth, Subscription } from "./bus-queue.ts";

export type { PushEnvelope } from "./bus-envelope.ts";
export type { Copy, DeadLetter, QueueDepth, Subscription } from "./bus-queue.ts";
export { deadLetterAttributes } from "./bus-queue.ts";

export interface LocalBusOptions {
  /** The bus's own database file, which several processes may share. */
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Asked at every publish and delivery, so that it may change. */
  subscriptions(): readonly Subscription[];
  /**
   * Delivers one message. Anything but `ack` within the deadline, also a throw, is a failed attempt. The signal is
   * aborted when the deadline passes; the message may then come again while this push still runs.
   */
  push(subscription: Subscription, envelope: PushEnvelope, signal: AbortSignal): Promise<"ack" | "nack">;
  /** Default 600,000, as our subscriptions in the cloud have it. */
  readonly ackDeadlineMs?: number;
  /** Default 5. */
  readonly maxAttempts?: number;
  /** Default 500. */
  readonly minBackoffMs?: number;
  /** Default 60,000. */
  readonly maxBackoffMs?: number;
  /** How many pushes run at a time. Default 8. */
  readonly concurrency?: number;
  /** Hears of each message that is kept because its subscription does not exist, or not any more. */
  onAside?(copy: Copy): void;
  /** Hears of faults that have no caller, such as an acknowledgement that could not be stored; by default they become process warnings. */
  onError?(error: unknown): void;
}

export interface LocalBus extends MessageBus {
  /** Like `publish`, for data that need not be JSON. Throws `PermanentError` where it is not base64. */
  publishRaw(topic: string, dataBase64: string, attributes?: Readonly<Record<string, string>>): Promise<string>;
  /** Begins to deliver, what was left behind by a process that died included. */
  start(): void;
  /** Takes no new messages and waits for the pushes in flight, `graceMs` (default: the ack deadline) at most; then aborts them and gives their messages back. */
  stop(graceMs?: number): Promise<void>;
  /**
   * Resolves when nothing can be delivered now: no message is ready, none is in flight here. Delayed messages do not
   * count, see `nextAt`. Whoever waits when the bus stops is let go, too.
   */
  idle(): Promise<void>;
  /** When the next delayed message, or the next attempt of a failed one, is due (ms); undefined when nothing waits. */
  nextAt(): number | undefined;
  /** Messages whose last attempt failed, last died first; default 100. */
  deadLetters(query?: { readonly subscription?: string; readonly limit?: number }): readonly DeadLetter[];
  /** Delivers a dead letter again, with all its attempts; `false` where there is none of that sequence. */
  revive(sequence: number): boolean;
  /** What every subscription has waiting, those that no longer exist included. */
  depth(): readonly QueueDepth[];
  /** Ends all use of the file. Call `stop` before. */
  close(): void;
}

/** How often another process's messages are looked for, in real time: this is about the machine, not about the bus's clock. */
const POLL_MS = 100;
/** Every so many polls, the owners of leases are checked for life. */
const POLLS_PER_OWNER_CHECK = 10;
/** How long delivery pauses after a fault of the store. */
const FAULT_PAUSE_MS = 1_000;

/**
 * Topics with push subscriptions in one process, durable in SQLite: at least once, in no promised order, the oldest
 * ready message first. Delivery is driven by publishing and by one timer for the next due time.
 */
export function openLocalBus(options: LocalBusOptions): LocalBus {
  const { clock, random, subscriptions, push } = options;
  const {
    ackDeadlineMs = 600_000,
    maxAttempts = 5,
    minBackoffMs = 500,
    maxBackoffMs = 60_000,
    concurrency = 8,
  } = options;
  const onError = options.onError ?? warn;
  const queue = openBusQueue(options.file, subscriptions);
  const owner = ownerName(random.id());

  interface Flight {
    readonly copy: Copy;
    readonly controller: AbortController;
    landed: Promise<void>;
  }
  const flights = new Map<number, Flight>();
  let running = false;
  let kicked = false;
  let alarm: { readonly at: number; readonly controller: AbortController } | undefined;
  let poll: NodeJS.Timeout | undefined;
  let waitingForIdle: (() => void)[] = [];

  /** Decimal digits, as Pub/Sub's own ids. */
  const messageId = (): string => BigInt(`0x${random.id()}`).toString();
  const failure = (reason: string): FailOptions => ({
    now: clock.now(),
    reason,
    maxAttempts,
    delayMs: (attempt) => backoff({ attempt, minMs: minBackoffMs, maxMs: maxBackoffMs }, random.next()),
    messageId,
  });
  const atOnce = (reason: string): FailOptions => ({ ...failure(reason), delayMs: () => 0 });

  /** Asks for a turn of delivery, soon and once: never within the caller's own stack. */
  const kick = (): void => {
    if (!running || kicked) return;
    kicked = true;
    setImmediate(() => {
      kicked = false;
      turn();
    });
  };

  const turn = (): void => {
    if (!running) return;
    try {
      if (wakeAt() <= clock.now()) deliverDue();
      setAlarm(wakeAt());
    } catch (error) {
      onError(error);
      setAlarm(clock.now() + FAULT_PAUSE_MS);
    }
    checkIdle();
  };

  const deliverDue = (): void => {
    const free = concurrency - flights.size;
    const { taken, expired, aside } = queue.take({
      ...failure(`no answer within ${ackDeadlineMs} ms`),
      owner,
      free,
      leaseMs: ackDeadlineMs,
    });
    for (const { sequence } of expired) {
      flights.get(sequence)?.controller.abort(new Error(`the ack deadline of ${ackDeadlineMs} ms has passed`));
      flights.delete(sequence);
    }
    for (const copy of aside) options.onAside?.(copy);
    for (const copy of taken) deliver(copy);
  };

  const deliver = (copy: Copy): void => {
    const flight: Flight = { copy, controller: new AbortController(), landed: Promise.resolve() };
    flights.set(copy.sequence, flight);
    flight.landed = attempt(copy, flight.controller.signal).then((problem) => {
      // After the deadline another delivery may be in flight under the same sequence.
      if (flights.get(copy.sequence) === flight) flights.delete(copy.sequence);
      settle(copy, problem);
      kick();
      checkIdle();
    });
  };

  /** Undefined for an `ack`, otherwise what went wrong. */
  const attempt = async (copy: Copy, signal: AbortSignal): Promise<string | undefined> => {
    try {
      const subscription = subscriptions().find(({ name }) => name === copy.subscription);
      if (subscription === undefined) return "the subscription has gone";
      const answer = await push(subscription, envelopeOf(copy), signal);
      return answer === "ack" ? undefined : "nack";
    } catch (error) {
      return messageOf(error);
    }
  };

  const settle = (copy: Copy, problem: string | undefined): void => {
    if (!queue.isOpen) return; // The message is still in the file, and leased by an owner that has gone.
    try {
      if (problem === undefined) queue.acknowledge(copy);
      else queue.reject(copy, failure(problem));
    } catch (error) {
      onError(error); // The message comes again after its deadline.
    }
  };

  const wakeAt = (): number => {
    const ready = flights.size < concurrency ? queue.nextDue("ready") : undefined;
    return earliest(ready, queue.nextDue("leased"), queue.nextScheduled()) ?? Infinity;
  };

  const setAlarm = (at: number): void => {
    if (alarm?.at === at) return;
    alarm?.controller.abort();
    alarm = undefined;
    if (at === Infinity) return;
    const mine = { at, controller: new AbortController() };
    alarm = mine;
    const ring = (): void => {
      if (alarm === mine) alarm = undefined;
      kick();
    };
    clock.sleep(Math.max(0, at - clock.now()), mine.controller.signal).then(ring, () => undefined);
  };

  const isIdle = (): boolean => {
    if (flights.size > 0) return false;
    const next = earliest(queue.nextDue("ready"), queue.nextScheduled());
    return next === undefined || next > clock.now();
  };

  const checkIdle = (): void => {
    if (waitingForIdle.length > 0 && queue.isOpen && isIdle()) endIdleWaits();
  };

  const endIdleWaits = (): void => {
    const resolves = waitingForIdle;
    waitingForIdle = [];
    for (const resolve of resolves) resolve();
  };

  const releaseDead = (): void => {
    for (const other of queue.owners()) {
      if (other !== owner && isGone(other)) queue.release(other, atOnce("the process that handled it ended"));
    }
  };

  /** Looks for what other processes did, and for subscriptions that came. */
  const watchOthers = (): void => {
    let version = queue.dataVersion();
    let names = namesOf(subscriptions());
    let polls = 0;
    poll = setInterval(() => {
      try {
        if (++polls % POLLS_PER_OWNER_CHECK === 0) releaseDead();
        const [versionNow, namesNow] = [queue.dataVersion(), namesOf(subscriptions())];
        if (namesNow !== names) queue.restore();
        if (versionNow !== version || namesNow !== names || polls % POLLS_PER_OWNER_CHECK === 0) kick();
        version = versionNow;
        names = namesNow;
      } catch (error) {
        onError(error);
      }
    }, POLL_MS).unref();
  };

  const halt = (): void => {
    running = false;
    clearInterval(poll);
    setAlarm(Infinity);
  };

  const send = (topic: string, payload: Payload): string => {
    const id = messageId();
    queue.publish(topic, id, payload, clock.now());
    kick();
    return id;
  };

  return {
    async publish(topic, { data, attributes = {} }) {
      return send(topic, jsonPayload(topic, data, attributes));
    },

    async publishRaw(topic, dataBase64, attributes = {}) {
      return send(topic, rawPayload(topic, dataBase64, attributes));
    },

    async schedule(name, topic, { data, attributes = {} }, at) {
      if (!/^[A-Za-z0-9_-]{1,500}$/.test(name)) {
        throw new PermanentError(
          `topic ${topic}: ${JSON.stringify(name.slice(0, 80))} cannot name a message; use 1 to 500 letters, digits, - and _`,
          { code: "bad-input" },
        );
      }
      if (!Number.isFinite(at))
        throw new PermanentError(`topic ${topic}: message ${name} has no time, got ${at}`, { code: "bad-input" });
      queue.schedule(name, topic, jsonPayload(topic, data, attributes), Math.ceil(at), clock.now());
      kick();
    },

    start() {
      if (running) return;
      releaseDead();
      queue.restore();
      running = true;
      watchOthers();
      kick();
    },

    async stop(graceMs = ackDeadlineMs) {
      halt();
      const waiting = new AbortController();
      const grace = clock.sleep(graceMs, waiting.signal).catch(() => undefined);
      await Promise.race([Promise.all([...flights.values()].map(({ landed }) => landed)), grace]);
      waiting.abort();
      endIdleWaits();
      if (flights.size === 0) return;
      for (const { controller } of flights.values()) controller.abort(new Error("the bus stops"));
      flights.clear();
      // A stop is nobody's failure: it buries no message.
      queue.release(owner, { ...atOnce("the bus stopped before it was answered"), maxAttempts: Infinity });
    },

    idle: () =>
      new Promise((resolve) => {
        waitingForIdle.push(resolve);
        checkIdle();
      }),

    nextAt: () => earliest(queue.nextDue("ready"), queue.nextScheduled()),
    deadLetters: ({ subscription, limit = 100 } = {}) => queue.deadLetters(limit, subscription),

    revive(sequence) {
      const revived = queue.revive(sequence, clock.now());
      kick();
      return revived;
    },

    depth: () => queue.depth(clock.now()),

    close() {
      halt();
      queue.close();
    },
  };
}

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function namesOf(subscriptions: readonly Subscription[]): string {
  return JSON.stringify(subscriptions.map(({ name }) => name));
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
