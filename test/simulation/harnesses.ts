/** The simulated transport and warehouse as their conformance suites use them: here the suite lets things happen. */
import assert from "node:assert/strict";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import type { MessageBusHarness, Receiver } from "../ports/message-bus-conformance.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import type { WarehouseUnderTest } from "../ports/warehouse-conformance.ts";
import type { Row } from "./buckets.ts";
import { busPort, warehousePort } from "./ports.ts";
import type { Request } from "./ports.ts";
import { CANCELLED } from "./steps.ts";
import { worldTime } from "./time.ts";
import { nameOf, transport } from "./transport.ts";
import { memoryWarehouse } from "./warehouse.ts";

const STEP_MS = 100;
/** Long enough for every attempt of the suite. */
const LONGEST_MS = 4 * 3_600_000;

export async function openBus(): Promise<MessageBusHarness> {
  const time = worldTime();
  const receivers = new Map<string, Receiver>();
  const topics = new Map<string, Consumer[]>();
  const underWay = new Set<Promise<void>>();
  let [count, stopped] = [0, false];
  const made = transport({
    now: time.now,
    number: () => ++count,
    consumersOf: (topic) => topics.get(topic) ?? [],
  });
  const at: Request = async (_what, perform) => perform();
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  const deliver = async (): Promise<void> => {
    for (const message of stopped ? [] : made.messages.filter(made.isDeliverable)) {
      const receive = receivers.get(nameOf(message.consumer)) ?? assert.fail();
      const one = made
        .deliver(message, receivers, async (envelope) => {
          if ((await receive(envelope)) === "nack") throw new Error("not acknowledged");
        })
        .catch(() => undefined)
        .finally(() => underWay.delete(one));
      underWay.add(one);
    }
    await settled();
  };
  const pass = async (ms: number): Promise<void> => {
    const end = time.now() + ms;
    await deliver();
    while (time.now() < end) {
      // Where nothing can happen before, that is when something does.
      time.pass(Math.min(end, Math.max(time.now() + STEP_MS, stopped ? end : made.nextDelivery())));
      await deliver();
    }
  };
  return {
    bus: busPort({ transport: made }, at),
    maxAttempts: 5,
    subscribe: async (topic, receiver) => {
      const consumer: Consumer = { kind: "job", name: `s${receivers.size}` };
      receivers.set(nameOf(consumer), receiver);
      topics.set(topic, [...(topics.get(topic) ?? []), consumer]);
    },
    now: time.now,
    pass,
    until: async (condition) => {
      const end = time.now() + LONGEST_MS;
      for (await deliver(); !condition(); await pass(STEP_MS)) assert.ok(time.now() < end, "it never happened");
    },
    stop: async () => {
      stopped = true;
      await Promise.all(underWay);
    },
    close: async () => undefined,
  };
}

/** What the suite asks to look at a table, of which the simulated warehouse knows the whole table only. */
const LOOK = /^SELECT ([^@/-]+) FROM (`[^`]+`)(?: ORDER BY (.+))?$/;
const COLUMN = /^(?:CAST\((\w+) AS STRING\)|COUNT\(DISTINCT (\w+)\)|(COUNT\(\*\))|`?(\w+)`?)(?: AS (\w+))?$/;

type Fact = Readonly<Record<string, unknown>>;

export async function openWarehouse(): Promise<WarehouseUnderTest> {
  const objects = new Map<string, readonly Fact[]>();
  const looks = new Map<string, (rows: readonly Fact[]) => readonly Fact[]>();
  let [later, held] = [0, false];
  const now = (): number => Date.now() + later;
  // Rows are whatever a file holds.
  const memory = memoryWarehouse(
    (uri) => objects.get(uri) as readonly Row[] | undefined,
    () => undefined,
  );
  const runJobs = (): void => {
    for (const job of memory.pending.slice()) {
      if (job.cancelled) memory.run(job, CANCELLED);
      else if (!held) {
        try {
          memory.run(job);
        } catch (error) {
          const message = String(error);
          // It has left the list already.
          job.state = "failed";
          job.error = { reason: "invalidQuery", message, retryable: false };
        }
      }
    }
  };
  const request: Request = async (_what, perform, signal, ready = () => true) => {
    for (;;) {
      signal?.throwIfAborted();
      if (ready()) return perform();
      await new Promise((resolve) => setImmediate(resolve));
      runJobs();
    }
  };
  const port = warehousePort({ warehouse: memory, time: { now }, watch: { dropped: () => undefined } }, request);
  const warehouse: Warehouse = {
    ...port,
    submit: async (id, spec, labels) => {
      const look = spec.kind === "query" ? lookOf(spec.sql) : undefined;
      if (look === undefined || spec.kind !== "query") return await port.submit(id, spec, labels);
      const answer = await port.submit(id, { ...spec, sql: `SELECT * FROM ${look.table}` }, labels);
      if (answer === "accepted") looks.set(id, look.see);
      return answer;
    },
    async *rows(id, options) {
      const all = await Array.fromAsync(port.rows(id, options));
      yield* looks.get(id)?.(all) ?? all;
    },
  };
  return {
    warehouse: { ...warehouse, changes: () => Promise.reject(new Error("nobody here asks when a table was changed")) },
    writeObject: async (uri, bytes) => {
      const lines = Buffer.from(bytes).toString().split("\n").filter(Boolean);
      objects.set(uri, lines.map(factOf));
    },
    holdJobs: () => {
      held = true;
      return () => {
        held = false;
      };
    },
    advance: (ms) => {
      later += ms;
      memory.expire(now());
    },
    close: async () => undefined,
  };
}

/** A line of JSON, or of one number. */
function factOf(line: string): Fact {
  const value: unknown = JSON.parse(line);
  return typeof value === "object" && value !== null ? (value as Fact) : { n: value };
}

/** The table that a statement looks at, and what of its rows; `undefined` for any other statement. */
function lookOf(sql: string) {
  const [, list = "", table = "", order = ""] = LOOK.exec(sql) ?? [];
  if (list === "" || list.includes("_PARTITIONTIME")) return undefined;
  const columns = list === "*" ? [] : list.split(", ").map((text) => COLUMN.exec(text));
  if (columns.includes(null)) return undefined;
  const counts = list.includes("COUNT(");
  const see = (all: readonly Fact[]): readonly Fact[] => {
    const valuesOf = (row: Fact): Fact => {
      const entries = columns.map((column) => {
        const [, cast, distinct, count, plain, as] = column ?? [];
        const name = cast ?? distinct ?? plain ?? "";
        const value = distinct === undefined ? row[name] : new Set(all.map((each) => each[name])).size;
        return [as ?? name, count === undefined ? value : all.length] as const;
      });
      return Object.fromEntries(entries);
    };
    if (counts) return [valuesOf({})];
    const rows = list === "*" ? [...all] : all.map(valuesOf);
    const keys = order === "" ? [] : order === "1" ? Object.keys(rows[0] ?? {}) : order.split(", ");
    return rows.sort((one, other) => {
      for (const key of keys) {
        // Of one column, so of one type.
        const [a, b] = [one[key] as string, other[key] as string];
        if (a !== b) return a < b ? -1 : 1;
      }
      return 0;
    });
  };
  return { table, see };
}
