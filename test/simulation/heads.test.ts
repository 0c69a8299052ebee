import assert from "node:assert/strict";
import { test } from "node:test";
import type { Head, PartitionDocument } from "../../lib/core/documents.ts";
import { plainDocuments } from "./documents.ts";
import type { Change } from "./documents.ts";
import { onHeads } from "./heads.ts";
import { projects } from "./projects.ts";
import type { Surroundings } from "./surroundings.ts";

const DAY = "2024-05-01";

function found(name: string, before: Partial<PartitionDocument>, after: Partial<PartitionDocument>): readonly string[] {
  const said: string[] = [];
  const whole = (part: Partial<PartitionDocument>): PartitionDocument => ({ name, partition: DAY, token: 2, ...part });
  const change: Change = { kind: "partition", id: `${name}|${DAY}`, before: whole(before), after: whole(after) };
  const documents = plainDocuments();
  const run = { id: "r", kind: "asset", name, partition: DAY, status: "running", attempt: 1, failures: 0, token: 2 };
  documents.apply({}, () => ({
    result: undefined,
    // Only the token is looked at.
    writes: [{ put: { kind: "run", id: "r" }, value: run as never }],
    events: [],
  }));
  // Nothing else of them is looked at.
  const around = { project: projects()("stored"), documents, fail: (what: string) => said.push(what) };
  onHeads(around as unknown as Surroundings, [change]);
  return said;
}

const head: Head = { materializationId: "m", runId: "r", at: 0, fingerprint: "", inputs: [] };
const holder = { runId: "r", token: 2, leaseUntil: 0 };

test("a head without a table changes under its holder's token only", () => {
  assert.deepEqual(found("made/kept", { holder }, { head }), []);
  for (const before of [{}, { holder: { ...holder, token: 1 } }, { holder: { ...holder, runId: "other" } }])
    assert.match(found("made/kept", before, { head })[0] ?? "", /became m, and its run did not hold it/);
});

test("a head with a table changes by a commit of its open intent only, also under its holder", () => {
  assert.match(found("data/days", { holder }, { head })[0] ?? "", /without the commit of its open intent/);
});

test("a head is not forgotten, unless it has moved", () => {
  assert.match(found("made/kept", { holder, head }, { holder })[0] ?? "", /has forgotten its head m/);
  assert.deepEqual(found("data/days", { head }, { movedTo: "data/drops" }), []);
});
