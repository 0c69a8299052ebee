import type { SQLInputValue } from "node:sqlite";
import { checkDocumentId } from "../core/document-id.ts";
import type { DocumentKind, Documents, Read, Ref, Refs, Write } from "../core/documents.ts";
import type { SluiceEvent, StoredEvent } from "../core/events.ts";
import type { EventStore } from "../ports/event-store.ts";
import { integer, openSqlite, text } from "./sqlite-database.ts";
import type { SqliteDatabase } from "./sqlite-database.ts";
import { DOCUMENT_COLUMNS, EVENT_STORE_FORMAT } from "./sqlite-event-schema.ts";
import { insertEvent, readHistory } from "./sqlite-history.ts";
import { eventListeners } from "./sqlite-listeners.ts";
import { decodeCursor, encodeCursor, pageOf, pageSize } from "../core/page.ts";

export interface SqliteEventStoreOptions {
  /** The database file; made, with its folder, where it is missing. `:memory:` keeps nothing. */
  readonly file: string;
  /** Hears of exceptions in listeners; by default they become process warnings. */
  readonly onListenerError?: (error: unknown) => void;
}

export interface SqliteEventStore extends EventStore {
  /**
   * Calls `listener` with the events of every transaction of *this* store, in order and after they are stored; an
   * event whose id was known is not among them. Returns a function that ends it.
   */
  onEvents(listener: (events: StoredEvent[]) => void): () => void;
  /** Ends all use of the file; may be called twice. */
  close(): void;
}

/**
 * The event store in one SQLite file, which several processes may share. What a call has resolved for survives the
 * death of the process. Throws `PermanentError` (`bad-store`) for a file that is not an event store or is newer than
 * this code; calls reject with `RetryableError` when another process holds the file too long.
 */
export function openSqliteEventStore(options: SqliteEventStoreOptions): SqliteEventStore {
  const database = openSqlite(options.file, EVENT_STORE_FORMAT);
  const listeners = eventListeners(options.onListenerError ?? warn);

  /** The body of every write: stores what `work` decides, then tells the listeners. */
  const write = <T>(
    work: () => { readonly result: T; readonly writes: readonly Write[]; readonly events: readonly SluiceEvent[] },
  ): T => {
    const { result, stored } = database.write(() => {
      const decision = work();
      for (const entry of decision.writes) applyWrite(database, entry);
      const inserted = decision.events.map((event) => insertEvent(database, event));
      return { result: decision.result, stored: inserted.filter((event) => event !== undefined) };
    });
    listeners.tell(stored);
    return result;
  };

  return {
    async transact(refs, decide) {
      return write(() => decide(readAll(database, refs)));
    },

    async get(kind, id) {
      return readDocument(database, kind, id);
    },

    async append(events) {
      if (events.length > 0) write(() => ({ result: undefined, writes: [], events }));
    },

    async history(query) {
      return readHistory(database, query);
    },

    async runs({ after, limit, ...filters }) {
      const size = pageSize(limit);
      const { sql, names } = runsStatement(filters);
      const [createdAt, id] = after === undefined ? [Number.MAX_SAFE_INTEGER, ""] : decodeCursor(after, isNumber);
      const rows = database.all(sql, ...names.map((name) => filters[name] ?? null), createdAt, id, size + 1);
      const runs = rows.map((row) => parse("run", text(row, "value")));
      return pageOf(runs, size, (last) => encodeCursor(last.createdAt, last.id));
    },

    async partitions({ name, from = "", to, after, limit }) {
      const size = pageSize(limit);
      // No id is empty, so the place before the first one of `from` is [from, ""].
      const [partition, id] = after === undefined ? [from, ""] : decodeCursor(after, isString);
      const end: SQLInputValue[] = to === undefined ? [] : [to];
      const rows = database.all(partitionsStatement(to !== undefined), name, partition, id, ...end, size + 1);
      const found = rows.map((row) => ({ id: text(row, "id"), document: parse("partition", text(row, "value")) }));
      const page = pageOf(found, size, (last) => encodeCursor(last.document.partition, last.id));
      return { ...page, items: page.items.map(({ document }) => document) };
    },

    async sensors() {
      return database.all("SELECT value FROM doc_sensor ORDER BY id").map((row) => parse("sensor", text(row, "value")));
    },

    async due({ now, limit }) {
      const rows = database.all(DUE_STATEMENT, now, limit);
      return rows.map((row) => parse("due", text(row, "value")));
    },

    async nextDue() {
      const row = database.get(NEXT_DUE_STATEMENT);
      return row === undefined ? undefined : integer(row, "due_at");
    },

    onEvents: listeners.add,
    close: () => database.close(),
  };
}

