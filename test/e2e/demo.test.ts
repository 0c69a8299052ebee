/** The pieces of the demo, and how it ends early. The whole of it runs in CI by itself. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { compareChain } from "../../lib/cli/demo-chain-verify.ts";
import { CORRECTED, DAYS, IN_SECONDS, RESENT, prepareDrops, sourceFile, withDuckdb } from "../../lib/cli/demo-data.ts";
import type { Drops } from "../../lib/cli/demo-data.ts";
import { openScreen } from "../../lib/cli/demo-screen.ts";
import { compareTables } from "../../lib/cli/demo-verify.ts";

const demo = fileURLToPath(new URL("../../lib/cli/demo.ts", import.meta.url));

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe("the demo's files", () => {
  it("hold every row of the month once, in the file of its day", async (t) => {
    const drops = await prepareDrops(await temporary(t), new AbortController().signal);
    await withDuckdb(async (connection) => {
      const one = async (sql: string): Promise<unknown> => (await connection.runAndReadAll(sql)).getRowsJson()[0];
      const files = DAYS.map((day) => `'${drops.flights(day)}'`).join(", ");
      const sums = "count(*), sum(delay), sum(delay * distance), count(DISTINCT date::DATE)";
      assert.deepEqual(
        await one(`SELECT ${sums} FROM read_parquet([${files}])`),
        await one(`SELECT ${sums} FROM read_parquet('${sourceFile}') WHERE date < '2001-02-01'`),
      );
      for (const day of [DAYS[0], CORRECTED, DAYS.at(-1)]) {
        const days = `SELECT DISTINCT date::DATE::VARCHAR FROM read_parquet('${drops.flights(day ?? "")}')`;
        assert.deepEqual((await connection.runAndReadAll(days)).getRowsJson(), [[day]]);
      }
      assert.notDeepEqual(
        await one(`SELECT ${sums} FROM read_parquet('${drops.corrected}')`),
        await one(`SELECT ${sums} FROM read_parquet('${drops.flights(CORRECTED)}')`),
      );
    });
    assert.doesNotMatch(await readFile(drops.errorPage, "latin1"), /PAR1/);
  });

  it("are sent again with the same rows, and once with the delays in seconds", async (t) => {
    const drops = await prepareDrops(await temporary(t), new AbortController().signal);
    await withDuckdb(async (connection) => {
      const all = async (file: string, columns = "*"): Promise<unknown> =>
        (await connection.runAndReadAll(`SELECT ${columns} FROM read_parquet('${file}') ORDER BY ALL`)).getRowsJson();
      for (const day of [RESENT, IN_SECONDS] as const)
        assert.deepEqual(await all(drops.again(day)), await all(drops.flights(day)));
      const delays = "date, origin, destination, distance";
      assert.deepEqual(
        await all(drops.inSeconds, `${delays}, delay`),
        await all(drops.flights(IN_SECONDS), `${delays}, delay * 60`),
      );
    });
  });
});

describe("the demo's verification", () => {
  /** Tables as a faultless platform would hold them, after `tampering`. */
  async function off(drops: Drops, tampering: string): Promise<string[]> {
    return await withDuckdb(async (connection) => {
      const files = DAYS.map((day) => `'${day === CORRECTED ? drops.corrected : drops.flights(day)}'`).join(", ");
      await connection.run("CREATE SCHEMA transport");
      await connection.run(`CREATE TABLE transport.flights AS SELECT * FROM read_parquet([${files}])`);
      await connection.run(
        `CREATE TABLE transport.routes AS SELECT * FROM read_parquet('${drops.routes(DAYS.at(-1) ?? "")}')`,
      );
      if (tampering !== "") await connection.run(tampering);
      const figures = await compareTables(async (sql) => (await connection.runAndReadAll(sql)).getRowObjects());
      return figures.filter(({ expected, found }) => expected !== found).map(({ what }) => what);
    });
  }

  it("finds nothing off in what is right, and every small wrong", async (t) => {
    const drops = await prepareDrops(await temporary(t), new AbortController().signal);
    assert.deepEqual(await off(drops, ""), []);

    const doubled = await off(drops, "INSERT INTO transport.flights SELECT * FROM transport.flights LIMIT 1");
    assert.ok(doubled.includes("flights: rows") && doubled.includes("flights: days whose rows agree"));

    const uncorrected = `UPDATE transport.flights SET delay = delay - 10 WHERE origin = 'ORD' AND date::DATE = '${CORRECTED}'`;
    assert.ok((await off(drops, uncorrected)).includes("flights: days whose delays agree"));

    // Within one day the sums stay what they were, but the delays have changed places.
    const exchanged = `UPDATE transport.flights SET delay = delay + CASE WHEN distance = 2176 THEN 1 ELSE -1 END WHERE rowid IN (
      (SELECT min(rowid) FROM transport.flights WHERE distance = 2176 AND date::DATE = '2001-01-01'),
      (SELECT min(rowid) FROM transport.flights WHERE distance = 215 AND date::DATE = '2001-01-01'))`;
    assert.deepEqual(await off(drops, exchanged), ["flights: days whose delay × distance agree"]);

    const otherDay = "UPDATE transport.flights SET date = date + INTERVAL 1 DAY WHERE rowid = 0";
    assert.ok((await off(drops, otherDay)).includes("flights: days whose rows agree"));

    const older = `DELETE FROM transport.routes; INSERT INTO transport.routes SELECT * FROM read_parquet('${drops.routes(DAYS.at(-2) ?? "")}')`;
    const stale = await off(drops, older);
    assert.deepEqual(stale, ["routes: rows", "routes: flights", "routes: checksum of delays"]);
  });
});

