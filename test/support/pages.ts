import type { Page } from "../../lib/ports/event-store.ts";

/** All of a list that comes in pages. */
export async function everyPage<T>(
  read: (page: { readonly limit: number; readonly after?: string }) => Promise<Page<T>>,
): Promise<readonly T[]> {
  const found: T[] = [];
  for (let after: string | undefined; ;) {
    const page = await read({ limit: 500, ...(after === undefined ? {} : { after }) });
    found.push(...page.items);
    after = page.next;
    if (after === undefined) return found;
  }
}
