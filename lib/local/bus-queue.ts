/**
 * The bus's durable side: every call is one step on the database and knows no timers. A message is copied for each
 * subscription of its topic, and every copy goes its own way:
 *
 *     ready ──take──▶ leased ──acknowledge──▶ (deleted)
 *       ▲               │ nack, deadline or death of its process
 *       └───────────────┴──▶ dead, after the last attempt
 *     ready ⇄ aside, while its subscription does not exist
 *
 * `due_at` is when a ready copy may be taken, or when a leased one counts as lost.
 */
import { DEAD_LETTER_ATTRIBUTES } from "../core/dead-letter.ts";
import type { Payload } from "./bus-envelope.ts";
import { integer, openSqlite, text } from "./sqlite-database.ts";
import type { Row, SqliteFormat } from "./sqlite-database.ts";

export interface Subscription {
  readonly name: string;
  readonly topic: string;
  /** Where copies go after their last attempt. */
  readonly deadLetterTopic?: string;
}

/** A subscription's copy of a message. */
export interface Copy {
  readonly sequence: number;
  readonly subscription: string;
  readonly topic: string;
  readonly messageId: string;
  readonly publishedAt: number;
  /** Deliveries so far, the present one included. */
  readonly attempt: number;
  readonly payload: Payload;
}

export interface DeadLetter extends Copy {
  readonly diedAt: number;
  /** Why the last attempt failed. */
  readonly reason: string;
}

/** How many copies a subscription has in each state. */
export interface QueueDepth {
  readonly subscription: string;
  /** Whether the subscription exists; the copies of one that does not are kept, and not delivered. */
  readonly exists: boolean;
  readonly ready: number;
  /** Waiting for their next attempt. */
  readonly delayed: number;
  readonly inFlight: number;
  readonly dead: number;
}

const FORMAT: SqliteFormat = {
  what: "message bus",
  applicationId: 0x51_1c_e0_02,
  migrations: [
    `CREATE TABLE copies (sequence INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, state TEXT NOT NULL,
       due_at INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, owner TEXT, reason TEXT NOT NULL DEFAULT '',
       topic TEXT NOT NULL, message_id TEXT NOT NULL, published_at INTEGER NOT NULL, attributes TEXT NOT NULL, data TEXT NOT NULL);
     CREATE INDEX copies_due ON copies (state, due_at, sequence);
     CREATE INDEX copies_subscription ON copies (subscription, state, due_at);

     CREATE TABLE scheduled (name TEXT PRIMARY KEY, due_at INTEGER, fired_at INTEGER, topic TEXT NOT NULL,
       attributes TEXT NOT NULL, data TEXT NOT NULL);
     CREATE INDEX scheduled_due ON scheduled (due_at) WHERE due_at IS NOT NULL;
     CREATE INDEX scheduled_fired ON scheduled (fired_at) WHERE fired_at IS NOT NULL;`,
  ],
};

/** How long a name stays used after its message was sent. */
const NAME_MEMORY_MS = 3_600_000;
/** Bounds the work of one transaction. */
const BATCH = 100;

export type BusQueue = ReturnType<typeof openBusQueue>;

