import assert from "node:assert/strict";
import { test } from "node:test";
import type { Execution } from "../../lib/runtime/execution.ts";
import { rowsVersion } from "../../lib/runtime/load-rows.ts";

test("every making of rows has a staging table of its own: of these inputs, by this attempt of this run", async () => {
  const receipt = { v: 1 as const, run: "0123456789abcdef", token: 1, parts: [], metadata: {} };
  const own = (token: number): Execution =>
    ({ identity: { id: receipt.run }, run: { attempt: 1 }, token }) as unknown as Execution; // a first attempt has no receipt
  const { version } = await rowsVersion(own(1), "f", undefined);
  assert.equal((await rowsVersion(own(9), "f", receipt)).version, version, "whoever goes on with them");
  const others = [
    await rowsVersion(own(2), "f", undefined),
    await rowsVersion(own(1), "g", undefined),
    await rowsVersion(own(1), "f", { ...receipt, run: "fedcba9876543210" }),
    await rowsVersion(own(1), "f", { ...receipt, token: 2, run: "fedcba9876543210" }),
  ];
  assert.equal(new Set([version, ...others.map((other) => other.version)]).size, 5);
});
