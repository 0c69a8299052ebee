/** How files become rows. The words are BigQuery's. */

export type FileFormat = "PARQUET" | "CSV" | "NEWLINE_DELIMITED_JSON" | "AVRO" | "ORC";

export interface CsvOptions {
  /** Default `,`. */
  readonly fieldDelimiter?: string;
  /** Default 0. */
  readonly skipLeadingRows?: number;
  /** Default `"`. */
  readonly quote?: string;
  readonly nullMarker?: string;
  readonly allowQuotedNewlines?: boolean;
  readonly allowJaggedRows?: boolean;
  readonly encoding?: "UTF-8" | "ISO-8859-1";
}

export interface LoadOptions {
  readonly csv?: CsvOptions;
  /** How many bad rows a load may drop before it fails. Default 0. */
  readonly maxBadRecords?: number;
  /** JSON and CSV: drop values that have no column, instead of failing. Default false. */
  readonly ignoreUnknownValues?: boolean;
}
