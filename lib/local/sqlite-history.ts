import type { SQLInputValue } from "node:sqlite";
import type { SluiceEvent, StoredEvent } from "../core/events.ts";
import { keysAsked } from "../core/history-keys.ts";
import type { HistoryQuery, Page } from "../ports/event-store.ts";
import { integer, text } from "./sqlite-database.ts";
import type { Row, SqliteDatabase } from "./sqlite-database.ts";
import { badCursor, pageOf, pageSize } from "../core/page.ts";

/** As many digits as the largest safe integer has, so that positions also sort as text. */
const POSITION_DIGITS = 16;

/** Stores an event, unless one with its id is there; returns it with its position if it was stored. Call within a transaction. */
export function insertEvent(database: SqliteDatabase, event: SluiceEvent): StoredEvent | undefined {
  const row = database.get(
    `INSERT INTO events (id, type, asset, partition, run, value) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING RETURNING position`,
    event.id,
    event.type,
    event.asset ?? null,
    event.partition ?? null,
    event.run ?? null,
    JSON.stringify(event),
  );
  return row === undefined ? undefined : { ...event, position: positionOf(row) };
}

/** One page of history. The cursor is the position of the last event, so a page means the same however many events follow. */
export function readHistory(database: SqliteDatabase, query: HistoryQuery): Page<StoredEvent> {
  const size = pageSize(query.limit);
  if (query.types?.length === 0 || keysAsked(query.asset)?.length === 0) return { items: [] };
  const { sql, values } = historyStatement(query, size + 1);
  return pageOf(database.all(sql, ...values).map(storedEvent), size, (last) => last.position);
}

/**
 * The statement behind a history query. Each key with each type is asked for by itself, so that each walks its own index
 * from the cursor on and stops at the limit; `IN` would read and sort everything that matches.
 */
export function historyStatement(
  query: HistoryQuery,
  rows: number,
): { readonly sql: string; readonly values: readonly SQLInputValue[] } {
  const newest = query.order !== "oldest";
  const direction = newest ? "DESC" : "ASC";
  const from = query.after === undefined ? (newest ? Number.MAX_SAFE_INTEGER : 0) : positionFrom(query.after);
  const wanted = { partition: query.partition, run: query.run };

  const select = (asset: string | undefined, type: string | undefined): { sql: string; values: SQLInputValue[] } => {
    const filters = Object.entries({ asset, ...wanted, type }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    const where = [...filters.map(([column]) => `${column} = ?`), `position ${newest ? "<" : ">"} ?`].join(" AND ");
    return {
      sql: `SELECT position, value FROM events WHERE ${where} ORDER BY position ${direction} LIMIT ?`,
      values: [...filters.map(([, value]) => value), from, rows],
    };
  };
  const keys = keysAsked(query.asset) ?? [undefined];
  if (query.types === undefined && keys.length === 1) return select(keys[0], undefined);
  const types = query.types === undefined ? [undefined] : [...new Set(query.types)];
  const parts = keys.flatMap((key) => types.map((type) => select(key, type)));
  const union = parts.map(({ sql }) => `SELECT * FROM (${sql})`).join(" UNION ALL ");
  return {
    sql: `SELECT * FROM (${union}) ORDER BY position ${direction} LIMIT ?`,
    values: [...parts.flatMap(({ values }) => values), rows],
  };
}

function storedEvent(row: Row): StoredEvent {
  // The text was written by `insertEvent`, from an event.
  const event = JSON.parse(text(row, "value")) as SluiceEvent;
  return { ...event, position: positionOf(row) };
}

function positionOf(row: Row): string {
  return String(integer(row, "position")).padStart(POSITION_DIGITS, "0");
}

function positionFrom(cursor: string): number {
  const position = Number(cursor);
  if (!/^\d{1,16}$/.test(cursor) || !Number.isSafeInteger(position)) throw badCursor(cursor);
  return position;
}