describe("the demo's verification of what is made from the flights", () => {
  const SUMS = "count(*) AS flights, sum(CASE WHEN delay > 15 THEN 1 ELSE 0 END) AS late, sum(delay) AS delay";
  /** The three tables as a faultless platform would hold them, each from the one before. */
  const MADE = `
    CREATE SCHEMA transport;
    CREATE TABLE transport.airport_days AS SELECT date::DATE AS day, origin AS airport, ${SUMS} FROM flights GROUP BY ALL;
    CREATE TABLE transport.airport_weeks AS
      SELECT day - (isodow(day) - 1)::INT AS week, airport, sum(flights) AS flights, sum(late) AS late, sum(delay) AS delay
      FROM transport.airport_days WHERE day < '2001-01-29' GROUP BY ALL;
    CREATE TABLE transport.late_airports AS
      SELECT week, airport, late_percent, week_before FROM (
        SELECT week, airport, round(100 * late / flights)::INT AS late_percent,
               lag(round(100 * late / flights)::INT) OVER own AS before, lag(week) OVER own AS last,
               CASE WHEN last = week - 7 THEN before END AS week_before
        FROM transport.airport_weeks WHERE flights >= 1000 WINDOW own AS (PARTITION BY airport ORDER BY week))
      WHERE late_percent >= 25`;

  it("finds nothing off in what is right, and every small wrong", async (t) => {
    const drops = await prepareDrops(await temporary(t), new AbortController().signal);
    const files = DAYS.map((day) => `'${day === CORRECTED ? drops.corrected : drops.flights(day)}'`).join(", ");
    await withDuckdb(async (connection) => {
      await connection.run(`CREATE TABLE flights AS SELECT * FROM read_parquet([${files}])`);
      for (const statement of MADE.split(";")) await connection.run(statement);
      const off = async (tampering: string): Promise<string[]> => {
        await connection.run("BEGIN");
        if (tampering !== "") await connection.run(tampering);
        const figures = await compareChain(async (sql) => (await connection.runAndReadAll(sql)).getRowObjects());
        await connection.run("ROLLBACK");
        return figures.filter(({ expected, found }) => expected !== found).map(({ what }) => what);
      };
      assert.deepEqual(await off(""), []);
      const days = ["airport_days: rows that agree"];
      const inSeconds = `UPDATE transport.airport_days SET delay = delay * 60 WHERE day = '${IN_SECONDS}' AND airport = 'JFK'`;
      assert.deepEqual(await off(inSeconds), days);
      const one = "SELECT * FROM transport.airport_days LIMIT 1";
      assert.deepEqual(await off(`INSERT INTO transport.airport_days ${one}`), days);
      assert.deepEqual(await off("DELETE FROM transport.airport_days WHERE rowid = 7"), days);
      const unfinished = "INSERT INTO transport.airport_weeks VALUES ('2001-01-29', 'JFK', 1, 1, 1)";
      assert.deepEqual(await off(unfinished), ["airport_weeks: rows that agree"]);
      const stale = "UPDATE transport.late_airports SET week_before = NULL WHERE week_before IS NOT NULL";
      assert.deepEqual(await off(stale), ["late_airports: rows that agree"]);
    });
  });
});

