/** What happens, act by act. Each asserts what is to be seen then: tables by query, and the events since it began. */
import assert from "node:assert/strict";
import type { EventType, StoredEvent } from "../../../lib/core/events.ts";
import { AIRPORTS, FLIGHTS, LATE, ROUTES, SHOWN, dayOf, flightsUri, plainRows, routesUri } from "./flights.ts";
import type { Series } from "./flights.ts";
import type { Ground } from "./ground.ts";

export interface Stage {
  readonly ground: Ground;
  readonly series: Series;
  /** Waits until nothing is left to do; the events since the act began, oldest first. */
  settled(): Promise<readonly StoredEvent[]>;
}

export interface Act {
  readonly name: string;
  play(stage: Stage): Promise<void>;
}

export const ACTS: readonly Act[] = [
  {
    name: "a drop becomes a table, and what follows it is made by itself",
    async play(stage) {
      const { ground, series } = stage;
      for (const day of [1, 2, 4]) {
        await ground.put(flightsUri(day), await series.flights(day));
        await ground.put(routesUri(day), await series.routes(day));
        await ground.quiet();
      }
      const events = await stage.settled();
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, 2, 4]));
      assert.deepEqual(await shown(stage, "routes"), await series.shownRoutes(4));
      await followersShow(stage, [1, 2, 4]);
      const made = counted(ofType(events, "materialized").map(({ asset }) => asset));
      assert.deepEqual(made, { [FLIGHTS]: 3, [AIRPORTS]: 3, [LATE]: 3, [ROUTES]: 3 });
    },
  },
  {
    name: "the same notification twice costs nothing",
    async play(stage) {
      await stage.ground.announceAgain(flightsUri(2));
      await stage.ground.announceAgain(routesUri(4));
      assert.deepEqual(await stage.settled(), []);
    },
  },
  {
    name: "a late file fills its partition, and never replaces a newer table",
    async play(stage) {
      const { ground, series } = stage;
      await ground.put(flightsUri(3), await series.flights(3));
      await ground.put(routesUri(3), await series.routes(3));
      const events = await stage.settled();
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, 2, 3, 4]));
      assert.deepEqual(await shown(stage, "routes"), await series.shownRoutes(4));
      await followersShow(stage, [1, 2, 3, 4]);
      const [skipped] = ofType(events, "run.skipped").filter(({ asset }) => asset === ROUTES);
      assert.deepEqual([skipped?.partition, skipped?.code], [dayOf(3), "superseded"]);
    },
  },
  {
    name: "a corrected file is loaded again, and all that follows it is made anew",
    async play(stage) {
      const { ground, series } = stage;
      await ground.put(flightsUri(2), await series.flights(2, 1));
      const events = await stage.settled();
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, -2, 3, 4]));
      await followersShow(stage, [1, -2, 3, 4]);
      assert.deepEqual(
        ofType(events, "materialized").map(({ asset, partition }) => [asset, partition]),
        [FLIGHTS, AIRPORTS, LATE].map((asset) => [asset, dayOf(2)]),
      );
    },
  },
  {
    name: "a person asks for a run",
    async play(stage) {
      const { ground, series } = stage;
      await ground.ask(ROUTES, "{}");
      await ground.quiet();
      await ground.ask(ROUTES, '{"force": true}');
      const events = await stage.settled();
      assert.deepEqual(
        ofType(events, "run.started").map(({ asset, partition, cause }) => [asset, partition, cause.kind]),
        Array.from({ length: 2 }, () => [ROUTES, dayOf(4), "manual"]),
      );
      assert.deepEqual(
        ofType(events, "run.skipped").map(({ code }) => code),
        ["unchanged"],
      );
      assert.equal(ofType(events, "materialized").length, 1);
      assert.deepEqual(await shown(stage, "routes"), await series.shownRoutes(4));
    },
  },
  {
    name: "a file that cannot be read fails its run in one line, and the table stays as it was",
    async play(stage) {
      const { ground, series } = stage;
      await ground.put(routesUri(5), "<!doctype html>\n<title>503 Service Unavailable</title>\n");
      const events = await stage.settled();
      assert.deepEqual(await shown(stage, "routes"), await series.shownRoutes(4));
      const failed = ofType(events, "run.failed");
      assert.deepEqual(
        failed.map(({ asset, partition }) => [asset, partition]),
        [[ROUTES, dayOf(5)]],
      );
      assert.match(failed[0]?.reason ?? "", /^[^\n]*routes\/2001-01-05\/routes\.parquet[^\n]*$/);
      assert.deepEqual(ofType(events, "materialized"), []);
    },
  },
  {
    name: "messages that make no sense become an event each, and the healthy ones go on",
    async play(stage) {
      const { ground, series } = stage;
      const poison: readonly unknown[] = [
        { partition: 5 },
        { partition: "yesterday" },
        { partiton: dayOf(1) },
        "a text",
        [1, 2],
        { config: { text: "x".repeat(120_000) } },
      ];
      for (const data of poison) await ground.publish("asset.transport.flights", data);
      await ground.publish("bucket.flight-drops", { kind: "storage#object", bucket: "another", name: "x" });
      await ground.publish("job.routes_clean_up_job", { config: { before: "soon" } });
      await ground.put(flightsUri(6), await series.flights(6));
      const events = await stage.settled();
      const refused = ofType(events, "message.refused");
      assert.equal(refused.length, poison.length + 2, JSON.stringify(refused.map(({ reason }) => reason)));
      for (const { reason } of refused) assert.match(reason, /^.{10,400}$/);
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, -2, 3, 4, 6]));
      await followersShow(stage, [1, -2, 3, 4, 6]);
    },
  },
  {
    name: "a notification that got lost is made up for by the sweep",
    async play(stage) {
      const { ground, series } = stage;
      await ground.put(flightsUri(7), await series.flights(7), "silent");
      assert.deepEqual(await stage.settled(), []);
      await ground.tick();
      const events = await stage.settled();
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, -2, 3, 4, 6, 7]));
      assert.equal(ofType(events, "materialized").filter(({ asset }) => asset === FLIGHTS).length, 1);
      // The sweep has announced all objects, and all but this one were known.
      assert.deepEqual(
        ofType(events, "run.started").map(({ asset, partition }) => [asset, partition]),
        [FLIGHTS, AIRPORTS, LATE].map((asset) => [asset, dayOf(7)]),
      );
    },
  },
  {
    name: "what is past retention goes, once its sensors are started",
    async play(stage) {
      const { ground, series } = stage;
      await ground.startSensor("flights_clean_up_sensor");
      await ground.startSensor("routes_clean_up_sensor");
      await ground.put(flightsUri(17), await series.flights(17));
      await ground.put(routesUri(17), await series.routes(17));
      const events = await stage.settled();
      assert.deepEqual(
        ofType(events, "object.deleted")
          .map(({ uri }) => uri)
          .sort(),
        [flightsUri(1), flightsUri(2), routesUri(1), routesUri(2), routesUri(4)].sort(),
      );
      assert.equal(ofType(events, "run.succeeded").filter(({ kind }) => kind === "job").length, 2);
      // The tables keep what they show.
      assert.deepEqual(await shown(stage, "flights"), await series.shownFlights([1, -2, 3, 4, 6, 7, 17]));
      assert.deepEqual(await shown(stage, "routes"), await series.shownRoutes(17));
      await followersShow(stage, [1, -2, 3, 4, 6, 7, 17]);
    },
  },
];

export function ofType<T extends EventType>(
  events: readonly StoredEvent[],
  type: T,
): readonly Extract<StoredEvent, { readonly type: T }>[] {
  return events.filter((event): event is Extract<StoredEvent, { readonly type: T }> => event.type === type);
}

async function shown({ ground }: Stage, what: "flights" | "routes" | "airports" | "late") {
  const table = what === "late" ? "late_airports" : what;
  return plainRows(await ground.rows(SHOWN[what](`transport.${table}`)));
}

async function followersShow(stage: Stage, days: readonly number[]): Promise<void> {
  assert.deepEqual(await shown(stage, "airports"), await stage.series.shownAirports(days));
  assert.deepEqual(await shown(stage, "late"), await stage.series.shownLate(days));
}

function counted(names: readonly (string | undefined)[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name ?? ""] = (counts[name ?? ""] ?? 0) + 1;
  return counts;
}
