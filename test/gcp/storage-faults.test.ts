import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RetryableError } from "../../lib/core/errors.ts";
import type { Fault } from "../fakes/http-fake.ts";
import {
  BLOCK,
  BUCKET,
  bytesOf,
  content,
  type GcsSubject,
  isPermanent,
  namesIn,
  openGcs,
  pieces,
} from "./gcs-subject.ts";

/** A fault by which it stays unknown whether the call took effect, and one by which it is known. */
const FAULTS: readonly Fault[] = [
  { fault: "reset-before" },
  { fault: "reset-after" },
  { fault: 500 },
  { fault: 503, after: true },
  { fault: 429 },
];

interface Scenario {
  readonly title: string;
  readonly prepare?: (subject: GcsSubject) => Promise<string | undefined>;
  /** Gets what `prepare` gave. */
  readonly act: (subject: GcsSubject, generation: string | undefined) => Promise<unknown>;
  /** Objects that come to be while it acts. */
  readonly writes: number;
}

const old = (subject: GcsSubject) => subject.fake.put(BUCKET, "x", "old").then(({ generation }) => generation);

function writing(size: number, over: "nothing" | "generation" | "any", there: boolean): Scenario {
  const bytes = content(size);
  return {
    title: `writing ${size} bytes over ${over}${there ? ", with an object there" : ""}`,
    prepare: (subject) => (there ? old(subject) : Promise.resolve(undefined)),
    async act(subject, generation) {
      const options = over === "any" ? {} : { ifGeneration: generation ?? null };
      const written = await subject.store.write(BUCKET, "x", pieces(bytes), options);
      assert.equal(written.generation, subject.fake.objects(BUCKET)[0]?.generation);
      assert.equal(written.size, size);
      assert.deepEqual(
        subject.fake.objects(BUCKET).map(({ name }) => name),
        ["x"],
      );
      assert.ok(readFileSync(subject.fake.pathOf(BUCKET, "x") ?? "").equals(bytes), "the content is what was written");
    },
    writes: 1,
  };
}

const SCENARIOS: readonly Scenario[] = [
  writing(10, "nothing", false),
  writing(10, "generation", true),
  writing(10, "any", false),
  writing(10, "any", true),
  writing(2 * BLOCK + 1000, "nothing", false),
  writing(2 * BLOCK, "generation", true),
  writing(2 * BLOCK + 1000, "any", true),
  {
    title: "looking",
    prepare: old,
    act: async ({ store }, generation) => assert.equal((await store.stat(BUCKET, "x"))?.generation, generation),
    writes: 0,
  },
  {
    title: "listing",
    prepare: old,
    act: async (subject) => assert.deepEqual(await namesIn(subject), ["x"]),
    writes: 0,
  },
  {
    title: "reading",
    prepare: (subject) => subject.fake.put(BUCKET, "x", content(300_000)).then(({ generation }) => generation),
    act: async (subject, generation) => assert.ok((await bytesOf(subject, "x", generation)).equals(content(300_000))),
    writes: 0,
  },
  {
    title: "deleting",
    prepare: old,
    async act({ store, fake }, generation = "") {
      assert.equal(await store.delete(BUCKET, "x", generation), "deleted");
      assert.deepEqual(fake.objects(BUCKET), []);
    },
    writes: 0,
  },
];

for (const { title, prepare, act, writes } of SCENARIOS) {
  test(`${title}: a fault at any call, before or after it took effect, changes nothing`, async (t) => {
    const calm = await openGcs(t);
    const given = await prepare?.(calm);
    const before = calm.fake.calls.length;
    await act(calm, given);
    const calls = calm.fake.calls.length - before;
    assert.ok(calls > 0);
    for (let skip = 0; skip < calls; skip++) {
      for (const fault of FAULTS) {
        const subject = await openGcs(t);
        const generation = await prepare?.(subject);
        await subject.fake.settled();
        const known = subject.finalized.length;
        subject.fake.fail({
          ...fault,
          skip,
          match: (call) => call.method !== "DELETE" || call.query.has("ifGenerationMatch"),
        });
        await act(subject, generation);
        await subject.fake.settled();
        const where = `${String(fault.fault)}${fault.after ? " after" : ""} at call ${skip}`;
        assert.equal(subject.finalized.length - known, writes, where);
        assert.ok(subject.fake.calls.length > before + calls, `${where} was met and mended`);
        assert.equal(subject.fake.openSessions() > 1, false, where);
        await subject.fake.close();
      }
    }
  });
}

test("two writers who each want to be the first, with lost answers: the one who is told so is", async (t) => {
  const subject = await openGcs(t);
  subject.fake.fail({ match: "uploadType=multipart", fault: "reset-after", times: 4 });
  const outcomes = await Promise.allSettled(
    ["one", "two", "three"].map((text) =>
      subject.store.write(BUCKET, "lock", [Buffer.from(text)], { ifGeneration: null }).then(() => text),
    ),
  );
  const won = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  assert.deepEqual(won, [(await bytesOf(subject, "lock")).toString()]);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert.ok(isPermanent("precondition-failed", BUCKET)(outcome.reason));
  }
});

test("a storm of faults, from a seed: what was confirmed is there, and what was refused is not", async (t) => {
  const seed = Number(process.env["SEED"] ?? 20240501);
  t.diagnostic(`SEED=${seed}`);
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const subject = await openGcs(t, { attempts: 4 });
  const kinds = [429, 500, 503, "reset-before", "reset-after", "cut"] as const;
  subject.fake.fail({ match: () => random() < 0.08, fault: "reset-after", times: 1e9 });
  for (const fault of kinds) {
    subject.fake.fail({ match: () => random() < 0.03, fault, bytes: 70_000, times: 1e9 });
  }
  for (const fault of [500, 503]) {
    subject.fake.fail({ match: () => random() < 0.03, fault, after: true, times: 1e9 });
  }
  /** What each name may hold: several where a write failed without a clear answer. */
  const possible = new Map<string, (string | undefined)[]>();
  const bodyOf = (round: number) => content(round % 3 === 0 ? BLOCK + 5000 : 50, round);
  const keyOf = (bytes: Buffer) => `${bytes.length}:${bytes.readUInt32LE(0)}`;
  let unclear = 0;
  for (let round = 1; round <= 80; round++) {
    const name = `n${Math.floor(random() * 6)}`;
    const known = possible.get(name) ?? [undefined];
    const bytes = bodyOf(round);
    try {
      if (random() < 0.75) {
        await subject.store.write(BUCKET, name, pieces(bytes));
        possible.set(name, [keyOf(bytes)]);
      } else {
        const info = await subject.store.stat(BUCKET, name);
        if (info === undefined) assert.ok(known.includes(undefined), `${name} is gone`);
        else {
          assert.ok(
            known.includes(keyOf(await bytesOf(subject, name, info.generation))),
            `${name} holds what nobody wrote`,
          );
          assert.equal(await subject.store.delete(BUCKET, name, info.generation), "deleted");
          possible.set(name, [undefined]);
        }
      }
    } catch (error) {
      assert.ok(error instanceof RetryableError, String(error));
      unclear += 1;
      possible.set(name, [...known, keyOf(bytes), undefined]);
    }
  }
  subject.fake.heal();
  for (const [name, allowed] of possible) {
    const info = await subject.store.stat(BUCKET, name);
    const found = info === undefined ? undefined : keyOf(await bytesOf(subject, name));
    assert.ok(allowed.includes(found), `${name} holds ${found}, and not one of ${allowed.join(", ")}`);
  }
  assert.ok(unclear < 40, `${unclear} of 80 rounds failed`);
});
