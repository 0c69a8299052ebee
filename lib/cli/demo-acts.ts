/** What happens in the demo, act by act. Every act says what it saw, and whether that is what should be. */
import type { Drops } from "./demo-data.ts";
import { BROKEN, CORRECTED, DAYS, LATE } from "./demo-data.ts";
import type { Screen } from "./demo-screen.ts";
import { number, seconds } from "./demo-screen.ts";
import type { RunEnd, RunName, Stage } from "./demo-stage.ts";

export const FLIGHTS = "transport/flights";
export const ROUTES = "transport/routes";
export const flightsName = (day: string): string => `flights/${day}.parquet`;
export const routesName = (day: string): string => `routes/${day}/routes.parquet`;

export interface Scene {
  readonly stage: Stage;
  readonly drops: Drops;
  readonly screen: Screen;
}

const LAST = DAYS.at(-1) ?? "";
/** The day before the last: what the tables show until the clean-up's act. */
const SHOWN = DAYS.at(-2) ?? "";

export async function monthArrives({ stage, drops, screen }: Scene): Promise<void> {
  screen.act("January arrives, a file a day", "Nobody asks for a run: every finished file becomes one by itself.");
  const days = DAYS.filter((day) => day !== LATE && day !== LAST);
  const progress = screen.progress("days", days.length);
  const began = performance.now();
  let rows = 0;
  try {
    for (const day of days) {
      const [flights, routes] = await Promise.all([
        stage.drop(FLIGHTS, flightsName(day), drops.flights(day)),
        stage.drop(ROUTES, routesName(day), drops.routes(day)),
      ]);
      rows += flights.rows;
      screen.line(`${day}   flights ${loaded(flights)}   routes ${loaded(routes)}`);
      progress.step();
    }
  } finally {
    progress.done();
  }
  screen.verdict(rows > 0, `${days.length} days, ${number(rows)} flights, in ${seconds(performance.now() - began)}`);
}

export async function duplicateComes({ stage, screen }: Scene): Promise<void> {
  screen.act("The same notification comes twice", "A bus delivers at least once, so a duplicate must cost nothing.");
  const day = DAYS[7] ?? "";
  const before = await countRuns(stage);
  await stage.announceAgain(FLIGHTS, flightsName(day));
  await stage.platform.settle();
  const extra = (await countRuns(stage)) - before;
  screen.verdict(extra === 0, `${day} announced again, in a new message: ${extra === 0 ? "no" : extra} new run`);
  const end = await stage.request({ kind: "asset", name: FLIGHTS, partition: day, runKey: "demo-by-hand" });
  screen.verdict(end.status === "skipped", `${day} requested by hand: ${end.status}, ${end.reason}`);
}

export async function lateDayComes({ stage, drops, screen }: Scene): Promise<void> {
  screen.act(`${LATE} comes late`, "Every day of flights is a partition; of routes, the newest is the table.");
  const flights = await stage.drop(FLIGHTS, flightsName(LATE), drops.flights(LATE));
  screen.verdict(flights.status === "succeeded", `flights: its partition is filled, ${number(flights.rows)} rows`);
  const routes = await stage.drop(ROUTES, routesName(LATE), drops.routes(LATE));
  screen.verdict(routes.status === "skipped", `routes:  ${routes.status}, ${routes.reason}`);
}

export async function correctionComes({ stage, drops, screen }: Scene): Promise<void> {
  screen.act(
    `${CORRECTED} is sent again, corrected`,
    "Other content, same name: its partition is replaced, the others rest.",
  );
  const before = await flightsOf(stage);
  const end = await stage.drop(FLIGHTS, flightsName(CORRECTED), drops.corrected);
  const after = await flightsOf(stage);
  screen.line(`  before     ${before.day}`);
  screen.verdict(end.status === "succeeded" && after.day !== before.day, `after      ${after.day}`);
  const same = after.others === before.others;
  screen.verdict(same, `elsewhere  ${after.others}${same ? ", as before" : `, before: ${before.others}`}`);
}

export async function webPageComes({ stage, drops, screen }: Scene): Promise<void> {
  screen.act(
    `A web page comes instead of ${BROKEN}`,
    "The newest file of routes becomes the whole table, if it can be loaded.",
  );
  const before = await routesTable(stage);
  const end = await stage.drop(ROUTES, routesName(BROKEN), drops.errorPage);
  screen.verdict(end.status === "failed", `routes: ${end.status === "failed" ? "refused" : end.status}`);
  screen.quote(end.reason);
  const after = await routesTable(stage);
  screen.verdict(after === before, `the table is as it was, of ${SHOWN}: ${after}`);
}

