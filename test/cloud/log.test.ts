import assert from "node:assert/strict";
import { test } from "node:test";
import { traceOf } from "../../lib/cloud/log.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

for (const [headers, trace] of [
  [{ traceparent: `00-${TRACE}-b7ad6b7169203331-01` }, TRACE],
  [{ "x-cloud-trace-context": `${TRACE}/123;o=1` }, TRACE],
  [{ "x-cloud-trace-context": TRACE }, TRACE],
  [{ traceparent: "garbage", "x-cloud-trace-context": `${TRACE}/1` }, TRACE],
  [{ traceparent: `00-${TRACE.toUpperCase()}-1-01` }, undefined],
  [{ "x-cloud-trace-context": "1/2" }, undefined],
  [{}, undefined],
] as const) {
  test(`the trace of ${JSON.stringify(headers)}`, () => assert.equal(traceOf(headers), trace));
}
