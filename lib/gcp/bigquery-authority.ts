/**
 * Keeps a statement to the tables that its job declares. BigQuery itself knows no such rule, so it is asked beforehand, and
 * the statement's own words are read as well. The strictest rule that works:
 *
 * - one statement that gives rows is sent as it is;
 * - of every other one, also within a script's conditions and loops, the head must name a declared table (or, in a script,
 *   a temporary one);
 * - a dry run then has to agree: a known kind of statement, with no other target. Of a script it says only that it is one, so a
 *   script that calls something, or runs a text that it makes itself, is refused: nobody can tell what it would change.
 */
import { PermanentError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { TableRef } from "../core/table.ts";
import type { JobResource } from "./bigquery-resources.ts";
import { quoted, referenceOf, type Naming } from "./bigquery-tables.ts";
import { readStatements, type Reading } from "./bigquery-targets.ts";

/** What a dry run says of a statement that we let pass. All others change something that is no table of the job. */
const kinds: ReadonlySet<string> = new Set([
  ..."INSERT UPDATE DELETE MERGE TRUNCATE_TABLE".split(" "),
  ..."CREATE_TABLE CREATE_TABLE_AS_SELECT CREATE_VIEW CREATE_MATERIALIZED_VIEW CREATE_SNAPSHOT_TABLE".split(" "),
  ..."DROP_TABLE DROP_VIEW DROP_MATERIALIZED_VIEW DROP_SNAPSHOT_TABLE ALTER_TABLE ALTER_VIEW ALTER_MATERIALIZED_VIEW".split(
    " ",
  ),
]);
const changesRows: ReadonlySet<string> = new Set(["INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE_TABLE"]);

/** Refuses by the words alone, with the place; throws `PermanentError` (`accessDenied`). */
export function checkWords(sql: string, writes: readonly TableRef[], naming: Naming): Reading {
  const reading = readStatements(sql);
  const known = namesOf(writes, naming);
  for (const { parts, line, column } of reading.targets) {
    // A table without a dataset is temporary in a script, and an error elsewhere, which BigQuery names.
    if (parts.length === 1) continue;
    const [projectId, datasetId, tableId] = [naming.project, ...parts].slice(-3);
    const name = quoted({ projectId: projectId ?? "", datasetId: datasetId ?? "", tableId: tableId ?? "" });
    if (parts.length > 3 || !known.has(name))
      throw denied(`line ${line}, column ${column}: access denied: ${explain(parts.join("."), writes)}`);
  }
  return reading;
}

/** Refuses what the dry run knows better; throws `PermanentError` (`accessDenied`). */
export function checkDryRun(job: JobResource, reading: Reading, writes: readonly TableRef[], naming: Naming): void {
  const { query } = job.statistics ?? {};
  const kind = query?.statementType ?? "UNKNOWN";
  if (kind === "SELECT" || kind === "ASSERT") return;
  const { unknown } = reading;
  if (unknown !== undefined) {
    const where = `line ${unknown.line}, column ${unknown.column}`;
    const remedy = "write each change as a statement of its own, whose first words name its table";
    throw denied(`${where}: access denied: it cannot be told which tables ${unknown.construct} changes; ${remedy}`);
  }
  if (kind === "SCRIPT" && reading.script) return;
  const { destinationTable } = job.configuration.query ?? {};
  const targets = [
    query?.ddlTargetTable,
    query?.ddlDestinationTable,
    changesRows.has(kind) ? destinationTable : undefined,
  ];
  const known = namesOf(writes, naming);
  const named = reading.targets.length > 0 || targets.some((target) => target !== undefined);
  if (!kinds.has(kind) || !named)
    throw denied(`access denied: ${kind.replaceAll("_", " ")} changes something else than the tables of a job`);
  for (const target of targets) {
    // Datasets with an underscore in front are hidden: they hold temporary tables.
    if (target === undefined || target.datasetId.startsWith("_") || known.has(quoted(target))) continue;
    throw denied(`access denied: ${explain(`${target.datasetId}.${target.tableId}`, writes)}`);
  }
}

function namesOf(writes: readonly TableRef[], naming: Naming): ReadonlySet<string> {
  return new Set(writes.map((table) => quoted(referenceOf(naming, table))));
}

function explain(target: string, writes: readonly TableRef[]): string {
  const allowed = writes.length === 0 ? "no table" : `only ${writes.map(formatTable).join(", ")}`;
  return `the job may change ${allowed}, and not ${target}; name the table that the job declares`;
}

function denied(message: string): PermanentError {
  return new PermanentError(message, { code: "accessDenied" });
}