describe("the demo's screen", () => {
  async function shown(draw: (screen: ReturnType<typeof openScreen>) => void): Promise<string> {
    const stream = new PassThrough();
    draw(openScreen(stream, false));
    stream.end();
    return await text(stream);
  }

  it("writes plain lines where there is no terminal", async () => {
    const output = await shown((screen) => {
      screen.act("Heading", "word ".repeat(40).trim());
      const progress = screen.progress("days", 2);
      progress.step();
      screen.verdict(true, "good");
      progress.done();
    });
    // No escape sequence and no carriage return: nothing that moves a cursor.
    assert.ok(!output.includes("\u001b") && !output.includes("\r"));
    assert.match(output, /^ {3}✓ good$/m);
    for (const line of output.split("\n")) assert.ok(line.length <= 80, line);
  });

  it("puts what goes on in another line below the words of its line", async () => {
    const output = await shown((screen) => screen.quote(`    ✗ waits: ${"word ".repeat(20).trim()}`));
    const [first = "", second = ""] = output.split("\n");
    assert.match(first, /^ {9}✗ waits: word/);
    assert.match(second, /^ {11}word/);
    assert.equal(output.match(/word/g)?.length, 20);
  });

  it("counts what is off, and shows what it should be", async () => {
    const output = await shown((screen) => {
      screen.figures([
        { what: "rows", expected: "31", found: "31" },
        { what: "sums", expected: "8", found: "9" },
      ]);
      assert.equal(screen.failures, 1);
    });
    assert.match(output, /✓ rows {2}31\n {3}✗ sums {3}9 {2}but it should be 8/);
  });
});

describe("the demo as a command", () => {
  interface Ended {
    readonly code: number | null;
    readonly output: string;
    readonly errors: string;
  }

  async function run(args: readonly string[], folder: string, stopAt?: RegExp): Promise<Ended> {
    const child = spawn(process.execPath, [demo, ...args], { env: { ...process.env, TMPDIR: folder } });
    let output = "";
    let stopped = false;
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (stopped || stopAt?.test(output) !== true) return;
      stopped = true;
      // npm passes on the Ctrl-C that the terminal has sent to the whole group already. That two signals come together, however
      // busy the machine is, they wait for a child that stands still; and so that they stay two, they are of two kinds.
      for (const name of ["SIGSTOP", "SIGINT", "SIGTERM", "SIGCONT"] as const) child.kill(name);
    });
    const [errors] = await Promise.all([text(child.stderr), once(child, "close")]);
    return { code: child.exitCode, output, errors };
  }

  it("ends at Ctrl-C in the middle of its runs, and leaves nothing", async (t) => {
    const folder = await temporary(t);
    const { code, output, errors } = await run([], folder, /2001-01-02 /);
    assert.equal(code, 130);
    assert.match(output, /✗ interrupted\n/);
    assert.equal(errors, "");
    assert.deepEqual(await readdir(folder), []);
  });

  it("leaves a folder alone that is in use", async (t) => {
    const folder = await temporary(t);
    await writeFile(join(folder, "mine"), "");
    const { code, errors } = await run(["--keep", folder], folder);
    assert.equal(code, 1);
    assert.match(errors, /^demo: .* is not empty: name a new folder with --keep\n$/);
    assert.deepEqual(await readdir(folder), ["mine"]);
  });

  it("refuses an unknown option in one line", async (t) => {
    const { code, errors } = await run(["--kep", "x"], await temporary(t));
    assert.equal(code, 1);
    assert.match(errors, /^demo: [^\n]*--kep[^\n]*\n$/);
  });
});
