import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, nearest } from "../../lib/core/suggest.ts";

const keys = ["gitcoin/passport_scores", "gitcoin/passing", "flights/daily", "eu", "us"];

test("the nearest candidate", () => {
  const table: [string, string | undefined][] = [
    ["gitcoin/pasport_scores", "gitcoin/passport_scores"],
    ["GITCOIN/PASSING", "gitcoin/passing"],
    ["gitcoin/passin", "gitcoin/passing"],
    ["fligths/daily", "flights/daily"],
    ["ue", "us"],
    ["eu", "eu"],
    ["completely-different", undefined],
    ["", undefined],
  ];
  for (const [word, expected] of table) assert.equal(nearest(word, keys), expected, word);
});

test("two equal distances go to the first", () => {
  assert.equal(nearest("abcx", ["abca", "abcb"]), "abca");
});

test("a candidate is nearest to itself", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }), fc.nat(), (all, pick) => {
      const word = all[pick % all.length] ?? "";
      assert.equal(nearest(word, all), word);
    }),
  );
});

test("the remedy in words", () => {
  assert.equal(didYouMean("gitcoin/pasing", keys), 'did you mean "gitcoin/passing"?');
  assert.equal(didYouMean("zzz", ["a", "b"]), 'known: "a", "b"');
  assert.equal(didYouMean("zzzzzz", ["a", "b", "c", "d", "e", "f", "g"]), 'known: "a", "b", "c", "d", "e" and 2 more');
  assert.equal(didYouMean("x", []), undefined);
});