export async function cleanUp({ stage, drops, screen }: Scene): Promise<void> {
  screen.act("What is past retention goes", "Flights keep 14 days of files, routes 7. First a dry run:");
  for (const name of ["flights", "routes"]) {
    const run: RunName = { kind: "job", name: `${name}_clean_up_job`, partition: "", runKey: "demo-dry-run" };
    const end = await stage.request(run, { config: { before: BROKEN, dryRun: true } });
    screen.verdict(end.status === "succeeded", `${name.padEnd(7)} would lose ${deletions(end)}`);
  }
  screen.line("");
  screen.line(`The clean-up sensors are started, and ${LAST} arrives:`);
  for (const name of ["flights", "routes"]) await stage.startSensor(`${name}_clean_up_sensor`);
  const ends = await Promise.all([
    stage.drop(FLIGHTS, flightsName(LAST), drops.flights(LAST)),
    stage.drop(ROUTES, routesName(LAST), drops.routes(LAST)),
  ]);
  for (const [index, name] of ["flights", "routes"].entries()) {
    const runKey = `sensor:${name}_clean_up_sensor:m-${ends[index]?.run ?? ""}`;
    const end = await stage.ended({ kind: "job", name: `${name}_clean_up_job`, partition: "", runKey });
    screen.verdict(end.status === "succeeded", `${name.padEnd(7)} lost ${deletions(end)}`);
  }
  screen.line(`The routes of ${LATE} stay in the bucket, because no table ever held them.`);
}

const JANUARY = `
SELECT origin AS airport, COUNT(*) AS flights, AVG(delay) AS mean_delay,
       100 * AVG(CASE WHEN delay > 15 THEN 1 ELSE 0 END) AS late
FROM transport.flights
GROUP BY origin HAVING COUNT(*) >= 5000
ORDER BY mean_delay DESC LIMIT 5`;

export async function askTheTable({ stage, screen }: Scene): Promise<void> {
  screen.act("Ask the table", "The large airports from which January's flights came latest.");
  screen.quote(JANUARY.trim());
  screen.line("");
  const rows = await stage.query(JANUARY);
  screen.table(
    [
      { title: "airport", align: "left" },
      { title: "flights", align: "right" },
      { title: "mean delay, min", align: "right" },
      { title: "over 15 min late", align: "right" },
    ],
    rows.map((row) => [
      String(row["airport"]),
      number(Number(row["flights"])),
      Number(row["mean_delay"]).toFixed(1),
      `${Number(row["late"]).toFixed(0)} %`,
    ]),
  );
}

function loaded(end: RunEnd): string {
  const ms = `${end.ms} ms`.padStart(7);
  return end.status === "succeeded" ? `${number(end.rows).padStart(6)} rows in ${ms}` : `${end.status}: ${end.reason}`;
}

function deletions({ metadata }: RunEnd): string {
  const count = (name: string): number => (Array.isArray(metadata[name]) ? metadata[name].length : 0);
  const tables = count("droppedTables");
  return `${count("deleted")} files${tables === 0 ? "" : ` and ${tables} raw tables`}`;
}

/** Of the two imports; what follows them is another act's. */
async function countRuns(stage: Stage): Promise<number> {
  const imports: readonly (string | undefined)[] = [FLIGHTS, ROUTES];
  return (await stage.history()).filter(({ type, asset }) => type === "run.started" && imports.includes(asset)).length;
}

async function flightsOf(stage: Stage): Promise<{ readonly day: string; readonly others: string }> {
  const rows = await stage.query(
    `SELECT CAST(date AS DATE) = '${CORRECTED}' AS corrected, COUNT(*) AS n, AVG(delay) AS mean
     FROM transport.flights GROUP BY 1`,
  );
  const figures = (corrected: boolean): string => {
    const row = rows.find((found) => found["corrected"] === corrected);
    return `${number(Number(row?.["n"])).padStart(7)} rows, mean delay ${Number(row?.["mean"]).toFixed(3).padStart(6)} min`;
  };
  return { day: figures(true), others: figures(false) };
}

async function routesTable(stage: Stage): Promise<string> {
  const [row] = await stage.query("SELECT COUNT(*) AS n, SUM(flights) AS flights FROM transport.routes");
  return `${number(Number(row?.["n"]))} routes, ${number(Number(row?.["flights"]))} flights`;
}
