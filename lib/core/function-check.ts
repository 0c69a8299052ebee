/** Function checks: code that looks at the staged rows, where a query would not say what has to hold. */
import { z } from "zod";
import type { RowOf } from "./asset-inputs.ts";
import type { AssetKey } from "./asset-key.ts";
import type { BaseContext, ResourceClients, ResourceMap } from "./definition.ts";
import { PermanentError } from "./errors.ts";
import type { Metadata } from "./events.ts";
import type { Partition } from "./partitions.ts";
import type { SqlTemplate } from "./sql.ts";
import type { TableRef } from "./table.ts";

type AnyRow = Readonly<Record<string, unknown>>;

export interface CheckContext<Row = AnyRow> extends BaseContext {
  readonly asset: AssetKey;
  readonly partition: Partition | undefined;
  /** The staged table, before anybody sees it; of data that is made elsewhere, its own. `undefined` for an asset without a table. */
  readonly table: TableRef | undefined;
  /**
   * Rows of a query, as plain JSON values. It may read the asset, which is its staged rows, and what the asset depends on; a
   * statement that would change a table fails. It runs when its rows are first asked for, as one warehouse job that every
   * execution of the same attempt finds again.
   */
  query(statement: SqlTemplate): AsyncIterable<AnyRow>;
  /** The staged rows in the types of the schema; each call reads them anew. Throws `PermanentError` (`no-target`) where there are none. */
  rows(): AsyncIterable<Row>;
}

/** What a check found: whether it passed, or that with a message and metadata for its event. */
export type CheckAnswer =
  boolean | { readonly passed: boolean; readonly message?: string; readonly metadata?: Metadata };

/** The code of a check, as its definition keeps it. */
export interface FunctionRule {
  readonly kind: "function";
  readonly resources: ResourceMap;
  /** What `rows()` are decoded by, if it is not the asset's own schema. */
  readonly schema?: z.ZodObject | undefined;
  evaluate(context: CheckContext<never>, resources: ResourceClients<ResourceMap>): CheckAnswer | Promise<CheckAnswer>;
}

/** What a function check takes, for those who call it themselves, as tests do. */
export interface TakenByCheck<R extends ResourceMap, Row> {
  /** Never set: it carries the types. */
  readonly takes?: { readonly resources: R; readonly row: Row };
}

/** The rows of an asset; any columns where its definition is not at hand. */
export type CheckedRow<A> = [RowOf<A>] extends [never] ? AnyRow : RowOf<A>;

export interface Verdict {
  readonly passed: boolean;
  readonly message?: string;
  readonly metadata?: Metadata;
}

/** An event stays small enough for every store. */
const MAX_METADATA_CHARS = 200_000;
export const MAX_MESSAGE_CHARS = 2_000;

const answerSchema = z.strictObject({
  passed: z.boolean(),
  message: z.string().optional(),
  metadata: z.record(z.string(), z.json()).optional(),
});

/** What the check `name` has answered. Throws `PermanentError` (`bad-check`) for what is no answer; a long message is cut. */
export function verdictOf(name: string, answer: unknown): Verdict {
  const parsed = answerSchema.safeParse(typeof answer === "boolean" ? { passed: answer } : answer);
  if (!parsed.success) {
    throw new PermanentError(
      `the check ${name} gave no answer: return true, false or { passed, message, metadata }, with metadata that is JSON`,
      { code: "bad-check" },
    );
  }
  const { passed, message, metadata } = parsed.data;
  const chars = metadata === undefined ? 0 : JSON.stringify(metadata).length;
  if (chars > MAX_METADATA_CHARS) {
    throw new PermanentError(
      `the metadata of the check ${name} has ${chars} characters, and may have ${MAX_METADATA_CHARS}: leave some of it out`,
      { code: "bad-check" },
    );
  }
  return {
    passed,
    ...(message === undefined ? {} : { message: message.slice(0, MAX_MESSAGE_CHARS) }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
