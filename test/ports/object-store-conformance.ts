/**
 * What every object store has to do. An adapter's own test calls this once; where the adapter cannot follow, it declares
 * the deviation with its reason, and the suite then makes sure that what it cannot do is refused and not done by halves.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { PermanentError } from "../../lib/core/errors.ts";
import type { ObjectInfo, ObjectStore } from "../../lib/ports/object-store.ts";
import { heldBytes } from "../support/held-memory.ts";

export interface ConformanceSubject {
  readonly store: ObjectStore;
  /** An empty bucket. */
  readonly bucket: string;
}

export interface ConformanceOptions {
  /** Shown in front of each test's name. */
  readonly name: string;
  /** A fresh subject; whatever it needs is removed by `context.after`. */
  readonly open: (context: TestContext) => Promise<ConformanceSubject>;
  /** What the adapter cannot do, and why. */
  readonly deviations?: Readonly<Partial<Record<Deviation, string>>>;
}

export type Deviation =
  /** Names with more than 255 bytes between two slashes. */
  | "long-segments"
  /** `a` and `a/b` side by side. */
  | "object-and-folder"
  /** Names with line breaks. */
  | "line-breaks"
  /** The names `.` and `..`. */
  | "dot-names"
  /** Objects are whole in memory: how much is held is not looked at. */
  | "held";

const encoder = new TextEncoder();

