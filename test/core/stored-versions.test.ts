import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Head, PartitionDocument, StoredVersion } from "../../lib/core/documents.ts";
import { beginVersion, forgetVersions, unneeded, versionOf } from "../../lib/core/stored-versions.ts";

const identity = { id: "r1", kind: "asset", name: "a/b", partition: "p" } as const;
const version = (name: string, handle?: string): StoredVersion => ({
  manager: "m",
  version: name,
  ...(handle === undefined ? {} : { handle }),
});
const head = (stored?: StoredVersion): Head => ({
  materializationId: "m-1",
  runId: "r0",
  at: 0,
  fingerprint: "f",
  inputs: [],
  ...(stored === undefined ? {} : { stored }),
});
const partition = (more: Partial<PartitionDocument> = {}): PartitionDocument => ({
  name: "a/b",
  partition: "p",
  token: 7,
  holder: { runId: "r1", token: 7, leaseUntil: 1 },
  ...more,
});

describe("stored versions", () => {
  test("every claim has a version of its own", () => {
    const all = [versionOf({ id: "r1" }, 1), versionOf({ id: "r1" }, 2), versionOf({ id: "r2" }, 1)];
    assert.equal(new Set(all).size, 3);
    for (const one of all) assert.match(one, /^[0-9a-f]{16}$/);
  });

  test("what is going to be written is written down, by the holder alone", () => {
    const state = { partition: partition({ writing: [version("dead")] }) };
    const begun = beginVersion(state, { identity, token: 7, version: version("own") });
    assert.equal(begun.result, true);
    assert.deepEqual(
      begun.writes.map((write) => ("put" in write && "writing" in write.value ? write.value.writing : undefined)),
      [[version("dead"), version("own")]],
    );
    for (const lost of [state, { partition: undefined }])
      assert.deepEqual(beginVersion(lost, { identity, token: 6, version: version("own") }), {
        result: false,
        writes: [],
        events: [],
      });
  });

  test("what is removed is forgotten, by the holder alone, and what is not stays", () => {
    const state = { partition: partition({ writing: [version("a"), version("b")] }) };
    const written = (gone: readonly StoredVersion[], token = 7) =>
      forgetVersions(state, { identity, token, versions: gone }).writes;
    assert.deepEqual(written([version("a")], 6), []);
    assert.deepEqual(
      written([version("a")]).map((write) => ("put" in write ? write.value : undefined)),
      [partition({ writing: [version("b")] })],
    );
    assert.deepEqual(
      written([version("a"), version("b")]).map((write) => ("put" in write ? write.value : undefined)),
      [partition()],
    );
  });

  test("a commit makes everything useless but what it names itself", () => {
    const state = partition({
      head: head(version("old", "h")),
      writing: [version("dead"), version("new")],
      finish: { runId: "r0", remove: [version("older", "g")] },
    });
    assert.deepEqual(unneeded(state, head(version("new", "i"))), {
      remove: [version("older", "g"), version("old", "h"), version("dead")],
    });
    // A table takes the rows over.
    assert.deepEqual(unneeded(partition({ head: head(version("old", "h")) }), head()), {
      remove: [version("old", "h")],
    });
    assert.deepEqual(unneeded(partition({ head: head() }), head(version("new"))), {});
  });

  test("handles of versions that cannot be removed do not pile up", () => {
    const remove = Array.from({ length: 9 }, (_, i) => version(`v${i}`, `h${i}`));
    const left = unneeded(partition({ finish: { runId: "r0", remove } }), head(version("new"))).remove ?? [];
    assert.deepEqual(
      left.map((one) => one.handle),
      [undefined, undefined, undefined, undefined, undefined, "h5", "h6", "h7", "h8"],
    );
    assert.equal(left.length, 9);
  });
});
