import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { quotaOf } from "../../../infra/deploy/quota.ts";

describe("a quota", () => {
  test("opens for as many at once as it has places", () => {
    const quota = quotaOf({ parallel: 2, perMinute: 100 });
    quota.begin(0);
    assert.equal(quota.opensAt(0), 0);
    quota.begin(0);
    assert.equal(quota.opensAt(5), Infinity);
    quota.end();
    assert.equal(quota.opensAt(5), 5);
  });

  test("opens again when the first start is a minute old", () => {
    const quota = quotaOf({ parallel: 100, perMinute: 2 });
    quota.begin(1_000);
    quota.begin(30_000);
    assert.equal(quota.opensAt(31_000), 61_000);
    quota.begin(61_000);
    assert.equal(quota.opensAt(61_000), 90_000);
  });

  test("lets no minute, wherever it begins, have more starts than it may, and wastes none", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 60 }),
        (perMinute, pauses) => {
          const quota = quotaOf({ parallel: Infinity, perMinute });
          const starts: number[] = [];
          let now = 0;
          for (const pause of pauses) {
            now += pause;
            const at = quota.opensAt(now);
            const inMinute = starts.filter((start) => start > now - 60_000).length;
            assert.equal(at > now, inMinute >= perMinute);
            now = Math.max(now, at);
            quota.begin(now);
            starts.push(now);
          }
          for (const start of starts)
            assert.ok(starts.filter((other) => other >= start && other < start + 60_000).length <= perMinute);
        },
      ),
    );
  });
});
