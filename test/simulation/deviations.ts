/** What the simulated warehouse does otherwise than the port's conformance suite wants it, each with the reason. */
import { appendScenarios } from "../ports/warehouse/appends.ts";
import { changeScenarios } from "../ports/warehouse/changes.ts";
import { limitScenarios } from "../ports/warehouse/limits.ts";
import { loadScenarios } from "../ports/warehouse/loads.ts";
import { queryScenarios } from "../ports/warehouse/queries.ts";
import { scriptScenarios } from "../ports/warehouse/scripts.ts";
import { statementScenarios } from "../ports/warehouse/statements.ts";
import { viewScenarios } from "../ports/warehouse/views.ts";
import type { Scenario } from "../ports/warehouse/world.ts";

const NO_ENGINE = "it has no SQL engine: it knows the statements that the simulated assets and the runtime write";
const NO_FILES = "it parses no files: a row is a plain fact, which the world puts beside its object";
const NO_TYPES = "rows are plain facts, which are not looked at by a schema";
const NO_DAYS = "a partition is a name: whether the rows are of its time is not looked at";
const NO_COSTS = "nothing in the simulated world asks what a query costs or reads";

function all(
  scenarios: Readonly<Record<string, Scenario>>,
  reason: string,
  except: readonly string[] = [],
): Readonly<Record<string, string>> {
  const titles = Object.keys(scenarios);
  const unknown = except.find((title) => !titles.includes(title));
  if (unknown !== undefined) throw new Error(`there is no scenario: ${unknown}`);
  return Object.fromEntries(titles.filter((title) => !except.includes(title)).map((title) => [title, reason]));
}

export const deviations: Readonly<Record<string, string>> = {
  ...all(statementScenarios, NO_ENGINE),
  ...all(viewScenarios, NO_ENGINE),
  ...all(scriptScenarios, NO_ENGINE),
  ...all(limitScenarios, NO_COSTS),
  ...all(changeScenarios, "nothing in the simulated world asks when a table was changed"),
  ...all(queryScenarios, NO_ENGINE, [
    "a result is what it was, even if its table is gone",
    "rows of what is no successful query are refused",
  ]),
  ...all(loadScenarios, NO_FILES, [
    "names that a shell, a pattern or SQL could misread are plain names",
    "CSV: a file without a byte has no rows",
  ]),
  ...all(appendScenarios, NO_TYPES, [
    "an append makes its destination, and then adds to it",
    "an append shows in no copy of its source or destination",
    "appends at the same time are all there",
    "a reader sees the whole of an append, or nothing of it",
  ]),
  "a running job that is cancelled stops": "a job runs in one step: none is seen running",
  "a failed job leaves the table as it was": NO_FILES,
  "a load, a query and two copies run at the same time": NO_FILES,
  "an illegal dataset or table name is refused, and uses up no id": "the runtime's own names are legal",
  "extending a copy leaves its source alone": NO_TYPES,
  "extend adds nullable columns at the end": NO_TYPES,
  "schemas that do not fit are refused": NO_TYPES,
  "a nullable column that the source lacks is null, by name and not by place": NO_TYPES,
  "what a statement creates goes when its job says": NO_ENGINE,
  "rows outside of the partition, or without a date, are refused": NO_DAYS,
  "hour, day and month windows have exact edges in UTC": NO_DAYS,
  "a decorator that is no partition of the table is refused": NO_DAYS,
  "ingestion time: the decorator alone chooses": NO_DAYS,
  "a source without partitions fills a partition by ingestion time": NO_DAYS,
  "a copy cannot change a table's partitioning": NO_DAYS,
  "a load refuses a partitioning that its columns do not allow": NO_DAYS,
};
