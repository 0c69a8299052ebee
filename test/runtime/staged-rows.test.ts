/** Staged files are believed, and deleted, by whom they belong to alone. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { PermanentError } from "../../lib/core/errors.ts";
import type { PartitionDocument } from "../../lib/core/documents.ts";
import { put } from "../../lib/core/documents.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import type { Execution } from "../../lib/runtime/execution.ts";
import {
  clearStaged,
  findReceipt,
  partName,
  RECEIPT,
  stagedFolder,
  writeReceipt,
} from "../../lib/runtime/staged-rows.ts";
import type { Receipt } from "../../lib/runtime/staged-rows.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";

const FINGERPRINT = "f".repeat(64);
const RUN = "0123456789abcdef";
let files: Map<string, ObjectInfo & { readonly bytes: Uint8Array }>;
let deleted: string[];
let writes: number;
beforeEach(() => {
  files = new Map();
  deleted = [];
  writes = 0;
});

function execution({ attempt = 2, token = 2, id = RUN } = {}): Execution {
  const documents = memoryDocuments();
  const held: PartitionDocument = {
    name: "a",
    partition: "",
    token: 2,
    holder: { runId: RUN, token: 2, leaseUntil: 0 },
  };
  documents.apply({}, () => ({ result: 0, writes: [put(partitionRef("a", ""), held)], events: [] }));
  return {
    identity: { id, kind: "asset", name: "a", partition: "" },
    run: { attempt },
    token,
    signal: new AbortController().signal,
    services: {
      definitions: () => ({ assets: new Map() }),
      settings: { stagingBucket: "staging" },
      events: memoryEventStore(documents),
      objects: {
        async *list(_: string, { prefix = "" }) {
          for (const file of files.values()) if (file.name.startsWith(prefix)) yield file;
        },
        stat: async (_: string, name: string) => files.get(name),
        async *read(_: string, name: string) {
          yield files.get(name)?.bytes ?? assert.fail(new PermanentError(name, { code: "not-found" }));
        },
        write: async (_: string, name: string, [bytes]: readonly Uint8Array[]) => writeFile(name, bytes),
        delete: async (_: string, name: string) => {
          deleted.push(name);
          return files.delete(name) ? "deleted" : "missing";
        },
      },
    },
  } as unknown as Execution; // what the functions use of it
}

function writeFile(name: string, bytes: Uint8Array = new Uint8Array()): ObjectInfo {
  const info = { bucket: "staging", name, generation: String(++writes), size: bytes.length, updated: 0, bytes };
  files.set(name, info);
  return info;
}

/** Two parts and the receipt of the run's first attempt. */
async function stage(): Promise<Receipt> {
  const folder = stagedFolder(execution(), FINGERPRINT);
  const parts = [0, 1].map((index) => writeFile(partName(folder, 1, index)));
  const receipt: Receipt = {
    v: 1,
    run: RUN,
    token: 1,
    parts: parts.map(({ name, generation }) => ({ name, generation })),
    metadata: { n: 1 },
  };
  await writeReceipt(execution(), FINGERPRINT, receipt);
  return receipt;
}

test("a receipt is believed by the later attempts of its own run, while its parts are what they were", async () => {
  const receipt = await stage();
  assert.deepEqual(await findReceipt(execution(), FINGERPRINT), receipt);
  assert.equal(await findReceipt(execution({ attempt: 1 }), FINGERPRINT), undefined, "it has none of its own");
  assert.equal(await findReceipt(execution({ id: "fedcba9876543210" }), FINGERPRINT), undefined, "another run's");
  assert.equal(await findReceipt(execution(), "e".repeat(64)), undefined, "of other inputs");
});

for (const [what, change] of [
  ["replaced", (name: string) => writeFile(name)],
  ["deleted", (name: string) => files.delete(name)],
] as const)
  test(`a receipt is not believed when one of its parts was ${what}`, async () => {
    const { parts } = await stage();
    change(parts[1]?.name ?? assert.fail("no part"));
    assert.equal(await findReceipt(execution(), FINGERPRINT), undefined);
  });

test("clearing up deletes what promises the parts before the parts, leaves what is kept, and all of it once the claim is lost", async () => {
  const { parts } = await stage();
  const foreign = writeFile(`${stagedFolder(execution(), FINGERPRINT)}/notes.txt`);
  await clearStaged(execution({ token: 1 }));
  assert.deepEqual(deleted, []);
  const [first, second] = parts.map(({ name }) => name);
  await clearStaged(execution(), [first ?? ""]);
  assert.deepEqual(deleted, [`${stagedFolder(execution(), FINGERPRINT)}/${RECEIPT}`, second]);
  assert.deepEqual([...files.keys()], [first, foreign.name]);
});

test("the parts of two attempts are not each other's", () => {
  assert.notEqual(partName("folder", 1, 0), partName("folder", 2, 0));
});
