/** Loaded with `import()`; see `auth.ts`. */
export { BigQuery } from "@google-cloud/bigquery";
