import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { PermanentError, RetryableError, messageOf } from "../core/errors.ts";

export interface SqliteFormat {
  /** What the file is, in words for people: `event store`. */
  readonly what: string;
  /** Stored in the file's header, so that one kind of file is never opened as another. */
  readonly applicationId: number;
  /** `migrations[n]` brings a file from schema version n to n + 1. Only ever appended to. */
  readonly migrations: readonly string[];
}

export type Row = Readonly<Record<string, SQLOutputValue>>;

export interface SqliteDatabase {
  all(sql: string, ...values: SQLInputValue[]): Row[];
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  run(sql: string, ...values: SQLInputValue[]): void;
  /** Runs `work` as one write transaction: all of it is stored when this returns, or nothing when it throws. */
  write<T>(work: () => T): T;
  readonly isOpen: boolean;
  close(): void;
}

const BUSY = 5;
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Opens a database file, makes it where there is none, and brings its schema up to date. Throws `PermanentError`
 * (`bad-store`) for a file of a newer version or of another kind.
 *
 * Durability: write-ahead log with `synchronous=FULL`. A process that dies loses no committed transaction under any
 * setting; FULL also keeps the order through a power failure. It matters, because what is stored here must be stored
 * *before* an effect elsewhere: an intent before its warehouse job, a message before its outbox entry is cleared.
 */
export function openSqlite(file: string, format: SqliteFormat): SqliteDatabase {
  const database = open(file, format);
  const statements = new Map<string, StatementSync>();

  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const made = database.prepare(sql);
    statements.set(sql, made);
    return made;
  };
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw isBusy(error) ? locked(file, format, error) : error;
    }
  };

  return {
    all: (sql, ...values) => guarded(() => prepare(sql).all(...values)),
    get: (sql, ...values) => guarded(() => prepare(sql).get(...values)),
    run: (sql, ...values) => guarded(() => void prepare(sql).run(...values)),
    write: (work) => guarded(() => transaction(database, work)),
    get isOpen() {
      return database.isOpen;
    },
    close() {
      if (!database.isOpen) return;
      statements.clear();
      database.close();
    },
  };
}

function open(file: string, format: SqliteFormat): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    if (file !== ":memory:") mkdirSync(dirname(file), { recursive: true });
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    enterWal(database);
    database.exec("PRAGMA synchronous = FULL");
    migrate(database, file, format);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof PermanentError) throw error;
    if (isBusy(error)) throw locked(file, format, error);
    const reason = messageOf(error);
    throw new PermanentError(
      `${file} cannot be opened as Sluice's ${format.what}: ${reason}; move the file away or name another`,
      {
        code: "bad-store",
        cause: error,
      },
    );
  }
}

/** The change to WAL needs the file alone for a moment, and SQLite does not always wait for it by itself. */
function enterWal(database: DatabaseSync): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 1; ; tries++) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (!isBusy(error) || tries === 100) throw error;
      Atomics.wait(pause, 0, 0, 20);
    }
  }
}

function migrate(database: DatabaseSync, file: string, format: SqliteFormat): void {
  const newest = format.migrations.length;
  const check = (): number => {
    const version = pragma(database, "user_version");
    const owner = pragma(database, "application_id");
    const empty = integer(database.prepare("SELECT count(*) AS n FROM sqlite_schema").get() ?? {}, "n") === 0;
    if (!empty && owner !== format.applicationId) {
      throw new PermanentError(`${file} is not Sluice's ${format.what}, but another database; name another file`, {
        code: "bad-store",
      });
    }
    if (version > newest) {
      throw new PermanentError(
        `${file} has schema version ${version} of the ${format.what}, and this Sluice knows versions up to ${newest}; use the newer Sluice that wrote it, or another file`,
        { code: "bad-store" },
      );
    }
    return version;
  };
  // One snapshot: another process may be making the file between two of the questions.
  if (transaction(database, check, "DEFERRED") === newest) return;
  transaction(database, () => {
    // Another process may have done it meanwhile.
    for (const migration of format.migrations.slice(check())) database.exec(migration);
    database.exec(`PRAGMA application_id = ${format.applicationId}; PRAGMA user_version = ${newest}`);
  });
}

/** By default the write lock is taken first, so that what `work` reads cannot change before it writes. */
function transaction<T>(database: DatabaseSync, work: () => T, lock: "IMMEDIATE" | "DEFERRED" = "IMMEDIATE"): T {
  database.exec(`BEGIN ${lock}`);
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // A full disk ends the transaction by itself.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function locked(file: string, format: SqliteFormat, cause: unknown): RetryableError {
  return new RetryableError(
    `the ${format.what} ${file} was locked by another process for ${BUSY_TIMEOUT_MS / 1000} s; try again, or end that process`,
    { cause },
  );
}

function isBusy(error: unknown): boolean {
  // The low byte is the kind of error, the rest says more about it.
  return (
    error instanceof Error && "errcode" in error && typeof error.errcode === "number" && (error.errcode & 0xff) === BUSY
  );
}

function pragma(database: DatabaseSync, name: string): number {
  return integer(database.prepare(`PRAGMA ${name}`).get() ?? {}, name);
}

/** A text column; a column of another type is a broken file. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string")
    throw new PermanentError(`the store is damaged: ${column} is not text`, { code: "bad-store" });
  return value;
}

/** A number column; a column of another type is a broken file. */
export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number")
    throw new PermanentError(`the store is damaged: ${column} is not a number`, { code: "bad-store" });
  return value;
}