export function openBusQueue(file: string, subscriptions: () => readonly Subscription[]) {
  const database = openSqlite(file, FORMAT);

  /** A copy for each subscription of the topic. Call within a transaction. */
  const fanOut = (topic: string, messageId: string, payload: Payload, now: number): void => {
    for (const subscription of subscriptions()) {
      if (subscription.topic !== topic) continue;
      database.run(
        `INSERT INTO copies (subscription, state, due_at, topic, message_id, published_at, attributes, data)
         VALUES (?, 'ready', ?, ?, ?, ?, ?, ?)`,
        subscription.name,
        now,
        topic,
        messageId,
        now,
        JSON.stringify(payload.attributes),
        payload.data,
      );
    }
  };

  /** Ends an attempt: the copy is ready again after a delay, or dead if that was its last. Call within a transaction. */
  const fail = (copy: Copy, options: FailOptions): void => {
    const { now, reason, maxAttempts } = options;
    if (copy.attempt < maxAttempts) {
      const update = "UPDATE copies SET state = 'ready', owner = NULL, due_at = ?, reason = ? WHERE sequence = ?";
      database.run(update, now + options.delayMs(copy.attempt), reason, copy.sequence);
      return;
    }
    const update = "UPDATE copies SET state = 'dead', owner = NULL, due_at = ?, reason = ? WHERE sequence = ?";
    database.run(update, now, reason, copy.sequence);
    const topic = subscriptions().find(({ name }) => name === copy.subscription)?.deadLetterTopic;
    if (topic === undefined) return;
    const attributes = { ...copy.payload.attributes, ...deadLetterAttributes({ ...copy, reason }) };
    fanOut(topic, options.messageId(), { ...copy.payload, attributes }, now);
  };

  return {
    publish(topic: string, messageId: string, payload: Payload, now: number): void {
      database.write(() => fanOut(topic, messageId, payload, now));
    },

    /** Keeps a message until `at`, unless its name is waiting or was used within the last hour. */
    schedule(name: string, topic: string, payload: Payload, at: number, now: number): void {
      database.write(() => {
        database.run("DELETE FROM scheduled WHERE fired_at <= ?", now - NAME_MEMORY_MS);
        database.run(
          "INSERT INTO scheduled (name, due_at, topic, attributes, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
          name,
          at,
          topic,
          JSON.stringify(payload.attributes),
          payload.data,
        );
      });
    },

    /**
     * One turn of delivery, in one transaction: leases that ran out fail, scheduled messages that are due are
     * published, and up to `free` ready copies are leased to `owner`, the oldest first.
     */
    take(options: FailOptions & { readonly owner: string; readonly free: number; readonly leaseMs: number }): {
      taken: Copy[];
      expired: Copy[];
      aside: Copy[];
    } {
      const { now, owner, free, leaseMs } = options;
      return database.write(() => {
        const due = "SELECT * FROM copies WHERE state = ? AND due_at <= ? ORDER BY due_at, sequence LIMIT ?";
        const expired = database.all(due, "leased", now, BATCH).map(copyOf);
        for (const copy of expired) fail(copy, options);

        for (const row of database.all(
          "SELECT * FROM scheduled WHERE due_at <= ? ORDER BY due_at LIMIT ?",
          now,
          BATCH,
        )) {
          fanOut(text(row, "topic"), options.messageId(), payloadOf(row), now);
          database.run(
            "UPDATE scheduled SET due_at = NULL, fired_at = ?, attributes = '', data = '' WHERE name = ?",
            now,
            text(row, "name"),
          );
        }

        const known = new Set(subscriptions().map(({ name }) => name));
        const taken: Copy[] = [];
        const aside: Copy[] = [];
        while (taken.length < free) {
          const ready = database.all(due, "ready", now, free - taken.length).map(copyOf);
          if (ready.length === 0) break;
          for (const copy of ready) {
            if (!known.has(copy.subscription)) {
              const put = "UPDATE copies SET state = 'aside' WHERE sequence = ?";
              database.run(put, copy.sequence);
              aside.push(copy);
              continue;
            }
            const lease =
              "UPDATE copies SET state = 'leased', owner = ?, due_at = ?, attempt = attempt + 1 WHERE sequence = ?";
            database.run(lease, owner, now + leaseMs, copy.sequence);
            taken.push({ ...copy, attempt: copy.attempt + 1 });
          }
        }
        return { taken, expired, aside };
      });
    },

    /** The message is done. It counts also when it comes after the deadline. */
    acknowledge(copy: Copy): void {
      database.write(() => database.run("DELETE FROM copies WHERE sequence = ? AND state <> 'dead'", copy.sequence));
    },

    /** The attempt failed; without effect where it was given up before. */
    reject(copy: Copy, options: FailOptions): void {
      database.write(() => {
        const present = "SELECT sequence FROM copies WHERE sequence = ? AND state = 'leased' AND attempt = ?";
        if (database.get(present, copy.sequence, copy.attempt) !== undefined) fail(copy, options);
      });
    },

    /** Who holds leases. */
    owners(): string[] {
      return database.all("SELECT DISTINCT owner FROM copies WHERE state = 'leased'").map((row) => text(row, "owner"));
    },

    /** Takes from an owner that has ended what it held. */
    release(owner: string, options: FailOptions): void {
      database.write(() => {
        const held = database.all("SELECT * FROM copies WHERE state = 'leased' AND owner = ?", owner).map(copyOf);
        for (const copy of held) fail(copy, options);
      });
    },

    /** Brings back what was put aside and has a subscription now. */
    restore(): void {
      database.write(() => {
        for (const { name } of subscriptions()) {
          database.run("UPDATE copies SET state = 'ready' WHERE subscription = ? AND state = 'aside'", name);
        }
      });
    },

    /** When the next copy in `state` is due. */
    nextDue(state: "ready" | "leased"): number | undefined {
      return dueAt(database.get("SELECT due_at FROM copies WHERE state = ? ORDER BY due_at LIMIT 1", state));
    },

    nextScheduled(): number | undefined {
      return dueAt(database.get("SELECT due_at FROM scheduled WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1"));
    },

    /** Dead letters, last died first. */
    deadLetters(limit: number, subscription?: string): DeadLetter[] {
      const filter = subscription === undefined ? "" : "subscription = ? AND ";
      const values = subscription === undefined ? [limit] : [subscription, limit];
      return database
        .all(
          `SELECT * FROM copies WHERE ${filter}state = 'dead' ORDER BY due_at DESC, sequence DESC LIMIT ?`,
          ...values,
        )
        .map((row) => ({ ...copyOf(row), diedAt: integer(row, "due_at"), reason: text(row, "reason") }));
    },

    /** A dead letter becomes a fresh message of its subscription. */
    revive(sequence: number, now: number): boolean {
      const revived =
        "UPDATE copies SET state = 'ready', attempt = 0, due_at = ? WHERE sequence = ? AND state = 'dead' RETURNING sequence";
      return database.write(() => database.get(revived, now, sequence) !== undefined);
    },

    depth(now: number): QueueDepth[] {
      const known = new Set(subscriptions().map(({ name }) => name));
      const counts = `SELECT subscription, count(*) FILTER (WHERE state IN ('ready', 'aside') AND due_at <= ?1) AS ready,
          count(*) FILTER (WHERE state IN ('ready', 'aside') AND due_at > ?1) AS delayed,
          count(*) FILTER (WHERE state = 'leased') AS leased, count(*) FILTER (WHERE state = 'dead') AS dead
        FROM copies GROUP BY subscription ORDER BY subscription`;
      return database.all(counts, now).map((row) => ({
        subscription: text(row, "subscription"),
        exists: known.has(text(row, "subscription")),
        ready: integer(row, "ready"),
        delayed: integer(row, "delayed"),
        inFlight: integer(row, "leased"),
        dead: integer(row, "dead"),
      }));
    },

    /** A number that changes when another connection has written to the file. Costs next to nothing. */
    dataVersion(): number {
      return integer(database.get("PRAGMA data_version") ?? {}, "data_version");
    },

    get isOpen() {
      return database.isOpen;
    },
    close: () => database.close(),
  };
}

