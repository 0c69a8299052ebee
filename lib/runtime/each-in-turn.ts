/** Work of which no part may hold up the rest. */

/** Each gets its turn, also after others have failed; then rejects with the first of the failures, if there was one. */
export async function eachInTurn<T>(all: Iterable<T>, act: (one: T) => Promise<unknown>): Promise<void> {
  let failed: { readonly error: unknown } | undefined;
  for (const one of all) {
    try {
      await act(one);
    } catch (error) {
      failed ??= { error };
    }
  }
  if (failed !== undefined) throw failed.error;
}
