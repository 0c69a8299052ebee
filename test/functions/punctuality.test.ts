/** The airports of a week that travellers had better avoid, from rows that the test gives. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { materializeInMemory } from "sluice";
import { lateAirports } from "../../functions/punctuality.ts";

const row = (week: string, airport: string, flights: number, late: number) => {
  return { week, airport, flights, late, delay: 0 };
};

test("a large airport with a quarter of its flights late is there, beside its week before", async () => {
  const weeks = [
    row("2001-01-08", "JFK", 1000, 245),
    row("2001-01-08", "BOS", 1000, 244),
    row("2001-01-01", "JFK", 1200, 120),
    row("2001-01-01", "BOS", 1000, 900),
    row("2001-01-08", "SEA", 4000, 1400),
    // Too small this week, too small the week before.
    row("2001-01-08", "ACK", 999, 999),
    row("2001-01-01", "SEA", 999, 999),
  ];
  const { rows, discarded } = await materializeInMemory(lateAirports, { partition: "2001-01-08", inputs: { weeks } });
  assert.deepEqual(discarded, []);
  assert.deepEqual(rows, [
    { week: "2001-01-08", airport: "JFK", late_percent: 25, week_before: 10 },
    { week: "2001-01-08", airport: "SEA", late_percent: 35, week_before: null },
  ]);
});
