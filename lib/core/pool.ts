/**
 * Concurrency pools: how many runs may work at the same time. Each slot of a pool is a document of its own with a lease, as a
 * partition's is, and so is each ticket of a run that waits: nobody writes one that all others write as well.
 */
import { checkName } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { Branded } from "./definition.ts";
import type { Decision, PartitionDocument, Ref, RunDocument } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { DefinitionError } from "./errors.ts";
import { nameIn } from "./option-rules.ts";
import { checkOptions, number, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import { partitionRef, putDue } from "./run-identity.ts";

export interface PoolOptions {
  /** 1 to 200 letters, digits, `_` and `-`. */
  readonly name: string;
  /** How many runs of the pool may work at the same time: 1 to 100. */
  readonly limit: number;
  readonly description?: string;
}

export interface PoolDefinition extends Branded<"pool">, PoolOptions {}

const MAX_LIMIT = 100;

const OPTIONS: Shape<keyof PoolOptions> = { name: text, limit: number, description: optional(text) };

/** Defines a pool; assets and jobs name it as their `pool`. Throws `DefinitionError` for a bad name or limit. */
export function pool(options: PoolOptions): PoolDefinition {
  checkOptions(nameIn("pool", options), options, OPTIONS);
  const { name, limit } = options;
  checkName(name, "pool");
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new DefinitionError(`the limit of the pool ${name} is ${String(limit)}`, {
      remedy: `give a whole number from 1 to ${MAX_LIMIT}`,
    });
  return Object.freeze({ ...options, [brand]: true as const, kind: "pool" as const });
}

/** What an asset or a job may give as its pool; the result is the pool's name. Throws `DefinitionError` for a bad one. */
export function poolNameOf(given: string | PoolDefinition): string {
  return checkName(typeof given === "string" ? given : given.name, "pool");
}

/** How many tickets are looked at when slots are free; the next look sees the others. */
export const TICKETS = 50;
/** A run that was woken by its slot is due if the message is lost. */
const GRACE_MS = 5_000;

/** No asset's key has a colon. */
export function poolDocuments(name: string): string {
  return `pool:${name}`;
}

export const SLOTS = Object.freeze({ from: "slot-", to: "slot-~" });
export const WAITING = Object.freeze({ from: "wait-", to: "wait-~" });

export function slotOfPool(pool: string, number: number): Ref<"partition"> {
  return partitionRef(poolDocuments(pool), slotKey(number));
}

function slotKey(number: number): string {
  return `slot-${String(number).padStart(3, "0")}`;
}

type Waiter = Pick<RunDocument, "id" | "createdAt">;

/** The oldest run is the first; a run keeps its place however often it waits. */
export function ticketOf(pool: string, { id, createdAt }: Waiter): Ref<"partition"> {
  return partitionRef(poolDocuments(pool), ticketKey({ id, createdAt }));
}

function ticketKey({ id, createdAt }: Waiter): string {
  return `wait-${String(createdAt).padStart(15, "0")}-${id}`;
}

export function ticketDocument(pool: string, run: Waiter): PartitionDocument {
  return { name: poolDocuments(pool), partition: ticketKey(run), token: 0 };
}

/** The id of the run that holds the ticket. */
export function runOfTicket({ partition }: Pick<PartitionDocument, "partition">): string {
  return partition.slice(partition.lastIndexOf("-") + 1);
}

/** Whether a run that began then is before the holder of the ticket. */
export function isBefore(run: Waiter, ticket: Pick<PartitionDocument, "partition"> | undefined): boolean {
  return ticket === undefined || ticketKey(run) <= ticket.partition;
}

/** The numbers of the slots that nobody holds, from `first` on and around. */
export function freeSlots(
  held: readonly PartitionDocument[],
  { limit, now, first = 0 }: { readonly limit: number; readonly now: number; readonly first?: number },
): readonly number[] {
  const taken = new Set(held.filter(({ holder }) => (holder?.leaseUntil ?? 0) > now).map(({ partition }) => partition));
  const numbers = Array.from({ length: limit }, (_, at) => (first + at) % limit);
  return numbers.filter((number) => !taken.has(slotKey(number)));
}

/** The slot that the run holds already: of an earlier attempt, or because it was handed over. Also one beyond a lowered limit. */
export function ownSlot(held: readonly PartitionDocument[], runId: string): number | undefined {
  const own = held.find(({ holder }) => holder?.runId === runId);
  return own === undefined ? undefined : Number(own.partition.slice("slot-".length));
}

export interface SlotWish {
  readonly pool: string;
  readonly number: number;
  readonly run: Pick<RunDocument, "id">;
  /** The fencing token of the run's claim. */
  readonly token: number;
  readonly now: number;
  readonly leaseUntil: number;
}

type SlotState = { readonly slot: PartitionDocument | undefined };

/** Takes a slot that is free, or was the run's already; `false` when it is another's by now. Its ticket is used up. */
export function takeSlot({ slot }: SlotState, wish: SlotWish & { readonly ticket: Ref }): Decision<boolean> {
  const holder = slot?.holder;
  const own = holder?.runId === wish.run.id && holder.token <= wish.token;
  if (holder !== undefined && !own && (holder.leaseUntil > wish.now || holder.runId === wish.run.id))
    return decided(false);
  return { result: true, writes: [put(refOf(wish), heldBy(wish)), { delete: wish.ticket }], events: [] };
}

/** Extends the lease; `false` when the slot is another's. */
export function renewSlot({ slot }: SlotState, wish: SlotWish): Decision<boolean> {
  if (slot?.holder?.runId !== wish.run.id || slot.holder.token !== wish.token) return decided(false);
  return { result: true, writes: [put(refOf(wish), heldBy(wish))], events: [] };
}

/** Gives the slot back, if it is still this attempt's. */
export function leaveSlot(
  { slot }: SlotState,
  wish: Pick<SlotWish, "pool" | "number" | "run" | "token">,
): Decision<void> {
  if (slot?.holder?.runId !== wish.run.id || slot.holder.token !== wish.token) return decided(undefined);
  return { result: undefined, writes: [{ delete: refOf(wish) }], events: [] };
}

/** `taken`: the slot is another's. `passed`: the ticket is not for this moment, or for none. */
export type HandOver = "woken" | "taken" | "passed";

/** A free slot becomes that of the run that has waited longest, which wakes up holding it. */
export function handOver(
  state: {
    readonly slot: PartitionDocument | undefined;
    readonly ticket: PartitionDocument | undefined;
    readonly run: RunDocument | undefined;
  },
  input: Pick<SlotWish, "pool" | "number" | "now" | "leaseUntil"> & { readonly ticket: Ref },
): Decision<HandOver> {
  const { slot, ticket, run } = state;
  if (ticket === undefined) return decided("passed");
  // It is just looking for a slot by itself.
  if (run?.status === "running") return decided("passed");
  const used = { delete: input.ticket };
  if (run?.status !== "parked" || run.code !== POOL_FULL) return { result: "passed", writes: [used], events: [] };
  if (slot?.holder !== undefined && slot.holder.leaseUntil > input.now) return decided("taken");
  const wish = { ...input, run, token: run.token };
  return {
    result: "woken",
    writes: [
      put(refOf(wish), heldBy(wish)),
      used,
      put(ref("run", run.id), { ...run, wakeAt: input.now }),
      putDue(run.id, input.now + GRACE_MS),
    ],
    events: [],
  };
}

/** The code of a run that waits for a slot. */
export const POOL_FULL = "pool-full";

function refOf({ pool, number }: Pick<SlotWish, "pool" | "number">): Ref<"partition"> {
  return slotOfPool(pool, number);
}

function heldBy({ pool, number, run, token, leaseUntil }: SlotWish): PartitionDocument {
  const holder = { runId: run.id, token, leaseUntil };
  return { name: poolDocuments(pool), partition: slotKey(number), token, holder };
}
