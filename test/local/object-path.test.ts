import assert from "node:assert/strict";
import { sep } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { PermanentError } from "../../lib/core/errors.ts";
import {
  decodePath,
  decodeSegment,
  encodeName,
  encodeSegment,
  isBucketName,
  objectPath,
  parseObjectUri,
} from "../../lib/local/object-path.ts";

/** Made of what the encoding is about, so that look-alikes are common. */
const nasty = fc.string({
  unit: fc.constantFrom(
    "/",
    "/",
    ".",
    "..",
    "%",
    "25",
    "2E",
    "2F",
    "0A",
    "5C",
    "7F",
    "2e",
    "0a",
    "\n",
    "\\",
    "\u0000",
    "a",
    "é",
    "😀",
  ),
  minLength: 1,
  maxLength: 12,
});
const anyName = fc.oneof(
  nasty,
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
  fc.string({ unit: "binary", minLength: 1 }),
);

test("a name comes back from its path, which stays in the bucket and holds no trap", () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const path = objectPath("/root", "bucket", name);
      assert.ok(path.startsWith(`/root/bucket${sep}`), path);
      assert.equal(path, `/root/bucket/${encodeName(name)}`, "joining must not have anything to tidy up");
      assert.equal(decodePath(encodeName(name)), name);
      for (const segment of encodeName(name).split("/")) {
        assert.ok(segment !== "" && !segment.startsWith("."), path);
        // oxlint-disable-next-line no-control-regex
        assert.ok(!/[\u0000-\u001f\u007f\\]/.test(segment), path);
      }
    }),
    { numRuns: 3000 },
  );
});

test("a path that is an object's is that of no other", () => {
  fc.assert(
    fc.property(nasty, (path) => {
      const name = decodePath(path);
      if (name !== undefined) assert.equal(encodeName(name), path);
    }),
    { numRuns: 3000 },
  );
});

test("distinct names have distinct paths", () => {
  fc.assert(
    fc.property(fc.uniqueArray(nasty, { minLength: 2, maxLength: 30 }), (names) => {
      assert.equal(new Set(names.map(encodeName)).size, names.length);
    }),
    { numRuns: 500 },
  );
});

test("what people type by hand is left as it is", () => {
  for (const plain of [
    "scores.parquet",
    "a b",
    "100%25",
    "a%20b",
    "50%",
    "%zz",
    "日本語",
    "a*b?",
    "x.",
    "%0a",
    "~tmp",
  ]) {
    assert.equal(encodeSegment(plain), plain);
    assert.equal(decodeSegment(plain), plain);
  }
});

test("the codes, by example", () => {
  const examples: readonly (readonly [name: string, path: string])[] = [
    ["../x", "%2E./x"],
    [".", "%2E"],
    ["a//b", "a/%2F/b"],
    ["/a/", "%2F/a/%2F"],
    ["a\nb", "a%0Ab"],
    ["a%0Ab", "a%250Ab"],
    ["a%250Ab", "a%25250Ab"],
    ["%2F", "%252F"],
    ["%2E%2E/y", "%252E%2E/y"],
    ["a\\b", "a%5Cb"],
  ];
  for (const [name, path] of examples) {
    assert.equal(encodeName(name), path);
    assert.equal(decodePath(path), name);
  }
  for (const path of ["", ".hidden", "a/.part", "a\nb", "a\\b", "a//b", "../x", "x".repeat(1025)]) {
    assert.equal(decodePath(path), undefined, path);
  }
});

test("illegal names are refused in one line that says what to do", () => {
  const bad = (action: () => unknown, message: RegExp) =>
    assert.throws(action, (error) => {
      assert.ok(error instanceof PermanentError && error.code === "bad-name");
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n") && error.message.length < 400, error.message);
      return true;
    });
  bad(() => objectPath("/r", "bucket", ""), /at least one character/);
  bad(() => objectPath("/r", "bucket", "\ud800"), /surrogate/);
  bad(() => objectPath("/r", "bucket", "é".repeat(513)), /1024 bytes/);
  bad(() => objectPath("/r", "bucket", `a\n/${"x".repeat(256)}`), /255 bytes/);
  bad(() => objectPath("/r", "bucket", "\n".repeat(86)), /255 bytes/);
  bad(() => objectPath("/r", "../etc", "passwd"), /bucket "\.\.\/etc"/);
  bad(() => parseObjectUri("s3://bucket/name"), /gs:\/\/bucket\/name/);
  bad(() => parseObjectUri("gs://bucket/"), /gs:\/\/bucket\/name/);
});

test("URIs are split at the first slash only", () => {
  assert.deepEqual(parseObjectUri("gs://b/a//c\n#d"), { bucket: "b", name: "a//c\n#d" });
  assert.deepEqual(parseObjectUri("gs://b//"), { bucket: "b", name: "/" });
});

test("bucket names", () => {
  for (const good of ["abc", "oso-dataset-transfer-bucket", "a_b.c", "0x0", "x".repeat(63)])
    assert.ok(isBucketName(good), good);
  for (const bad of ["ab", "Abc", "a/b", "a..b", ".abc", "abc-", "", "x".repeat(64), "abc\n", "ünï"])
    assert.ok(!isBucketName(bad), bad);
});
