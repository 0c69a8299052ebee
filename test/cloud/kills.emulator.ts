/** Functions that are killed in the local cloud: at chosen steps, and at random moments while files keep dropping. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withEmulators } from "../support/emulators.ts";
import { openLocalCloud } from "../support/local-cloud.ts";
import type { LocalCloud } from "../support/local-cloud.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";
import { ofType } from "../support/scenario/acts.ts";
import {
  AIRPORTS,
  BUCKET,
  FLIGHTS,
  LATE,
  ROUTES,
  SHOWN,
  dayOf,
  flightsUri,
  plainRows,
  routesUri,
  seriesOf,
  shownBy,
  sources,
} from "../support/scenario/flights.ts";
import { seededRandom } from "../support/virtual-clock.ts";

/** A lease that is over soon, so that the work of the dead is taken up soon, and long enough for the living on a busy machine. */
const settings = { leaseMs: 12_000, renewMs: 1_500 };
/** Firestore keeps the locks of a dead client's transaction for a minute, and Pub/Sub takes its time with what was refused. */
const PATIENCE_MS = 120_000;
const ROUNDS = Number(process.env["SLUICE_KILL_ROUNDS"] ?? 5);
const FLIGHTS_FUNCTION = "asset-transport-flights";

function isOfFlights(configuration: Readonly<Record<string, unknown>> | undefined): boolean {
  return JSON.stringify(configuration?.["labels"] ?? {}).includes('"transport-flights"');
}