export function objectStoreConformance({ name: adapter, open, deviations = {} }: ConformanceOptions): void {
  const titled = (title: string, deviation?: Deviation) => {
    const reason = deviation === undefined ? undefined : deviations[deviation];
    if (reason !== undefined && deviation === "held") return `${adapter}: ${title} (not looked at: ${reason})`;
    return `${adapter}: ${title}${reason === undefined ? "" : ` (refused: ${reason})`}`;
  };

  /** Does what is given, or, with the deviation declared, checks that it is refused and leaves nothing behind. */
  async function orRefused(deviation: Deviation, subject: ConformanceSubject, name: string, content: string) {
    if (deviations[deviation] === undefined) return await roundTrip(subject, name, content);
    const before = await names(subject);
    await assert.rejects(put(subject, name, content), isPermanent("bad-name", "name-conflict"));
    assert.deepEqual(await names(subject), before);
  }

  test(titled("what was written is there at once, whole, and described the same by all"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const before = Date.now();
    const written = await put(subject, "a/b.txt", "héllo");
    assert.deepEqual([written.bucket, written.name, written.size], [bucket, "a/b.txt", 6]);
    assert.match(written.generation, /^[0-9]{1,19}$/);
    assert.ok(Math.abs(written.updated - before) < 60_000, `updated is ${written.updated}`);
    assert.deepEqual(await store.stat(bucket, "a/b.txt"), written);
    assert.deepEqual(await all(subject), [written]);
    assert.equal(await get(subject, "a/b.txt"), "héllo");
    assert.equal(await get(subject, "a/b.txt", written.generation), "héllo");
  });

  test(titled("what is not there"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    assert.deepEqual(await names(subject), []);
    assert.equal(await store.stat(bucket, "none"), undefined);
    assert.equal(await store.stat(bucket, "none/below"), undefined);
    await assert.rejects(get(subject, "none"), isPermanent("not-found"));
    assert.equal(await store.delete(bucket, "none", "1"), "missing");
    const { generation } = await put(subject, "file", "x");
    assert.equal(await store.stat(bucket, "file/below"), undefined);
    assert.equal(await store.delete(bucket, "file/below", "1"), "missing");
    await assert.rejects(get(subject, "file", `${BigInt(generation) ^ 1n}`), isPermanent("not-found"));
  });

  test(titled("an unknown bucket is empty"), async (t) => {
    const { store, bucket } = await open(t);
    const other = { store, bucket: `${bucket}-other` };
    assert.deepEqual(await names(other), []);
    assert.deepEqual(await names(other, { prefix: "a/b" }), []);
    assert.equal(await store.stat(other.bucket, "a"), undefined);
    assert.equal(await store.delete(other.bucket, "a", "1"), "missing");
    await assert.rejects(get(other, "a"), isPermanent("not-found"));
  });

  test(titled("buckets are apart"), async (t) => {
    const { store, bucket } = await open(t);
    const longer = { store, bucket: `${bucket}2` };
    await put({ store, bucket }, "a", "1");
    assert.deepEqual(await names(longer), []);
    assert.equal(await store.stat(longer.bucket, "a"), undefined);
  });

  test(titled("an empty object"), async (t) => {
    const subject = await open(t);
    for (const [index, body] of [[], [new Uint8Array()], chunks([])].entries()) {
      const written = await subject.store.write(subject.bucket, `empty${index}`, body);
      assert.equal(written.size, 0);
      assert.equal(await get(subject, `empty${index}`), "");
    }
    assert.equal((await names(subject)).length, 3);
  });

  test(titled("nasty names come back as they went in"), async (t) => {
    const subject = await open(t);
    const nasty = [
      "../x",
      "../../etc/passwd",
      "a/../b",
      "./a",
      "a/.",
      "a*b",
      "a?[b]",
      "c//b",
      "/lead",
      "trail/",
      "//",
      "...",
    ];
    nasty.push("a b", "a%2Fb", "%2F", "%", "%%", "100%25", "a%20b", "%2E%2E/y", "%252E", ".hidden", ".git/config");
    nasty.push(
      "back\\slash",
      "..\\up",
      "C:\\x",
      "con",
      "ünï/日本語/Ω.parquet",
      "😀",
      "\u{ffff}",
      "e\u0301",
      "\u00e9",
      "'\"`$(id)&;|<>#",
    );
    nasty.push(`${"n".repeat(200)}/`.repeat(5).slice(0, 1024), `${"é".repeat(127)}/`.repeat(4) + "é".repeat(2));
    const written = new Map<string, ObjectInfo>();
    for (const name of nasty) written.set(name, await roundTrip(subject, name, `content of ${name}`));
    for (const name of nasty) assert.equal(await get(subject, name), `content of ${name}`, JSON.stringify(name));
    assert.deepEqual(await names(subject), inOrder(nasty));
    for (const [name, { generation }] of written) {
      assert.equal(await subject.store.delete(subject.bucket, name, generation), "deleted", JSON.stringify(name));
    }
    assert.deepEqual(await names(subject), []);
  });

  test(titled("control characters"), async (t) => {
    const subject = await open(t);
    const nasty = ["\t", "\u0000", "a\u007f", "%0A", "%250A", "%2\u0005"];
    for (const name of nasty) await roundTrip(subject, name, `content of ${name}`);
    assert.deepEqual(await names(subject), inOrder(nasty));
  });

  test(titled("line breaks", "line-breaks"), async (t) => {
    const subject = await open(t);
    const nasty = ["a\nb", "a\r\nb", "x%0A\n", "%\n", "\r"];
    for (const name of nasty) await orRefused("line-breaks", subject, name, `content of ${name}`);
    if (deviations["line-breaks"] === undefined) assert.deepEqual(await names(subject), inOrder(nasty));
  });

  test(titled("one or two dots as the whole name", "dot-names"), async (t) => {
    const subject = await open(t);
    for (const name of [".", ".."]) await orRefused("dot-names", subject, name, `content of ${name}`);
  });

  test(titled("1,024 bytes without a slash", "long-segments"), async (t) => {
    const subject = await open(t);
    await orRefused("long-segments", subject, "n".repeat(1024), "long");
    await orRefused("long-segments", subject, `dir/${"é".repeat(128)}`, "256 bytes");
  });

  test(titled("an object and others below its name", "object-and-folder"), async (t) => {
    const subject = await open(t);
    await put(subject, "a", "1");
    await put(subject, "c/d", "2");
    await orRefused("object-and-folder", subject, "a/b", "3");
    await orRefused("object-and-folder", subject, "c", "4");
    assert.equal(await get(subject, "a"), "1");
    assert.equal(await get(subject, "c/d"), "2");
  });

  test(titled("names that no store takes"), async (t) => {
    const subject = await open(t);
    for (const name of ["", "n".repeat(1025), `${"日".repeat(50)}/`.repeat(7), "\ud800", "a/\udc00b"]) {
      await assert.rejects(put(subject, name, "x"), isPermanent("bad-name"), JSON.stringify(name.slice(0, 20)));
    }
    for (const bucket of ["", "ab", "Upper", "a/b", "..", "../x", ".hidden", "a..b", "-a-", "ab\n", "x".repeat(64)]) {
      await assert.rejects(
        put({ store: subject.store, bucket }, "x", "x"),
        isPermanent("bad-name"),
        JSON.stringify(bucket),
      );
    }
    assert.deepEqual(await names(subject), []);
  });

  test(titled("a listing is in order of the names' bytes and honours prefix and startAfter"), async (t) => {
    const subject = await open(t);
    const segment = fc.string({
      unit: fc.constantFrom("a", "b", "B", "/", "/", ".", "-", "0", "%", "~", "é", "\uffee", "😀", " "),
      minLength: 1,
      maxLength: 6,
    });
    const isFree = (name: string, index: number, list: readonly string[]) =>
      list.indexOf(name) === index &&
      !/^\.\.?$/.test(name) &&
      !list.some((other) => other !== name && (other + "/").startsWith(name + "/"));
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 1, maxLength: 20 }),
        fc.array(fc.tuple(segment, segment), { maxLength: 6 }),
        async (candidates, bounds) => {
          const stored = candidates.filter(isFree);
          for (const name of stored) await put(subject, name, name);
          const expected = inOrder(stored);
          assert.deepEqual(await names(subject), expected);
          const pairs = [...bounds, ...expected.map((name) => [name, name] as const)].flatMap(
            ([prefix, startAfter]) =>
              [
                [prefix, ""],
                ["", startAfter],
                [prefix, startAfter],
                [prefix.slice(0, 2), startAfter],
              ] as const,
          );
          for (const [prefix, startAfter] of pairs) {
            const wanted = expected.filter(
              (name) => name.startsWith(prefix) && Buffer.compare(Buffer.from(name), Buffer.from(startAfter)) > 0,
            );
            assert.deepEqual(
              await names(subject, { prefix, startAfter }),
              wanted,
              JSON.stringify({ prefix, startAfter }),
            );
          }
          for await (const { name, generation } of subject.store.list(subject.bucket)) {
            assert.equal(await subject.store.delete(subject.bucket, name, generation), "deleted");
          }
          assert.deepEqual(await names(subject), []);
        },
      ),
      { numRuns: 25 },
    );
  });

  test(titled("a prefix may be an object itself, and a listing may be left early"), async (t) => {
    const subject = await open(t);
    for (const name of ["p/a", "p/a.txt", "p/ab/c", "p/b", "q"]) await put(subject, name, name);
    assert.deepEqual(await names(subject, { prefix: "p/a" }), ["p/a", "p/a.txt", "p/ab/c"]);
    assert.deepEqual(await names(subject, { prefix: "p/a", startAfter: "p/a" }), ["p/a.txt", "p/ab/c"]);
    assert.deepEqual(await names(subject, { prefix: "p/ab/c" }), ["p/ab/c"]);
    assert.deepEqual(await names(subject, { prefix: "p/ab/c/" }), []);
    assert.deepEqual(await names(subject, { prefix: "p/", startAfter: "q" }), []);
    for await (const { name } of subject.store.list(subject.bucket)) {
      assert.equal(name, "p/a");
      break;
    }
  });

  test(titled("every write is a generation of its own, after a delete too"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const { generation } = await put(subject, "same", "same content");
      assert.ok(!seen.has(generation), `generation ${generation} came back in round ${round}`);
      seen.add(generation);
      if (round % 3 === 0) assert.equal(await store.delete(bucket, "same", generation), "deleted");
    }
  });

  test(titled("conditional writes"), async (t) => {
    const subject = await open(t);
    const first = await put(subject, "a", "1", null);
    await assert.rejects(put(subject, "a", "2", null), isPermanent("precondition-failed"));
    const second = await put(subject, "a", "2", first.generation);
    await assert.rejects(put(subject, "a", "3", first.generation), isPermanent("precondition-failed"));
    await assert.rejects(put(subject, "none", "3", second.generation), isPermanent("precondition-failed"));
    assert.equal(await get(subject, "a"), "2");
    await assert.rejects(get(subject, "a", first.generation), isPermanent("not-found"));
    assert.deepEqual(await names(subject), ["a"]);
    await put(subject, "a", "4");
    assert.equal(await get(subject, "a"), "4");
  });

  test(titled("of twenty writers who each want to be the first, one is; the same over a generation"), async (t) => {
    const subject = await open(t);
    const race = async (ifGeneration: string | null) => {
      const tries = Array.from({ length: 20 }, (_, index) => put(subject, "race/x", `writer ${index}`, ifGeneration));
      const outcomes = await Promise.allSettled(tries);
      const won = outcomes.flatMap((outcome, index) =>
        outcome.status === "fulfilled" ? [{ index, object: outcome.value }] : [],
      );
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") assert.ok(isPermanent("precondition-failed")(outcome.reason));
      }
      assert.equal(won.length, 1);
      assert.equal(await get(subject, "race/x"), `writer ${won[0]?.index}`);
      const there = await subject.store.stat(subject.bucket, "race/x");
      assert.deepEqual(there, won[0]?.object);
      return there?.generation ?? null;
    };
    const first = await race(null);
    await race(first);
  });

  test(titled("an object that is being replaced is never missing or torn"), async (t) => {
    const subject = await open(t);
    await put(subject, "busy", "0".repeat(5000));
    let writing = true;
    const writer = (async () => {
      for (let round = 0; round < 40; round++) await put(subject, "busy", `${round % 10}`.repeat(5000));
      writing = false;
    })();
    let looks = 0;
    for (; writing; looks++) {
      assert.ok(await subject.store.stat(subject.bucket, "busy"));
      assert.deepEqual(await names(subject), ["busy"]);
      const content = await get(subject, "busy");
      assert.equal(content, (content[0] ?? "").repeat(5000));
    }
    await writer;
    assert.ok(looks > 0);
  });

  test(titled("conditional deletes"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const first = await put(subject, "d/a", "1");
    const second = await put(subject, "d/a", "2");
    assert.equal(await store.delete(bucket, "d/a", first.generation), "changed");
    assert.deepEqual(await store.stat(bucket, "d/a"), second);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => store.delete(bucket, "d/a", second.generation)),
    );
    assert.deepEqual(outcomes.sort(), ["deleted", ...Array.from({ length: 19 }, () => "missing")]);
    assert.deepEqual(await names(subject), []);
    assert.equal((await put(subject, "d/a", "3", null)).size, 1);
  });

  test(titled("a delete and writes that race leave either nothing or the new object"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    for (let round = 0; round < 20; round++) {
      const old = await put(subject, "r/x", "old");
      const [outcome, written] = await Promise.all([
        store.delete(bucket, "r/x", old.generation),
        put(subject, "r/x", `new ${round}`),
      ]);
      assert.notEqual(outcome, "missing");
      assert.deepEqual(await store.stat(bucket, "r/x"), written);
      assert.equal(await get(subject, "r/x"), `new ${round}`);
    }
  });

  test(titled("a write that breaks off changes nothing"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const failing = async function* () {
      yield encoder.encode("half of ");
      throw new Error("the line broke");
    };
    await assert.rejects(store.write(bucket, "new", failing()), /the line broke/);
    assert.deepEqual(await names(subject), []);
    const old = await put(subject, "old", "as it was");
    await assert.rejects(store.write(bucket, "old", failing(), { ifGeneration: old.generation }), /the line broke/);
    assert.deepEqual(await all(subject), [old]);
    assert.equal(await get(subject, "old"), "as it was");
  });

  test(titled("an aborted signal ends writes and reads"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const reason = new Error("enough");
    const stopped = AbortSignal.abort(reason);
    await assert.rejects(store.write(bucket, "a", [encoder.encode("x")], { signal: stopped }), reason);

    const controller = new AbortController();
    const stuck = async function* () {
      yield encoder.encode("x");
      setTimeout(() => controller.abort(reason), 20);
      await new Promise<void>((resolve) => setTimeout(resolve, 300));
      yield encoder.encode("y");
    };
    await assert.rejects(store.write(bucket, "a", stuck(), { signal: controller.signal }), reason);
    assert.deepEqual(await names(subject), []);

    await store.write(bucket, "big", chunks(Array.from({ length: 64 }, () => new Uint8Array(65_536))));
    const reading = new AbortController();
    let received = 0;
    const read = async () => {
      for await (const chunk of store.read(bucket, "big", { signal: reading.signal })) {
        received += chunk.length;
        reading.abort(reason);
      }
    };
    await assert.rejects(read(), reason);
    assert.ok(received < 64 * 65_536, `${received} bytes came`);
  });

  test(titled("64 MB go through without being held", "held"), async (t) => {
    const subject = await open(t);
    const { store, bucket } = subject;
    const size = 64 * 1024 * 1024;
    const chunk = new Uint8Array(256 * 1024).map((_, index) => index % 251);
    const before = heldBytes();
    let peak = before;
    const look = (at: number, length: number) => {
      if (at % (15 * 1024 * 1024) < length) peak = Math.max(peak, heldBytes());
    };
    const body = async function* () {
      for (let made = 0; made < size; made += chunk.length) {
        look(made, chunk.length);
        yield chunk;
      }
    };
    assert.equal((await store.write(bucket, "large", body())).size, size);
    let at = 0;
    let pieces = 0;
    for await (const piece of store.read(bucket, "large")) {
      assert.equal(piece[0], (at % chunk.length) % 251);
      at += piece.length;
      pieces++;
      look(at, piece.length);
    }
    assert.equal(at, size);
    assert.ok(pieces >= 16, `the object came in ${pieces} pieces`);
    if (deviations.held === undefined)
      assert.ok(peak - before < 32 * 1024 * 1024, `${Math.round((peak - before) / 1e6)} MB were held`);
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

async function* chunks(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

function put(
  subject: ConformanceSubject,
  name: string,
  text: string,
  ifGeneration?: string | null,
): Promise<ObjectInfo> {
  const options = ifGeneration === undefined ? {} : { ifGeneration };
  return subject.store.write(subject.bucket, name, [encoder.encode(text)], options);
}

async function get(subject: ConformanceSubject, name: string, generation?: string): Promise<string> {
  const options = generation === undefined ? {} : { generation };
  return Buffer.concat(await collect(subject.store.read(subject.bucket, name, options))).toString();
}

async function roundTrip(subject: ConformanceSubject, name: string, content: string): Promise<ObjectInfo> {
  const written = await put(subject, name, content);
  assert.equal(written.name, name);
  assert.equal(await get(subject, name), content, JSON.stringify(name));
  return written;
}

function all(subject: ConformanceSubject): Promise<ObjectInfo[]> {
  return collect(subject.store.list(subject.bucket));
}

async function names(
  subject: ConformanceSubject,
  options?: { prefix?: string; startAfter?: string },
): Promise<string[]> {
  return (await collect(subject.store.list(subject.bucket, options))).map(({ name }) => name);
}

function inOrder(list: readonly string[]): string[] {
  return list.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function isPermanent(...codes: readonly string[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof PermanentError, `not a PermanentError: ${String(error)}`);
    assert.ok(codes.includes(error.code), `code ${error.code}: ${error.message}`);
    assert.ok(!/[\r\n]/.test(error.message), "the message is one line");
    return true;
  };
}
