/** What becomes of the rows that an asset's code yields: those that fit the schema pass, the others by their contract. */
import { PermanentError } from "./errors.ts";
import type { Metadata, MetadataValue } from "./events.ts";
import type { IoManager } from "./io-manager.ts";
import type { RowCodec } from "./row-codec.ts";

/** A row that was left out. */
export interface DiscardedRow {
  /** From 1, in the order in which rows were yielded. */
  readonly row: number;
  readonly reason: string;
  /** The row as JSON, cut off where it is long. */
  readonly value: string;
}

export interface RowCounts {
  /** Rows that fit. */
  readonly rows: number;
  readonly discarded: number;
  /** The first few of the discarded rows. */
  readonly samples: readonly DiscardedRow[];
}

export interface RowGate<Row> {
  /** The row as it is stored; `undefined` for one that is left out. Throws `PermanentError` (`invalid-row`) by contract. */
  take(row: unknown): Row | undefined;
  /** What has been taken so far. */
  counts(): RowCounts;
  /** To be called after the last row. Throws `PermanentError` (`invalid-row`) when no row of several fits. */
  end(): RowCounts;
}

const MAX_SAMPLES = 5;
const MAX_VALUE = 200;

export function rowGate<Row>(
  codec: RowCodec<Row>,
  {
    asset,
    onInvalidRow,
    samples: most = MAX_SAMPLES,
    from,
  }: {
    readonly asset: string;
    readonly onInvalidRow: IoManager["onInvalidRow"];
    /** How many discarded rows are shown at most. Default 5. */
    readonly samples?: number;
    /** What an earlier attempt has taken: the rows go on after these. */
    readonly from?: RowCounts;
  },
): RowGate<Row> {
  let rows = from?.rows ?? 0;
  let discarded = from?.discarded ?? 0;
  const samples: DiscardedRow[] = [...(from?.samples ?? [])];
  return {
    counts: () => ({ rows, discarded, samples: [...samples] }),
    take(row) {
      if (codec.isPlainlyRight(row)) {
        rows++;
        return row;
      }
      const checked = codec.check(row);
      if (checked.ok) {
        rows++;
        return checked.value;
      }
      const number = rows + discarded + 1;
      if (onInvalidRow === "fail") {
        throw new PermanentError(
          `row ${number} of ${asset} does not fit its schema: ${checked.reason}; nothing was published: ` +
            'correct the row, or let the I/O manager leave it out: onInvalidRow: "discard"',
          { code: "invalid-row" },
        );
      }
      discarded++;
      if (samples.length < most) samples.push({ row: number, reason: checked.reason, value: shown(row) });
      return undefined;
    },
    end() {
      const [first] = samples;
      if (rows === 0 && first !== undefined) {
        throw new PermanentError(
          `none of the ${discarded} rows of ${asset} fits its schema, the first because ${first.reason}; nothing was published`,
          { code: "invalid-row" },
        );
      }
      return { rows, discarded, samples };
    },
  };
}

/** What a materialization says of its rows. */
export function discardMetadata(
  { discarded, samples }: RowCounts,
  { onInvalidRow }: Pick<IoManager, "onInvalidRow">,
): Metadata {
  if (onInvalidRow !== "discard") return {};
  const discardSamples = samples.map((sample): MetadataValue => ({ ...sample }));
  return { discardedRows: discarded, ...(discarded === 0 ? {} : { discardSamples }) };
}

function shown(row: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(row, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
  } catch {
    // It refers to itself, or has a method that throws.
  }
  text ??= row === undefined ? "undefined" : `(${typeof row})`;
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}
