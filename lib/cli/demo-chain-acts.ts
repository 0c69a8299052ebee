/** The demo's second half: what is made from the flights follows them by itself, and bad data does not get far. */
import { formatTable } from "../core/table.ts";
import type { AssetDefinition } from "../core/asset.ts";
import type { StoredEvent } from "../core/events.ts";
import { FLIGHTS, flightsName } from "./demo-acts.ts";
import type { Scene } from "./demo-acts.ts";
import { AIRPORT_DAYS, AIRPORT_WEEKS, CHAIN, OPEN_WEEK, compareChain, tableOf } from "./demo-chain-verify.ts";
import { IN_SECONDS, RESENT } from "./demo-data.ts";
import { number } from "./demo-screen.ts";
import type { Stage } from "./demo-stage.ts";

/** The week of the two days that are sent again. */
const WEEK = "2001-01-22";

export async function chainHasFollowed(scene: Scene): Promise<void> {
  const { stage, screen } = scene;
  screen.act(
    "What is made from the flights is there already",
    "Three assets of functions/punctuality.ts, each made from the one before, follow by themselves.",
  );
  await stage.platform.settle();
  const started = (await stage.history()).filter((event) => event.type === "run.started");
  const runs = (key: string): typeof started => started.filter(({ asset }) => asset === key);
  screen.table(
    [
      { title: "asset", align: "left" },
      { title: "made by", align: "left" },
      { title: "partitions", align: "right" },
      { title: "rows", align: "right" },
      { title: "runs", align: "right" },
    ],
    await Promise.all(
      CHAIN.map(async (key) => {
        const asset = stage.asset(key);
        return [key, wayOf(asset), await partitionsOf(stage, asset), await rowsOf(stage, asset), `${runs(key).length}`];
      }),
    ),
  );
  const all = CHAIN.flatMap(runs);
  const byNews = all.filter(({ cause }) => cause.kind === "materialization").length;
  const nobodyAsked = all.length > 0 && byNews === all.length;
  screen.verdict(nobodyAsked, `${byNews} of ${all.length} runs were requested by the news of an upstream`);
  await compare(scene, "every row of the three is what a DuckDB alone computes from the source");
  const { value } = await stage.why(AIRPORT_WEEKS, OPEN_WEEK);
  const waits = value.condition?.value === false && value.lastRun === null;
  screen.verdict(waits, `the week of ${OPEN_WEEK} waits: ${value.condition?.because ?? "for nothing"}`);
}

export async function secondsCome(scene: Scene): Promise<void> {
  const { stage, drops, screen } = scene;
  screen.act(
    `${IN_SECONDS} is sent again, its delays in seconds`,
    "As a file it is in order, so it is loaded. But airport_days has a blocking check: no airport is five hours late on the mean.",
  );
  const flights = await stage.drop(FLIGHTS, flightsName(IN_SECONDS), drops.inSeconds);
  screen.verdict(flights.status === "succeeded", `flights: loaded, mean delay ${await meanDelay(stage)} "minutes"`);
  const [failed] = await endsSince(stage, flights.run);
  screen.verdict(failed?.type === "run.failed" && failed.asset === AIRPORT_DAYS, "airport_days: refused");
  if (failed?.type === "run.failed") screen.quote(failed.reason);

  const again = await stage.drop(FLIGHTS, flightsName(RESENT), drops.again(RESENT));
  const followed = (await endsSince(stage, again.run)).map(({ type, asset }) => `${type} ${asset ?? ""}`);
  const alone = followed.length === 1 && followed[0] === `run.succeeded ${AIRPORT_DAYS}`;
  screen.verdict(alone, `${RESENT} is sent again as well: its day is made anew, the week waits`);
  screen.line("");
  screen.line(`$ npx sluice why ${AIRPORT_WEEKS} --partition ${WEEK}`);
  const { lines } = await stage.why(AIRPORT_WEEKS, WEEK);
  for (const line of lines) screen.quote(line);
  screen.line("");
  await compare(scene, "every row of the three is still what the source gives");
}

export async function rightFileComes(scene: Scene): Promise<void> {
  const { stage, drops, screen } = scene;
  screen.act(`The right file of ${IN_SECONDS} comes`, "Nobody restarts anything.");
  const dropped = Date.now();
  const flights = await stage.drop(FLIGHTS, flightsName(IN_SECONDS), drops.again(IN_SECONDS));
  screen.verdict(flights.status === "succeeded", `flights: loaded, mean delay ${await meanDelay(stage)} minutes`);
  const ends = await endsSince(stage, flights.run);
  for (const key of CHAIN) {
    const end = ends.find(({ asset }) => asset === key);
    const late =
      end === undefined ? "nothing happened" : `${end.partition ?? ""}, ${end.at - dropped} ms after the file`;
    screen.verdict(end?.type === "run.succeeded", `${tableOf(key)}: ${late}`);
  }
  await compare(scene, "every row of the three is what the source gives");
}

/** One verdict on all rows of the three tables. */
async function compare({ stage, screen }: Scene, text: string): Promise<void> {
  const figures = await compareChain(stage.query);
  const off = figures.filter(({ expected, found }) => expected !== found);
  screen.verdict(
    off.length === 0,
    off.length === 0 ? text : off.map(({ what, found }) => `${what}: ${found}`).join(", "),
  );
}

/** How the runs ended that came after this one, oldest first, once nothing is left to do. */
async function endsSince(stage: Stage, run: string): Promise<readonly StoredEvent[]> {
  await stage.platform.settle();
  const history = await stage.history();
  const from = history.findLastIndex((event) => event.run === run && event.type === "run.succeeded");
  const ends: readonly StoredEvent["type"][] = ["run.succeeded", "run.skipped", "run.failed"];
  return history.slice(from + 1).filter(({ type, asset }) => ends.includes(type) && CHAIN.includes(asset ?? ""));
}

function wayOf({ sql, ioManager }: AssetDefinition): string {
  if (sql !== undefined) return "a query";
  return ioManager === undefined ? "code that runs SQL" : "code that yields rows";
}

async function partitionsOf(stage: Stage, { key, partitions }: AssetDefinition): Promise<string> {
  const { items } = await stage.platform.events.partitions({ name: key, limit: 1000 });
  const made = items.filter(({ head }) => head !== undefined).length;
  const unit =
    partitions?.kind === "time"
      ? { hourly: "hours", daily: "days", weekly: "weeks", monthly: "months" }[partitions.interval]
      : "keys";
  return `${made} ${unit}`;
}

async function rowsOf(stage: Stage, { target }: AssetDefinition): Promise<string> {
  if (target === undefined) return "";
  const [row] = await stage.query(`SELECT COUNT(*) AS n FROM ${formatTable(target.table)}`);
  return number(Number(row?.["n"]));
}

async function meanDelay(stage: Stage): Promise<string> {
  const [row] = await stage.query(
    `SELECT AVG(delay) AS mean FROM transport.flights WHERE CAST(date AS DATE) = '${IN_SECONDS}'`,
  );
  return Number(row?.["mean"]).toFixed(1);
}
