/** The steps about the life of BigQuery's tables: when they end by themselves, and when they were changed. */
import {
  dataset,
  datasetOf,
  ended,
  errorOf,
  holds,
  insert,
  into,
  job,
  makeTable,
  prepared,
  reference,
  shown,
} from "./probe-jobs.ts";
import { at, CannotTry, listAt, needed } from "./probe-rest.ts";
import type { Json } from "./probe-rest.ts";
import { bucketOf, prefixOf, upload } from "./probe-storage.ts";
import type { Desk, ProbeStep } from "./probe.ts";

/** Sooner than the dataset would have it. */
const LIFE_MS = 1_200_000;
/** A table may say that it was changed a moment before or after its job ended. */
const SLACK_MS = 60_000;

const field = (name: string, type: string): object => ({ name, type, mode: "NULLABLE" });
const wanted: readonly object[] = [field("day", "DATE"), field("n", "INT64")];

/** As staging tables are laid out, with the load that fills each. */
const layouts = [
  { name: "plain", blank: {}, load: { autodetect: true }, decorator: "" },
  {
    name: "part",
    blank: { timePartitioning: { type: "DAY" } },
    load: { autodetect: true, timePartitioning: { type: "DAY" } },
    decorator: "$20240501",
  },
  {
    name: "column",
    blank: {
      schema: { fields: [field("day", "DATE"), field("awaits", "BOOL")] },
      timePartitioning: { type: "DAY", field: "day" },
    },
    load: { schema: { fields: wanted }, timePartitioning: { type: "DAY", field: "day" } },
    decorator: "",
  },
] as const;

/** A file of one row, which a load of this kind can read. */
function file(desk: Desk): Promise<string> {
  return desk.once("a file of rows", async () => {
    const body = '{"day":"2024-05-01","n":7}\n';
    needed(await upload(desk, "rows.json", {}, body), `writing an object in gs://${bucketOf(desk)}`);
    const uri = `gs://${bucketOf(desk)}/${prefixOf(desk)}rows.json`;
    const plain = {
      ...loadOf(desk, uri, "control"),
      createDisposition: "CREATE_IF_NEEDED",
      schema: { fields: wanted },
    };
    // A bucket elsewhere, or one that may not be read: then no load shows anything.
    await prepared(desk, job(desk, "control_load"), { load: plain });
    return uri;
  });
}

const loadOf = (desk: Desk, uri: string, table: string): object => ({
  sourceUris: [uri],
  sourceFormat: "NEWLINE_DELIMITED_JSON",
  destinationTable: reference(desk, table),
  createDisposition: "CREATE_NEVER",
  writeDisposition: "WRITE_TRUNCATE",
});

async function tableOf(desk: Desk, table: string): Promise<Json> {
  const path = `/datasets/${datasetOf(desk)}/tables/${table}`;
  return needed(await desk.bigquery({ path }), `looking at the table ${table}`).body;
}

/** When each partition was changed last. */
async function partitionTimes(desk: Desk, table: string): Promise<Readonly<Record<string, number>>> {
  const path = `/datasets/${datasetOf(desk)}/tables/${table}$__PARTITIONS_SUMMARY__/data`;
  const answer = await desk.bigquery({ path, query: { selectedFields: "partition_id,last_modified_time" } });
  const { body } = needed(answer, `reading the partitions of ${table}`);
  const rows = listAt(body, "rows").map((row) => [at(row, "f", 0, "v") ?? "?", Number(at(row, "f", 1, "v"))] as const);
  return Object.fromEntries(rows);
}

