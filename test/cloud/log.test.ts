import assert from "node:assert/strict";
import { test } from "node:test";
import { structuredLog, traceOf } from "../../lib/cloud/log.ts";
import type { SluiceEvent } from "../../lib/core/events.ts";

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

function lineOf(event: SluiceEvent): string {
  const lines: string[] = [];
  const traces = { run: <T>(_: unknown, work: () => Promise<T>) => work(), get: () => undefined };
  structuredLog({ project: "p", print: (line) => void lines.push(line), traces }).event(event);
  return lines.join("\n");
}

const common = {
  v: 1,
  id: "e",
  at: 0,
  asset: "shop/orders",
  partition: "2024-05-01",
  run: "0123456789abcdef",
} as const;

test("an event with thousands of inputs still is an entry that Cloud Logging takes, found by its labels", () => {
  const inputs = Array.from({ length: 10_000 }, (_, at) => ({
    bucket: "drops",
    name: `orders/2024-05-01/ä-${at}.parquet`,
    generation: `${at}`,
    size: 1,
    updated: at,
  }));
  const event = { ...common, type: "materialized", fingerprint: "f", inputs, rows: 7, table: "shop.orders" };
  // Of the fields of such an event, those that the log looks at.
  const line = lineOf(event as unknown as SluiceEvent);
  assert.ok(Buffer.byteLength(line) < 100_000, `${Buffer.byteLength(line)} bytes`);
  const entry = JSON.parse(line) as { readonly event: Readonly<Record<string, unknown>> };
  assert.deepEqual(Object.keys(entry.event), [
    ...Object.keys(common),
    "type",
    "fingerprint",
    "rows",
    "table",
    "leftOut",
  ]);
  assert.match(
    JSON.stringify(entry.event["leftOut"]),
    /^\{"inputs":"10000 entries, \d+ bytes: see `sluice events`"\}$/,
  );
  assert.match(line, /"sluice_run":"0123456789abcdef"/);
});

test("any other event is in its entry as it is", () => {
  const event: SluiceEvent = { ...common, type: "log", level: "info", message: "x".repeat(20_000) };
  assert.deepEqual((JSON.parse(lineOf(event)) as { readonly event: unknown }).event, event);
});
