import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { Intent, PartitionDocument, RunDocument } from "../../lib/core/documents.ts";
import { put } from "../../lib/core/documents.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { slotRef } from "../../lib/core/slot.ts";
import type { Execution } from "../../lib/runtime/execution.ts";
import { dropLeftovers } from "../../lib/runtime/leftovers.ts";
import { dayImport, KEY } from "../support/import-world.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";

const DAY = "2024-05-01";
const DESTINATION = { dataset: "clean", table: "days" };
const staged = (name: string) => ({ dataset: "raw", table: `days__staging_20240501_${name}` });
const asset = dayImport({ mode: "overwrite" }).assets.get(KEY);
let dropped: string[];
beforeEach(() => {
  dropped = [];
});

/** The partition is held under the token 2, a commit's leftover is "finish", and what an intent is about to publish "intent". */
async function leave(more: { readonly token?: number; readonly attempt?: number; readonly signal?: AbortSignal } = {}) {
  const documents = memoryDocuments();
  const partition: PartitionDocument = {
    name: KEY,
    partition: DAY,
    token: 2,
    holder: { runId: "r", token: 2, leaseUntil: 0 },
    finish: { runId: "before", staging: staged("finish") },
  };
  const slot = { sequence: 1, intent: { staging: staged("intent") } as Intent }; // of it, nothing else is looked at
  const writes = [put(partitionRef(KEY, DAY), partition), put(slotRef(DESTINATION), slot)];
  documents.apply({}, () => ({ result: 0, writes, events: [] }));
  const execution = {
    identity: { id: "r", kind: "asset", name: KEY, partition: DAY },
    run: { attempt: more.attempt ?? 2 } as RunDocument,
    token: more.token ?? 2,
    signal: more.signal ?? new AbortController().signal,
    services: {
      events: memoryEventStore(documents),
      warehouse: {
        list: async function* () {
          for (const name of ["finish", "intent", "kept", "other", "third"]) yield staged(name);
        },
        drop: async ({ table }: { table: string }) => dropped.push(table.replace(/.*_/, "")) > 0,
      },
    },
  } as unknown as Execution; // what the function uses of it
  const { target, partitions } = asset ?? assert.fail("no asset");
  const placed = { target: target ?? assert.fail("no target"), partitions };
  await dropLeftovers(execution, placed, DESTINATION, ["raw.days__staging_20240501_kept"]);
}

test("what nobody needs is dropped: neither what is kept, nor what a commit or an open intent still stands on", async () => {
  await leave();
  assert.deepEqual(dropped, ["other", "third"]);
});

for (const [who, more] of [
  ["an attempt without a predecessor", { attempt: 1 }],
  ["who has lost the claim", { token: 1 }],
] as const)
  test(`${who} drops nothing`, async () => {
    await leave(more);
    assert.deepEqual(dropped, []);
  });

test("who is cut off drops nothing", async () => {
  await assert.rejects(leave({ signal: AbortSignal.abort(new Error("cut off")) }), /cut off/);
  assert.deepEqual(dropped, []);
});
