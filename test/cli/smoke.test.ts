import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import type { RunDocument } from "../../lib/core/documents.ts";
import type { StoredEvent } from "../../lib/core/events.ts";
import { smokeCheck } from "../../lib/cli/smoke.ts";
import type { SmokeOptions, SmokeResult } from "../../lib/cli/smoke.ts";
import type { ReadableStore } from "../../lib/cli/workbench.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const RUN_KEY = "smoke:1";

/** A store in which, when the time has come, the run of the request and that of somebody else are seen. */
function scene(endsAfterMs: number | undefined): {
  run(options?: Partial<SmokeOptions>): Promise<SmokeResult>;
  readonly told: StoredEvent[];
  readonly bodies: string[];
  readonly clock: ReturnType<typeof virtualClock>;
} {
  const clock = virtualClock();
  const began = clock.now();
  const told: StoredEvent[] = [];
  const bodies: string[] = [];
  let asked = false;
  const isOver = (): boolean => endsAfterMs !== undefined && clock.now() - began >= endsAfterMs;
  const runOf = (id: string, runKey: string): RunDocument =>
    // What is looked at of a run.
    ({
      id,
      kind: "asset",
      name: "a/b",
      partition: "",
      status: isOver() ? "succeeded" : "running",
      request: { runKey, cause: { kind: "manual" } },
      ...(isOver() ? { endedAt: clock.now() } : {}),
    }) as unknown as RunDocument;
  const event = (position: string, run: string, type: string): StoredEvent =>
    ({ position, run, type, at: clock.now(), asset: "a/b", partition: "" }) as unknown as StoredEvent;
  const all = (): StoredEvent[] => [
    event("1", "old", "run.succeeded"),
    ...(asked ? [event("2", "theirs", "run.claimed"), event("3", "ours", "run.claimed")] : []),
    ...(asked && isOver() ? [event("4", "theirs", "run.succeeded"), event("5", "ours", "run.succeeded")] : []),
  ];
  const store: Pick<ReadableStore, "get" | "history"> = {
    get: async (_kind, id) => runOf(id, id === "ours" ? RUN_KEY : "another") as never, // the kind that is asked for is a run
    async history({ order, after = "" }) {
      const items = all().filter(({ position }) => position > after);
      return { items: order === "oldest" ? items : items.reverse().slice(0, 1) };
    },
  };
  return {
    told,
    bodies,
    clock,
    run: (options = {}) =>
      clock.runUntil(
        smokeCheck({
          store: { ...store, runs: () => assert.fail(), partitions: () => assert.fail(), sensors: () => assert.fail() },
          async publish(body) {
            bodies.push(body);
            asked = true;
          },
          runKey: RUN_KEY,
          clock,
          signal: new AbortController().signal,
          tell: (one) => told.push(one),
          limitMs: 60_000,
          ...options,
        }),
      ),
  };
}

describe("the smoke check", () => {
  test("asks once, and follows its own run to the end", async () => {
    const { run, told, bodies } = scene(30_000);
    const result = await run();
    assert.ok(result.kind === "ended" && result.run.id === "ours");
    assert.deepEqual(
      told.map(({ position }) => position),
      ["3", "5"],
    );
    const [body = ""] = bodies;
    assert.equal(bodies.length, 1);
    assert.equal(z.looseObject({ runKey: z.string() }).parse(JSON.parse(body)).runKey, RUN_KEY);
  });

  test("says when nothing comes of it in time, and whether something has begun", async () => {
    assert.deepEqual(await scene(undefined).run(), { kind: "late", seen: true });
    assert.deepEqual(await scene(undefined).run({ publish: async () => undefined }), { kind: "late", seen: false });
  });

  test("ends when it is interrupted", async () => {
    const stop = new AbortController();
    const { run } = scene(undefined);
    const ended = run({ signal: stop.signal, tell: () => stop.abort(new Error("interrupted")) });
    await assert.rejects(ended, /interrupted/);
  });
});