export const lifeSteps: readonly ProbeStep[] = [
  {
    name: "load-into-blank-table",
    relies:
      "a load that may make no table fills one that awaits it, brings its columns, and leaves the end of its life",
    where: "lib/gcp/bigquery-expiry.ts",
    async try(desk) {
      const path = `/datasets/${await dataset(desk)}/tables`;
      const uri = await file(desk);
      const seen: string[] = [];
      let good = true;
      for (const { name, blank, load, decorator } of layouts) {
        const table = `blank_${name}`;
        const expirationTime = String(Date.now() + LIFE_MS);
        const body = { tableReference: reference(desk, table), ...blank, expirationTime };
        const made = await desk.bigquery({ method: "POST", path, body });
        const id = job(desk, `fill_${table}`);
        const configuration = { load: { ...loadOf(desk, uri, `${table}${decorator}`), ...load } };
        const asked = made.status < 300 ? await insert(desk, id, configuration) : made;
        const error = asked.status < 300 ? errorOf(await ended(desk, id)) : shown(asked);
        const found = error === undefined ? await tableOf(desk, table) : undefined;
        const columns = listAt(found, "schema", "fields")
          .map((one) => at(one, "name") ?? "?")
          .sort()
          .join(", ");
        const kept = at(found, "expirationTime") === expirationTime;
        good &&= columns === "day, n" && kept && at(found, "numRows") === "1";
        seen.push(
          `${name}: ${error ?? `columns ${columns}, its end ${kept ? "kept" : "changed"}, ${at(found, "numRows") ?? "?"} row`}`,
        );
      }
      return holds(good, seen.join("; "));
    },
  },
  {
    name: "load-without-its-table",
    relies: "a load that may make no table fails without it, and says by notFound and its name that it was the table",
    where: "lib/gcp/bigquery-jobs.ts, errorOf",
    async try(desk) {
      const name = await dataset(desk);
      const load = { ...loadOf(desk, await file(desk), "late"), schema: { fields: wanted } };
      const id = job(desk, "late_load");
      needed(await insert(desk, id, { load }), "inserting a load");
      const done = await ended(desk, id);
      const message = errorOf(done) ?? "it succeeded";
      const reason = at(done, "status", "errorResult", "reason");
      const good = reason === "notFound" && message.startsWith("Not found: Table ") && message.includes(`${name}.late`);
      const left = await desk.bigquery({ path: `/datasets/${name}/tables/late` });
      return holds(
        good && left.status === 404,
        `${reason ?? "no reason"}: ${message}; the table answers ${left.status}`,
      );
    },
  },
  {
    name: "copy-that-expires",
    relies: "a copy job gives its table the end of life that it names, also where the table is replaced",
    where: "lib/gcp/bigquery-warehouse.ts, copy",
    async try(desk) {
      await dataset(desk);
      await prepared(desk, job(desk, "fill_lasting"), into(desk, "lasting", "SELECT 1 AS n", "WRITE_TRUNCATE"));
      const [sourceTable, destinationTable] = [reference(desk, "lasting"), reference(desk, "ending")];
      const seen: string[] = [];
      for (const round of [1, 2]) {
        const ends = Date.now() + round * LIFE_MS;
        const life = { destinationExpirationTime: new Date(ends).toISOString() };
        const copy = { sourceTable, destinationTable, writeDisposition: "WRITE_TRUNCATE", ...life };
        const id = job(desk, `copy_ending_${round}`);
        const answer = await insert(desk, id, { copy });
        const error = answer.status < 300 ? errorOf(await ended(desk, id)) : shown(answer);
        if (error !== undefined) return holds(false, error);
        const off = Number(at(await tableOf(desk, "ending"), "expirationTime")) - ends;
        if (!(Math.abs(off) <= 1_000)) return holds(false, `copy ${round}: the table's end is off by ${off} ms`);
        seen.push(`copy ${round}: off by ${off} ms`);
      }
      return holds(true, seen.join("; "));
    },
  },
  {
    name: "copy-inherits-no-end",
    relies: "a copy takes no end of life along from its source: what is published of a staging table stays",
    where: "lib/runtime/publish.ts",
    async try(desk) {
      await dataset(desk);
      await prepared(desk, job(desk, "fill_heir"), into(desk, "fleeting_rows", "SELECT 1 AS n", "WRITE_TRUNCATE"));
      const life = { destinationExpirationTime: new Date(Date.now() + LIFE_MS).toISOString() };
      const copy = async (id: string, from: string, to: string, more: object = {}): Promise<Json> => {
        const tables = { sourceTable: reference(desk, from), destinationTable: reference(desk, to) };
        await prepared(desk, job(desk, id), { copy: { ...tables, writeDisposition: "WRITE_TRUNCATE", ...more } });
        return at(await tableOf(desk, to), "expirationTime");
      };
      const source = await copy("make_fleeting", "fleeting_rows", "fleeting", life);
      if (source === undefined) throw new CannotTry("no table could be made that expires");
      // A new table has the end that its dataset gives, if any.
      const made = await copy("make_heir", "fleeting", "heir");
      const kept = await copy("keep_heir", "fleeting", "heir");
      const word = (end: Json): string =>
        end === source ? "the source's end" : end === undefined ? "no end" : "another end";
      return holds(made !== source && kept !== source, `a new table has ${word(made)}; replaced, it has ${word(kept)}`);
    },
  },
  {
    name: "partition-times",
    relies: "a table's list of partitions says of each when it was changed last, and of the others no other time",
    where: "lib/gcp/bigquery-store.ts, changes; sluice verify",
    async try(desk) {
      await makeTable(desk, "timed", { n: "INT64" }, true);
      const write = (part: string, n: number): Promise<Json> =>
        prepared(desk, job(desk, `timed_${n}`), into(desk, `timed$${part}`, `SELECT ${n} AS n`, "WRITE_TRUNCATE"));
      await write("20240501", 1);
      await write("20240502", 2);
      const before = await partitionTimes(desk, "timed");
      const again = await write("20240501", 3);
      const after = await partitionTimes(desk, "timed");
      const began = Number(at(again, "statistics", "startTime"));
      const end = Number(at(again, "statistics", "endTime"));
      const [moved = Number.NaN, was = Number.NaN] = [after["20240501"], before["20240501"]];
      const whole = Number(at(await tableOf(desk, "timed"), "lastModifiedTime"));
      const good =
        moved > was &&
        moved >= began - SLACK_MS &&
        moved <= end + SLACK_MS &&
        after["20240502"] === before["20240502"] &&
        before["20240502"] !== undefined &&
        whole >= moved - SLACK_MS;
      const others = after["20240502"] === before["20240502"] ? "the other stayed" : "the other moved as well";
      return holds(good, `its partition by ${moved - was} ms, ${end - moved} ms before its job's end; ${others}`);
    },
  },
];
