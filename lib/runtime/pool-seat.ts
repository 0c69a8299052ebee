/** A run's place in its pool: taken before its work begins, kept as long as its lease, and handed on to whoever waits longest. */
import {
  POOL_FULL,
  SLOTS,
  TICKETS,
  WAITING,
  freeSlots,
  handOver,
  isBefore,
  leaveSlot,
  ownSlot,
  poolDocuments,
  renewSlot,
  runOfTicket,
  slotOfPool,
  takeSlot,
  ticketDocument,
  ticketOf,
} from "../core/pool.ts";
import type { SlotWish } from "../core/pool.ts";
import { put, ref } from "../core/documents.ts";
import type { PartitionDocument, Ref, RunDocument, Write } from "../core/documents.ts";
import { DefinitionError } from "../core/errors.ts";
import { partitionRef, topicOfRun } from "../core/run-identity.ts";
import { Park } from "./interruptions.ts";
import type { Services } from "./services.ts";
import { presentName } from "./present-name.ts";

export interface Seat {
  /** Returns with a slot, or throws `Park` (`pool-full`). */
  take(): Promise<void>;
  /** `false` when the slot has expired and is another's. */
  renew(): Promise<boolean>;
  /** What is written with the run that goes to sleep because the pool is full: its place among those who wait. */
  readonly ticket: readonly Write[];
  /** After the run has ended, or sleeps. `keepUntil`: its work goes on elsewhere, and so the slot is its own until then. */
  leave(keepUntil?: number): Promise<void>;
}

type SlotRefs = { readonly slot: Ref<"partition"> };

/** However a wake-up was lost, a run that waits looks for itself after so long. */
const LOOK_MS = 1_800_000;
/** A slot that somebody takes in the same moment is no reason to wait. */
const TRIES = 3;

export function seatIn(
  services: Services,
  pool: string,
  { run, token }: { readonly run: RunDocument; readonly token: number },
): Seat {
  const { events, clock, settings } = services;
  let number: number | undefined;
  const limit = (): number => {
    const found = services.definitions().pools.get(pool);
    if (found === undefined)
      throw new DefinitionError(`${run.name} is in the pool ${pool}, which is not defined`, {
        remedy: `export pool({ name: "${pool}", limit: … })`,
      });
    return found.limit;
  };
  const wish = (slot: number, leaseUntil: number): SlotWish => ({
    pool,
    number: slot,
    run,
    token,
    now: clock.now(),
    leaseUntil,
  });

  return {
    ticket: [put(ticketOf(pool, run), ticketDocument(pool, run))],

    async take() {
      const size = limit();
      for (let attempt = 1; attempt <= TRIES; attempt++) {
        const held = await heldSlots(services, pool);
        const own = ownSlot(held, run.id);
        const [oldest] = own === undefined ? await tickets(services, pool, 1) : [];
        // Those who begin together look for different ones.
        const first = parseInt(run.id.slice(0, 6), 16) % size;
        const [free] = isBefore(run, oldest) ? freeSlots(held, { limit: size, now: clock.now(), first }) : [];
        const wanted = own ?? free;
        if (wanted === undefined) break;
        const taken = await events.transact({ slot: slotOfPool(pool, wanted) }, (state) =>
          takeSlot(state, { ...wish(wanted, clock.now() + settings.leaseMs), ticket: ticketOf(pool, run) }),
        );
        if (!taken) continue;
        number = wanted;
        return;
      }
      throw new Park(POOL_FULL, `the pool ${pool} is full: ${size} at the same time`, clock.now() + LOOK_MS);
    },

    async renew() {
      if (number === undefined) return true;
      const own = wish(number, clock.now() + settings.leaseMs);
      return await events.transact({ slot: slotOfPool(pool, number) }, (state) => renewSlot(state, own));
    },

    async leave(keepUntil) {
      if (number !== undefined) {
        const own = wish(number, keepUntil ?? 0);
        const rule = keepUntil === undefined ? leaveSlot : renewSlot;
        await events.transact<SlotRefs, unknown>({ slot: slotOfPool(pool, number) }, (state) => rule(state, own));
      }
      if (keepUntil === undefined) await dispatchPool(services, pool);
    },
  };
}

/**
 * Gives the pool's free slots to those who have waited longest, and wakes them. Idempotent, by anybody: whoever leaves, whoever
 * begins to wait, and each sweep. Dying in between loses nothing, because who holds a slot is due.
 */
export async function dispatchPool(services: Services, pool: string): Promise<number> {
  const { events, bus, clock, settings } = services;
  const size = services.definitions().pools.get(pool)?.limit ?? 0;
  const waiting = await tickets(services, pool, TICKETS);
  if (waiting.length === 0) return 0;
  const free = [...freeSlots(await heldSlots(services, pool), { limit: size, now: clock.now() })];
  let woken = 0;
  for (const next of waiting) {
    const runId = runOfTicket(next);
    const ticket = partitionRef(next.name, next.partition);
    for (let number = free[0]; number !== undefined; number = free[0]) {
      const now = clock.now();
      const input = { pool, number, now, leaseUntil: now + settings.leaseMs, ticket };
      const refs = { slot: slotOfPool(pool, number), ticket, run: ref("run", runId) };
      const { outcome, run } = await events.transact(refs, (state) => {
        const decision = handOver(state, input);
        return { ...decision, result: { outcome: decision.result, run: state.run } };
      });
      if (outcome !== "passed") free.shift();
      if (outcome === "woken" && run !== undefined) {
        const topic = topicOfRun({ kind: run.kind, name: presentName(services, run) });
        await bus.publish(topic, { data: { wake: run.id } });
        woken += 1;
      }
      if (outcome !== "taken") break;
    }
  }
  return woken;
}

async function heldSlots({ events }: Services, pool: string): Promise<readonly PartitionDocument[]> {
  return (await events.partitions({ name: poolDocuments(pool), ...SLOTS, limit: 200 })).items;
}

async function tickets({ events }: Services, pool: string, limit: number): Promise<readonly PartitionDocument[]> {
  return (await events.partitions({ name: poolDocuments(pool), ...WAITING, limit })).items;
}