await withEmulators((emulators) => {
  let cloud: LocalCloud;
  let duck: Duck;
  let clouds = 0;
  const open = (): Promise<LocalCloud> =>
    openLocalCloud({ emulators, project: `kills-${++clouds}`, functions: sources(), settings });
  before(async () => {
    duck = await openDuck();
    cloud = await open();
  });
  afterEach((t) => {
    // The hook's types leave out that it gets the test's context.
    if (!(t as unknown as { readonly passed: boolean }).passed) process.stderr.write(`${cloud.logs()}\n`);
  });
  after(async () => {
    await cloud.close();
    duck.close();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  const shown = async (what: keyof typeof SHOWN) =>
    plainRows(await cloud.rows(SHOWN[what](`transport.${what === "late" ? "late_airports" : what}`)));

  async function until(what: string, condition: () => boolean): Promise<void> {
    for (const giveUp = Date.now() + PATIENCE_MS; !condition(); await sleep(10)) {
      if (Date.now() > giveUp) assert.fail(`it never came to ${what}\n${cloud.logs()}`);
    }
  }

  const steps = [
    { day: 1, what: "loads", job: /^load-/, end: "kill" },
    { day: 2, what: "publishes", job: /^pub-/, end: "kill" },
    { day: 3, what: "loads", job: /^load-/, end: "stop" },
  ] as const;
  for (const { day, what, job, end } of steps) {
    const how = end === "kill" ? "killed" : "asked to end";
    test(`a function that is ${how} while it ${what} is taken up by another one, exactly once`, async () => {
      const flights = cloud.functions.get(FLIGHTS_FUNCTION);
      assert.ok(flights !== undefined);
      const before = new Set(cloud.bigquery.jobIds());
      const started = flights.starts();
      const soFar = (await cloud.history()).length;
      const isMine = (id: string): boolean =>
        !before.has(id) && job.test(id) && isOfFlights(cloud.bigquery.configurationOf(id));
      const mine = (): readonly string[] => cloud.bigquery.jobIds().filter(isMine);
      const release = cloud.bigquery.keepRunning(isMine);
      await cloud.put(flightsUri(day), await seriesOf(duck).flights(day));
      await until(`the job ${job.source}`, () => mine().length === 1);
      const answers = cloud.door.deliveries.length;
      await flights[end]();
      release();
      await cloud.quiet(PATIENCE_MS);

      const refused = cloud.door.deliveries.slice(answers).filter(({ status }) => status === 503);
      // What was killed has not acknowledged; what was asked to end has let go of its run.
      if (end === "kill") assert.ok(refused.length > 0, "the kill hit no delivery");
      assert.ok(flights.starts() > started + (started === 0 ? 1 : 0), "nobody else took it up");
      const events = (await cloud.history()).slice(soFar).filter(({ asset }) => asset === FLIGHTS);
      assert.deepEqual(
        ofType(events, "run.started").map(({ attempt }) => attempt),
        [1, 2],
      );
      if (end === "stop")
        assert.deepEqual(
          ofType(events, "run.parked").map(({ code }) => code),
          ["stopped"],
        );
      assert.equal(ofType(events, "materialized").length, 1);
      assert.equal(mine().length, 1, `the warehouse has worked twice: ${mine().join(", ")}`);
      const days = Array.from({ length: day }, (_, index) => index + 1);
      assert.deepEqual(await shown("flights"), await seriesOf(duck).shownFlights(days));
      assert.deepEqual(await shown("airports"), await seriesOf(duck).shownAirports(days));
      assert.deepEqual(await cloud.leftovers(), []);
    });
  }

  test("bytes that are no JSON, and bodies that are no message, are an event each, and nothing waits for them", async () => {
    const soFar = (await cloud.history()).length;
    const bytes: readonly Uint8Array[] = [
      Buffer.from("{"),
      Buffer.from([0xff, 0xfe, 0x00]),
      Buffer.from("<xml/>"),
      Buffer.from("x".repeat(2_000_000)),
    ];
    for (const data of bytes) await cloud.pubsub.publish("asset.transport.flights", data);
    const url = `${cloud.door.url}/asset.transport.flights`;
    for (const body of ["", "{", "[]", '{"message":{"data":"%%%"}}', '{"message":{"data":7}}']) {
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
      assert.ok(answer.status < 500, `${body}: ${answer.status}`);
    }
    await cloud.put(flightsUri(4), await seriesOf(duck).flights(4));
    await cloud.quiet();
    const events = (await cloud.history()).slice(soFar);
    const refused = ofType(events, "message.refused");
    assert.ok(refused.length >= bytes.length + 3, JSON.stringify(refused.map(({ reason }) => reason)));
    for (const { reason } of refused) assert.match(reason, /^.{10,300}$/);
    assert.deepEqual(await shown("flights"), await seriesOf(duck).shownFlights([1, 2, 3, 4]));
    assert.deepEqual(await cloud.deadLetters(), []);
  });

  test(`${ROUNDS} rounds of kills while files keep dropping`, { timeout: 900_000 + ROUNDS * 30_000 }, async (t) => {
    await cloud.close();
    cloud = await open();
    const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
    t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
    const { next: random } = seededRandom(seed);
    const pick = (below: number): number => Math.floor(random() * below);
    const series = seriesOf(duck);

    let drops = 0;
    let kills = 0;
    const drop = async (): Promise<void> => {
      const day = 1 + pick(20);
      drops += 1;
      if (random() < 0.3) await cloud.put(routesUri(day), await series.routes(day));
      // Every version of a day has rows of its own.
      else await cloud.put(flightsUri(day), await series.flights(day, drops));
    };
    await drop();
    for (let round = 1; round <= ROUNDS; round++) {
      for (let count = 1 + pick(3); count > 0; count--) await drop();
      await sleep(random() * 1_500);
      const running = [...cloud.functions.values()].filter((each) => each.isRunning());
      const first = running[pick(running.length)];
      const victims = running.filter((each) => each === first || random() < 0.5);
      const hit = await Promise.all(victims.map((each) => each.kill()));
      kills += hit.filter(Boolean).length;
      // The sweep itself may be among the dead.
      if (round % 3 === 0) await cloud.tick().catch(() => undefined);
    }
    await drop();
    const began = Date.now();
    await cloud.tick();
    await cloud.quiet(PATIENCE_MS);
    t.diagnostic(`${drops} drops, ${kills} kills; quiet after ${Date.now() - began} ms`);
    assert.ok(kills > 0, "nobody was killed");

    // The files themselves, read by another engine.
    const files = (prefix: string): readonly string[] => cloud.gcs.objects(BUCKET, prefix).map(({ path }) => path);
    const flights = `read_parquet([${files("flights/")
      .map((path) => `'${path}'`)
      .join(", ")}])`;
    const expected = shownBy(duck);
    assert.deepEqual(await shown("flights"), await expected.flights(flights));
    assert.deepEqual(await shown("airports"), await expected.airports(flights));
    assert.deepEqual(await shown("late"), await expected.late(flights));
    const newest = files("routes/").at(-1);
    if (newest !== undefined)
      assert.deepEqual(await shown("routes"), await expected.routes(`read_parquet('${newest}')`));

    const history = await cloud.history();
    const materialized = ofType(history, "materialized");
    for (const key of [FLIGHTS, ROUTES]) {
      const loaded = materialized.filter(({ asset }) => asset === key);
      const inputs = loaded.flatMap((event) => event.inputs.map(({ name, generation }) => `${name}#${generation}`));
      assert.equal(new Set(inputs).size, inputs.length, `${key} has loaded a generation twice`);
    }
    for (const [key, upstream] of [
      [AIRPORTS, FLIGHTS],
      [LATE, AIRPORTS],
    ] as const) {
      const last = (asset: string, partition: string): number =>
        materialized.findLastIndex((event) => event.asset === asset && event.partition === partition);
      for (let day = 1; day <= 20; day++)
        assert.ok(last(key, dayOf(day)) >= last(upstream, dayOf(day)), `${key} ${dayOf(day)} is behind`);
    }
    assert.deepEqual(
      ofType(history, "run.failed").map(({ asset, reason }) => `${asset} ${reason}`),
      [],
    );
    assert.deepEqual(await cloud.deadLetters(), []);
    // What a dead process's job leaves, after its successor has tidied up, expires by itself.
    for (const leftover of await cloud.leftovers()) {
      const [, dataset = "", table = ""] = /^staging table (\w+)\.(\w+)$/.exec(leftover) ?? [];
      const info = await cloud.warehouse.describe({ dataset, table });
      assert.ok(info?.expiresAt !== undefined, `left over: ${leftover}`);
    }
  });
});
