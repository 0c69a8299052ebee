/** Pages of a store's answers, and the cursors that lead from one to the next. Every store has the same. */
import { PermanentError } from "./errors.ts";

/** The most items of one page. */
export const LARGEST_PAGE = 1_000;

/** Items of a page: `limit`, 100 where it is left out, never more than `LARGEST_PAGE`. Throws for anything but a count of 1 or more. */
export function pageSize(limit: number | undefined): number {
  if (limit === undefined) return 100;
  if (!Number.isInteger(limit) || limit < 1) {
    throw new PermanentError(`limit: expected a whole number of 1 or more, got ${String(limit)}`, {
      code: "bad-input",
    });
  }
  return Math.min(limit, LARGEST_PAGE);
}

/** One item more than the page holds was read: it says whether there is a next page. */
export function pageOf<T>(
  read: readonly T[],
  size: number,
  cursor: (last: T) => string,
): { readonly items: readonly T[]; readonly next?: string } {
  const items = read.slice(0, size);
  const last = items.at(-1);
  return read.length > size && last !== undefined ? { items, next: cursor(last) } : { items };
}

/** A cursor for pages in the order of a value and, where values are equal, of an id. */
export function encodeCursor(value: string | number, id: string): string {
  return encodeURIComponent(JSON.stringify([value, id]));
}

/** Reads what `encodeCursor` made; throws `PermanentError` for any other text. */
export function decodeCursor<T extends string | number>(
  cursor: string,
  isValue: (value: unknown) => value is T,
): [T, string] {
  try {
    const parsed: unknown = JSON.parse(decodeURIComponent(cursor));
    if (Array.isArray(parsed) && parsed.length === 2 && isValue(parsed[0]) && typeof parsed[1] === "string") {
      return [parsed[0], parsed[1]];
    }
  } catch {
    // Falls through to the one message for everything that is not a cursor.
  }
  throw badCursor(cursor);
}

export function badCursor(cursor: string): PermanentError {
  return new PermanentError(
    `after: ${JSON.stringify(cursor)} is not a cursor of this query; hand in the "next" of its last page`,
    { code: "bad-input" },
  );
}
