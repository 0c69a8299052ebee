/** What each query bills at most, where nothing else is said: 10 GB. */
export const MAX_BYTES = 10_000_000_000;
