import type { SQLInputValue } from "node:sqlite";
import type { DocumentKind, Documents } from "../core/documents.ts";
import type { SqliteFormat } from "./sqlite-database.ts";

/**
 * A table for every kind of document: its id, the columns that it is asked by, and the document as JSON. Pages go by
 * an index from front to back, so every filter of a query has an index that ends in the order of its pages.
 */
export const EVENT_STORE_FORMAT: SqliteFormat = {
  what: "event store",
  applicationId: 0x51_1c_e0_01,
  migrations: [
    `CREATE TABLE doc_run (id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, partition TEXT NOT NULL,
       status TEXT NOT NULL, created_at INTEGER NOT NULL, value TEXT NOT NULL);
     CREATE INDEX run_created ON doc_run (created_at, id);
     CREATE INDEX run_kind ON doc_run (kind, created_at, id);
     CREATE INDEX run_kind_status ON doc_run (kind, status, created_at, id);
     CREATE INDEX run_name ON doc_run (name, created_at, id);
     CREATE INDEX run_name_status ON doc_run (name, status, created_at, id);
     CREATE INDEX run_name_partition ON doc_run (name, partition, created_at, id);
     CREATE INDEX run_partition ON doc_run (partition, created_at, id);
     CREATE INDEX run_status ON doc_run (status, created_at, id);

     CREATE TABLE doc_partition (id TEXT PRIMARY KEY, name TEXT NOT NULL, partition TEXT NOT NULL, value TEXT NOT NULL);
     CREATE INDEX partition_name ON doc_partition (name, partition, id);

     CREATE TABLE doc_due (id TEXT PRIMARY KEY, due_at INTEGER NOT NULL, value TEXT NOT NULL);
     CREATE INDEX due_at ON doc_due (due_at, id);

     CREATE TABLE doc_slot (id TEXT PRIMARY KEY, value TEXT NOT NULL);
     CREATE TABLE doc_asset (id TEXT PRIMARY KEY, value TEXT NOT NULL);
     CREATE TABLE doc_sensor (id TEXT PRIMARY KEY, value TEXT NOT NULL);
     CREATE TABLE doc_cursor (id TEXT PRIMARY KEY, value TEXT NOT NULL);

     CREATE TABLE events (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
       asset TEXT, partition TEXT, run TEXT, value TEXT NOT NULL);
     CREATE INDEX events_type ON events (type);
     CREATE INDEX events_asset ON events (asset);
     CREATE INDEX events_asset_type ON events (asset, type);
     CREATE INDEX events_asset_partition ON events (asset, partition);
     CREATE INDEX events_partition ON events (partition);
     CREATE INDEX events_run ON events (run);`,
    "CREATE TABLE doc_backfill (id TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE doc_pause (id TEXT PRIMARY KEY, value TEXT NOT NULL)",
    `CREATE TABLE doc_freshness (id TEXT PRIMARY KEY, value TEXT NOT NULL);
     CREATE TABLE doc_alert (id TEXT PRIMARY KEY, value TEXT NOT NULL);`,
  ],
};

type Columns = { readonly [K in DocumentKind]: (value: Documents[K]) => Readonly<Record<string, SQLInputValue>> };

/** What a document's columns hold beside its id and its JSON. */
export const DOCUMENT_COLUMNS: Columns = {
  run: ({ kind, name, partition, status, createdAt }) => ({ kind, name, partition, status, created_at: createdAt }),
  partition: ({ name, partition }) => ({ name, partition }),
  due: ({ dueAt }) => ({ due_at: dueAt }),
  slot: () => ({}),
  asset: () => ({}),
  sensor: () => ({}),
  cursor: () => ({}),
  backfill: () => ({}),
  pause: () => ({}),
  freshness: () => ({}),
  alert: () => ({}),
};