export interface FailOptions {
  readonly now: number;
  readonly reason: string;
  readonly maxAttempts: number;
  /** How long the attempt after this one must wait. */
  readonly delayMs: (attempt: number) => number;
  readonly messageId: () => string;
}

/** The attributes that Pub/Sub itself adds to a dead letter, and what it does not tell. */
export function deadLetterAttributes(copy: Copy & { readonly reason: string }): Record<string, string> {
  return {
    [DEAD_LETTER_ATTRIBUTES.attempts]: String(copy.attempt),
    [DEAD_LETTER_ATTRIBUTES.subscription]: copy.subscription,
    [DEAD_LETTER_ATTRIBUTES.project]: "local",
    [DEAD_LETTER_ATTRIBUTES.publishedAt]: new Date(copy.publishedAt).toISOString(),
    [DEAD_LETTER_ATTRIBUTES.messageId]: copy.messageId,
    [DEAD_LETTER_ATTRIBUTES.reason]: copy.reason.slice(0, 1_000),
  };
}

function copyOf(row: Row): Copy {
  return {
    sequence: integer(row, "sequence"),
    subscription: text(row, "subscription"),
    topic: text(row, "topic"),
    messageId: text(row, "message_id"),
    publishedAt: integer(row, "published_at"),
    attempt: integer(row, "attempt"),
    payload: payloadOf(row),
  };
}

function payloadOf(row: Row): Payload {
  // The text was written by this file, from attributes.
  return { data: text(row, "data"), attributes: JSON.parse(text(row, "attributes")) as Record<string, string> };
}

function dueAt(row: Row | undefined): number | undefined {
  return row === undefined ? undefined : integer(row, "due_at");
}