export const DUE_STATEMENT = "SELECT value FROM doc_due WHERE due_at <= ? ORDER BY due_at, id LIMIT ?";
export const NEXT_DUE_STATEMENT = "SELECT due_at FROM doc_due WHERE due_at >= 0 ORDER BY due_at LIMIT 1";

const RUN_FILTERS = ["kind", "name", "partition", "status"] as const;
type RunFilter = (typeof RUN_FILTERS)[number];

/** The statement behind a query for runs, and the filters whose values it takes first, in order. */
export function runsStatement(filters: { readonly [F in RunFilter]?: unknown }): {
  readonly sql: string;
  readonly names: readonly RunFilter[];
} {
  const names = RUN_FILTERS.filter((name) => filters[name] !== undefined);
  const where = [...names.map((name) => `${name} = ?`), "(created_at, id) < (?, ?)"].join(" AND ");
  return { sql: `SELECT value FROM doc_run WHERE ${where} ORDER BY created_at DESC, id DESC LIMIT ?`, names };
}

/** The statement behind a query for partitions, with or without an end. */
export function partitionsStatement(bounded: boolean): string {
  const end = bounded ? " AND partition < ?" : "";
  return `SELECT id, value FROM doc_partition WHERE name = ? AND (partition, id) > (?, ?)${end} ORDER BY partition, id LIMIT ?`;
}

function readAll<R extends Refs>(database: SqliteDatabase, refs: R): Read<R> {
  const entries = Object.entries(refs).map(([name, { kind, id }]) => [name, readDocument(database, kind, id)] as const);
  // Every name of `refs` is there, with the document of its own kind or undefined: that is what `Read` says.
  return Object.fromEntries(entries) as Read<R>;
}

function readDocument<K extends DocumentKind>(database: SqliteDatabase, kind: K, id: string): Documents[K] | undefined {
  checkDocumentId(kind, id);
  const row = database.get(`SELECT value FROM doc_${kind} WHERE id = ?`, id);
  return row === undefined ? undefined : parse(kind, text(row, "value"));
}

function applyWrite(database: SqliteDatabase, write: Write): void {
  if ("delete" in write) {
    checkDocumentId(write.delete.kind, write.delete.id);
    database.run(`DELETE FROM doc_${write.delete.kind} WHERE id = ?`, write.delete.id);
    return;
  }
  // `Write` pairs every kind with its document, but the compiler does not follow the pair through a union.
  putDocument(database, write.put as Ref<"run">, write.value as Documents["run"]);
}

function putDocument<K extends DocumentKind>(
  database: SqliteDatabase,
  { kind, id }: Ref<K>,
  value: Documents[K],
): void {
  checkDocumentId(kind, id);
  const fields = { id, ...DOCUMENT_COLUMNS[kind](value), value: JSON.stringify(value) };
  const columns = Object.keys(fields);
  const updates = columns.slice(1).map((column) => `${column} = excluded.${column}`);
  database.run(
    `INSERT INTO doc_${kind} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
     ON CONFLICT (id) DO UPDATE SET ${updates.join(", ")}`,
    ...Object.values(fields),
  );
}

function parse<K extends DocumentKind>(_kind: K, value: string): Documents[K] {
  // The text was written by `putDocument` into the table of this kind.
  return JSON.parse(value) as Documents[K];
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const isString = (value: unknown): value is string => typeof value === "string";
