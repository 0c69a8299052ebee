/** The open DuckDB file: connections, transactions, interrupts. */
import { availableParallelism, totalmem } from "node:os";
import { DuckDBInstance, type DuckDBConnection, type DuckDBValue } from "@duckdb/node-api";
import { messageOf, PermanentError } from "../../core/errors.ts";
import { memoryLimiter, type MemoryLimiter } from "./memory.ts";
import { catalog, quoteName, quoteText } from "./sql.ts";

export type Row = Readonly<Record<string, DuckDBValue>>;
export type Values = Readonly<Record<string, DuckDBValue>>;

/** One connection in the hands of one task. */
export interface Link {
  readonly connection: DuckDBConnection;
  /** Runs a statement and reads all of its rows. Once the task's signal is aborted, interrupts it and throws. */
  readonly run: (sql: string, values?: Values) => Promise<readonly Row[]>;
}

/** A link whose statements are one transaction. */
export interface Transaction extends Link {
  /** Calls `effect` right after the commit, and never without one. */
  readonly afterCommit: (effect: () => void) => void;
}

export interface Session {
  /** Lends a connection to `work`. */
  readonly use: <T>(work: (link: Link) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Runs `work`, a single statement that commits by itself, again when DuckDB saw a conflict with another. */
  readonly write: <T>(work: (link: Link) => Promise<T>) => Promise<T>;
  /** See `MemoryLimiter`; the statements are those of a connection that is lent. */
  readonly sparing: MemoryLimiter["sparing"];
  /** Runs `work` in one transaction, again from its start when DuckDB saw a conflict with another. */
  readonly transaction: <T>(work: (link: Transaction) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Interrupts whatever runs, and closes the file. */
  readonly close: () => void;
}

/** Opens `file`, or creates it. Throws `PermanentError` (`locked`) while another process has it open; one process opens it once. */
export async function openSession(options: { readonly file: string; readonly memoryLimit?: string }): Promise<Session> {
  const { file, memoryLimit = defaultMemory() } = options;
  // In memory with the file attached, so that the file's name is not the name of the catalogue: a dataset may have it.
  const instance = await DuckDBInstance.create(":memory:", {
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    memory_limit: memoryLimit,
    temp_directory: `${file}.tmp`,
    threads: String(availableParallelism()),
    // It goes by a file's time of change, and one may be replaced twice within its grain.
    enable_external_file_cache: "false",
    // Five row groups a thread, which is the default, take more memory and no less time.
    write_buffer_row_group_count: "1",
  });
  try {
    const connection = await instance.connect();
    await connection.run("SET GLOBAL TimeZone = 'UTC'");
    await connection.run(`ATTACH ${quoteText(file)} AS ${quoteName(catalog)}`);
    connection.closeSync();
  } catch (error) {
    instance.closeSync();
    const message = messageOf(error);
    if (!/Could not set lock|Conflicting lock/.test(message))
      throw new PermanentError(`the warehouse ${file} cannot be opened: ${message}`, {
        code: "unreadable",
        cause: error,
      });
    throw new PermanentError(`the warehouse ${file} is open in another process; stop that one, or work through it`, {
      code: "locked",
      cause: error,
    });
  }

  const idle: DuckDBConnection[] = [];
  const lent = new Set<DuckDBConnection>();
  let closed = false;
  const memory = memoryLimiter(async (bytes) => {
    if (closed) return;
    const connection = await connect();
    // In little memory, rows that are to be stored in the order of their files are stored by one thread, while the others spin.
    await connection.run(`SET GLOBAL preserve_insertion_order = ${bytes === undefined}`);
    await connection.run(
      `SET GLOBAL memory_limit = ${quoteText(bytes === undefined ? memoryLimit : `${Math.ceil(bytes / 1024)}KiB`)}`,
    );
    idle.push(connection);
  });

  async function connect(): Promise<DuckDBConnection> {
    const known = idle.pop();
    if (known !== undefined) return known;
    const connection = await instance.connect();
    await connection.run(`USE ${quoteName(catalog)}`);
    return connection;
  }

  async function use<T>(work: (link: Link) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const connection = await connect();
    lent.add(connection);
    let reusable = false;
    try {
      await memory.tasks(lent.size);
      const result = await work(link(connection, signal));
      reusable = true;
      return result;
    } finally {
      lent.delete(connection);
      await memory.tasks(lent.size);
      if (reusable && idle.length < 8) idle.push(connection);
      else connection.closeSync();
    }
  }

  function transaction<T>(work: (link: Transaction) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return untilNoConflict(() =>
      use(async (link) => {
        const effects: (() => void)[] = [];
        await link.run("BEGIN TRANSACTION");
        // A failure closes the connection, and that rolls back.
        const result = await work({ ...link, afterCommit: (effect) => effects.push(effect) });
        signal?.throwIfAborted();
        // Never interrupted, so that its outcome is known.
        await link.connection.run("COMMIT");
        for (const effect of effects) effect();
        return result;
      }, signal),
    );
  }

  return {
    use,
    write: (work) => untilNoConflict(() => use(work)),
    sparing: memory.sparing,
    transaction,
    close() {
      closed = true;
      for (const connection of lent) connection.interrupt();
      for (const connection of idle) connection.closeSync();
      instance.closeSync();
    },
  };
}

function link(connection: DuckDBConnection, signal: AbortSignal | undefined): Link {
  return {
    connection,
    async run(sql, values) {
      signal?.throwIfAborted();
      let again: NodeJS.Timeout | undefined;
      // An interrupt that comes before the statement has begun is lost, so it is repeated until the statement ends.
      const interrupt = (): void => {
        connection.interrupt();
        again = setInterval(() => connection.interrupt(), 10);
      };
      signal?.addEventListener("abort", interrupt, { once: true });
      try {
        const reader = await connection.runAndReadAll(sql, values === undefined ? undefined : { ...values });
        return reader.getRowObjects();
      } finally {
        signal?.removeEventListener("abort", interrupt);
        clearInterval(again);
      }
    },
  };
}

async function untilNoConflict<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= 20 || !isConflict(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, attempt * 5));
    }
  }
}

/** Two transactions touched the same thing, and DuckDB refused the later one. */
function isConflict(error: unknown): boolean {
  const message = messageOf(error);
  return (
    message.startsWith("TransactionContext Error") ||
    /write-write conflict|Transaction conflict|Conflict on/i.test(message)
  );
}

/** A quarter of the machine's memory, between 512 MB and 4 GB: what does not fit goes to a temporary folder beside the file. */
function defaultMemory(): string {
  const quarter = Math.floor(totalmem() / 4 / 1024 ** 2);
  return `${Math.min(4096, Math.max(512, quarter))}MiB`;
}
