/** How many partitions a table has, and how many BigQuery lets it have. */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { addWindows, parseWindow, windowsBetween } from "../../lib/core/interval.ts";
import type { Interval } from "../../lib/core/interval.ts";
import { formatTable } from "../../lib/core/table.ts";

/** BigQuery's, for one table. */
export const MAX_PARTITIONS = 10_000;
/** From a later start on, ten thousand months are more than the calendar has. */
const LAST_START = Date.UTC(9000, 0, 1);

/** A table that gets a partition for each window for ever, and so is full one day. */
export interface FillingTable {
  /** File and export. */
  readonly where: string;
  readonly key: string;
  readonly table: string;
  readonly interval: Interval;
  /** Of the first window; milliseconds since 1970. */
  readonly start: number;
  /** When the last window that it has room for is over. */
  readonly fullAt: number;
}

/** Of those assets whose partitions end: which have more than their table holds. */
export function tooManyPartitions({ assets, places }: Definitions): DefinitionError[] {
  return [...assets.values()].flatMap((asset) => {
    const own = partitionsOf(asset);
    if (own?.end === undefined) return [];
    const count = windowsBetween(own.interval, own.start, own.end);
    const where = places.get(`asset ${asset.key}`) ?? asset.key;
    return count <= MAX_PARTITIONS ? [] : [tooMany({ ...own, where }, count, "")];
  });
}

/** The assets whose partitions have no end. */
export function fillingTables({ assets, places }: Definitions): FillingTable[] {
  return [...assets.values()].flatMap((asset) => {
    const own = partitionsOf(asset);
    if (own === undefined || own.end !== undefined || own.start > LAST_START) return [];
    const { key, table, interval, start } = own;
    const where = places.get(`asset ${key}`) ?? key;
    return [{ where, key, table, interval, start, fullAt: addWindows(interval, start, MAX_PARTITIONS) }];
  });
}

/** That the windows that are over at `now` are more than the table holds; `undefined` as long as they are not. */
export function fullTable(filling: FillingTable, now: number): DefinitionError | undefined {
  const count = now <= filling.start ? 0 : windowsBetween(filling.interval, filling.start, now);
  return count <= MAX_PARTITIONS ? undefined : tooMany(filling, count, " by now");
}

/** What is further away is not worth a line: every hourly table is full within this time after its start, and few others are. */
const SOON_MS = 3 * 365 * 86_400_000;

/** Those that are full soon, one line each for people. */
export function fillingNotes(all: readonly FillingTable[], now: number): string[] {
  return all
    .filter(({ fullAt }) => fullAt <= now + SOON_MS)
    .map(({ where, key, table, fullAt }) => {
      const at = `${new Date(fullAt).toISOString().slice(0, 16)}Z`;
      const most = number(MAX_PARTITIONS);
      return `${where}: ${key} has no last partition, and ${table} holds ${most}: the last of these ends at ${at}`;
    });
}

function partitionsOf({
  partitions,
  target,
  key,
  external,
}: AssetDefinition):
  { key: string; table: string; interval: Interval; start: number; end: number | undefined } | undefined {
  if (target?.partitioning === undefined || partitions?.kind !== "time" || external === true) return undefined;
  const { interval, start, end } = partitions;
  if (start === undefined) return undefined;
  const startOf = (text: string): number => parseWindow(interval, text).start;
  const table = formatTable(target.table);
  return { key, table, interval, start: startOf(start), end: end === undefined ? undefined : startOf(end) };
}

function tooMany({ where, key, table }: Pick<FillingTable, "where" | "key" | "table">, count: number, when: string) {
  return new DefinitionError(
    `${key} has ${number(count)} partitions of ${table}${when}, and a table holds ${number(MAX_PARTITIONS)}`,
    { where, remedy: "use a longer interval, let them start later, or divide them among several assets" },
  );
}

function number(count: number): string {
  return count.toLocaleString("en");
}
