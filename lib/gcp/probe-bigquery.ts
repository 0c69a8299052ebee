/** The steps about BigQuery: what its job ids, copies and dispositions do. */
import {
  dataset,
  datasetOf,
  ended,
  errorOf,
  find,
  holds,
  insert,
  into,
  job,
  makeTable,
  named,
  prepared,
  query,
  reference,
  rowOf,
  shown,
} from "./probe-jobs.ts";
import { at, CannotTry, inside, listAt, needed } from "./probe-rest.ts";
import type { ProbeStep } from "./probe.ts";

export const bigquerySteps: readonly ProbeStep[] = [
  {
    name: "job-id-across-types",
    relies: "a query under the id of a load is refused as a duplicate, so that it can settle who has published",
    where: "lib/runtime/publish.ts, settle",
    async try(desk) {
      await dataset(desk);
      const id = job(desk, "load");
      const bucket = desk.bucket ?? `sluice-probe-${desk.id}`;
      // There is no such file, and the job fails: its id is that of a load all the same.
      const load = {
        sourceUris: [`gs://${bucket}/sluice_probe_${desk.id}/nothing.json`],
        sourceFormat: "NEWLINE_DELIMITED_JSON",
        schema: { fields: [{ name: "n", type: "INT64", mode: "NULLABLE" }] },
        destinationTable: reference(desk, "loaded"),
      };
      needed(await insert(desk, id, { load }), "inserting a load");
      const answer = await insert(desk, id, query("SELECT 1 AS n"));
      return holds(answer.status === 409, `a query under a load's id: ${shown(answer)}`);
    },
  },
  {
    name: "labels-after-409",
    relies: "a job that is met as a duplicate shows the labels of whoever inserted it first",
    where: "lib/gcp/bigquery-jobs.ts, insert",
    async try(desk) {
      const id = job(desk, "labels");
      await prepared(desk, id, { ...query("SELECT 1 AS n"), labels: { sluice_probe: "first" } });
      const again = await insert(desk, id, { ...query("SELECT 1 AS n"), labels: { sluice_probe: "second" } });
      const { body } = needed(await find(desk, id), "looking at the job");
      const label = at(body, "configuration", "labels", "sluice_probe");
      return holds(again.status === 409 && label === "first", `${shown(again)}; the job's label: ${label ?? "none"}`);
    },
  },
  {
    name: "failed-id-stays-taken",
    relies: "the id of a job that failed is taken for ever, so that another try needs another id",
    where: "lib/runtime/warehouse-jobs.ts",
    async try(desk) {
      const id = job(desk, "failed");
      const parameter = { name: "message", parameterType: { type: "STRING" }, parameterValue: { value: "on purpose" } };
      const failing = query("SELECT ERROR(@message)", { parameterMode: "NAMED", queryParameters: [parameter] });
      needed(await insert(desk, id, failing), "inserting a job that fails");
      const error = errorOf(await ended(desk, id));
      if (error === undefined) throw new CannotTry("SELECT ERROR(…) did not fail");
      const answer = await insert(desk, id, query("SELECT 1 AS n"));
      return holds(answer.status === 409, `a job under a failed one's id: ${shown(answer)}`);
    },
  },
  {
    name: "copy-partition-to-partition",
    relies: "a copy job replaces one partition by that of another table, named by decorators, and no other",
    where: "lib/gcp/bigquery-copy.ts, planPartition",
    async try(desk) {
      for (const table of ["from_parts", "to_parts"]) await makeTable(desk, table, { n: "INT64" }, true);
      const fills = { from_parts$20240501: 1, to_parts$20240501: 2, to_parts$20240502: 3 };
      for (const [table, n] of Object.entries(fills))
        await prepared(desk, job(desk, `fill_${n}`), into(desk, table, `SELECT ${n} AS n`, "WRITE_TRUNCATE"));
      const [sourceTable, destinationTable] = [
        reference(desk, "from_parts$20240501"),
        reference(desk, "to_parts$20240501"),
      ];
      const copy = { sourceTable, destinationTable, writeDisposition: "WRITE_TRUNCATE" };
      const id = job(desk, "copy_part");
      const answer = await insert(desk, id, { copy });
      const error = answer.status < 300 ? errorOf(await ended(desk, id)) : shown(answer);
      if (error !== undefined) return holds(false, error);
      const sums = `SELECT SUM(n) AS s, COUNT(*) AS c FROM ${named(desk, "to_parts")}`;
      const [sum, count] = await rowOf(desk, job(desk, "copy_part_rows"), sums);
      return holds(sum === "4" && count === "2", `${count ?? "?"} rows that sum to ${sum ?? "?"} (2 and 4 expected)`);
    },
  },
  {
    name: "copy-into-missing-partition",
    relies:
      "a copy of a plain table fills a partition, by its decorator, that an ingestion-time table does not have yet",
    where: "lib/gcp/bigquery-copy.ts, planPartition",
    async try(desk) {
      await makeTable(desk, "fresh_parts", { n: "INT64" }, true);
      await prepared(desk, job(desk, "fill_plain"), into(desk, "plain", "SELECT 7 AS n", "WRITE_TRUNCATE"));
      const [sourceTable, destinationTable] = [reference(desk, "plain"), reference(desk, "fresh_parts$20240503")];
      const copy = { sourceTable, destinationTable, writeDisposition: "WRITE_TRUNCATE" };
      const id = job(desk, "copy_fresh");
      const answer = await insert(desk, id, { copy });
      const error = answer.status < 300 ? errorOf(await ended(desk, id)) : shown(answer);
      if (error !== undefined) return holds(false, error);
      const sql = `SELECT COUNT(*) AS c FROM ${named(desk, "fresh_parts")} WHERE _PARTITIONTIME = TIMESTAMP '2024-05-03 00:00:00+00'`;
      const [count] = await rowOf(desk, job(desk, "copy_fresh_rows"), sql);
      return holds(count === "1", `${count ?? "?"} row in the partition (1 expected)`);
    },
  },
  {
    name: "write-truncate-data",
    relies: "WRITE_TRUNCATE_DATA replaces all rows and keeps the table's columns, and with them its policy tags",
    where: "lib/gcp/bigquery-warehouse.ts, load; lib/gcp/bigquery-copy.ts",
    async try(desk) {
      await makeTable(desk, "kept", { n: "INT64", note: "STRING" }, false);
      await prepared(desk, job(desk, "fill_kept"), into(desk, "kept", "SELECT 1 AS n, 'a' AS note", "WRITE_APPEND"));
      const id = job(desk, "truncate_data");
      const answer = await insert(desk, id, into(desk, "kept", "SELECT 2 AS n", "WRITE_TRUNCATE_DATA"));
      const error = answer.status < 300 ? errorOf(await ended(desk, id)) : shown(answer);
      if (error !== undefined) return holds(false, error);
      const { body } = needed(
        await desk.bigquery({ path: `/datasets/${datasetOf(desk)}/tables/kept` }),
        "looking at the table",
      );
      const columns = listAt(body, "schema", "fields").map((field) => at(field, "name") ?? "?");
      const [sum, count] = await rowOf(
        desk,
        job(desk, "truncate_data_rows"),
        `SELECT SUM(n) AS s, COUNT(*) AS c FROM ${named(desk, "kept")}`,
      );
      const good = columns.join() === "n,note" && sum === "2" && count === "1";
      return holds(good, `columns ${columns.join(", ")}; ${count ?? "?"} row, ${sum ?? "?"}`);
    },
  },
  {
    name: "row-policies-outlive-truncate-data",
    relies:
      "WRITE_TRUNCATE_DATA keeps a table's row policies, and takes rows also from an account to which no policy shows them",
    where: "lib/gcp/bigquery-copy.ts, protection",
    async try(desk) {
      await makeTable(desk, "guarded", { n: "INT64" }, false);
      await prepared(desk, job(desk, "fill_guarded"), into(desk, "guarded", "SELECT 1 AS n", "WRITE_APPEND"));
      const table = reference(desk, "guarded");
      const path = `/datasets/${datasetOf(desk)}/tables/guarded/rowAccessPolicies`;
      // Without anybody to whom it shows rows.
      const policy = { rowAccessPolicyReference: { ...table, policyId: "nobody" }, filterPredicate: "n > 0" };
      needed(await desk.bigquery({ method: "POST", path, body: policy }), "making a row policy");
      const answer = await insert(
        desk,
        job(desk, "replace_guarded"),
        into(desk, "guarded", "SELECT 2 AS n UNION ALL SELECT 3", "WRITE_TRUNCATE_DATA"),
      );
      const error = answer.status < 300 ? errorOf(await ended(desk, job(desk, "replace_guarded"))) : shown(answer);
      if (error !== undefined) return holds(false, error);
      const { body } = needed(await desk.bigquery({ path }), "listing the row policies");
      const policies = listAt(body, "rowAccessPolicies").map(
        (one) => at(one, "rowAccessPolicyReference", "policyId") ?? "?",
      );
      const found = needed(
        await desk.bigquery({ path: path.replace(/\/rowAccessPolicies$/, "") }),
        "looking at the table",
      );
      const rows = at(found.body, "numRows");
      return holds(
        policies.join() === "nobody" && rows === "2",
        `row policies: ${policies.join()}; ${rows ?? "?"} rows`,
      );
    },
  },
  {
    name: "dry-run-names-dml-target",
    relies: "a dry run of an INSERT, UPDATE, DELETE or MERGE names the table that it would change",
    where: "lib/gcp/bigquery-authority.ts, checkDryRun",
    async try(desk) {
      await makeTable(desk, "dml", { n: "INT64" }, false);
      const configuration = { ...query(`INSERT INTO ${named(desk, "dml")} (n) VALUES (1)`), dryRun: true };
      const jobReference = { projectId: desk.project, location: desk.location };
      const answer = await desk.bigquery({ method: "POST", path: "/jobs", body: { jobReference, configuration } });
      const { body } = needed(answer, "a dry run");
      const target = inside(body, "configuration", "query", "destinationTable");
      const name = `${at(target, "datasetId") ?? "?"}.${at(target, "tableId") ?? "?"}`;
      const kind = at(body, "statistics", "query", "statementType");
      return holds(
        name === `${datasetOf(desk)}.dml` && kind === "INSERT",
        target === undefined ? `${kind ?? "?"}, and no destination table` : `${kind ?? "?"} into ${name}`,
      );
    },
  },
  {
    name: "statements-of-a-script",
    relies: "the statements of a script are jobs of their own, which whoever runs it may list, each with its kind",
    where: "lib/gcp/bigquery-jobs.ts, lastSelect",
    async try(desk) {
      const id = job(desk, "script");
      await prepared(desk, id, query("SELECT 1 AS a; SELECT 2 AS b UNION ALL SELECT 3"));
      const listed = await desk.bigquery({ path: "/jobs", query: { parentJobId: id, projection: "full" } });
      if (listed.status >= 300) return holds(false, `listing them: ${shown(listed)}`);
      const kinds = listAt(listed.body, "jobs").map((one) => at(one, "statistics", "query", "statementType") ?? "?");
      const evaluated = listAt(listed.body, "jobs").map((one) =>
        at(one, "statistics", "scriptStatistics", "evaluationKind"),
      );
      const good = kinds.length > 0 && kinds.every((kind) => kind === "SELECT") && evaluated.includes("STATEMENT");
      return holds(good, kinds.length === 0 ? "none" : kinds.join(", "));
    },
  },
  {
    name: "refused-insert",
    relies: "of a job that is refused at once, what is found under its id and what a further insert answers agree",
    where: "lib/gcp/bigquery-jobs.ts, insert",
    async try(desk) {
      const id = job(desk, "refused");
      const first = await insert(desk, id, query("SELECT FROM WHERE"));
      const kept = (await find(desk, id)).status === 200;
      const again = await insert(desk, id, query("SELECT 1 AS n"));
      const good = kept ? again.status === 409 : first.status >= 400 && again.status < 300;
      return holds(
        good,
        `insert ${first.status}; the job is ${kept ? "kept" : "not kept"}; a further insert ${again.status}`,
      );
    },
  },
];
