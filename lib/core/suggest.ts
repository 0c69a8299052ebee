import { distance } from "fastest-levenshtein";

/**
 * The candidate that a mistyped word most likely meant, or `undefined` when none is near enough: at most
 * a third of the word's letters may differ (and always two), letter case aside. Ties go to the first candidate.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  let limit = Math.max(2, Math.floor(typed.length / 3));
  let best: string | undefined;
  for (const candidate of candidates) {
    // The difference in length is a lower bound of the distance, and costs nothing.
    if (Math.abs(candidate.length - typed.length) > limit) continue;
    const steps = distance(typed, candidate.toLowerCase());
    if (steps > limit || steps >= Math.max(typed.length, candidate.length)) continue;
    best = candidate;
    limit = steps - 1;
    if (limit < 0) break;
  }
  return best;
}

/** `did you mean "x"?`, or otherwise the first few candidates, or `undefined` when there are none at all. */
export function didYouMean(word: string, candidates: Iterable<string>): string | undefined {
  const all = [...candidates];
  const found = nearest(word, all);
  if (found !== undefined) return `did you mean ${JSON.stringify(found)}?`;
  if (all.length === 0) return undefined;
  const shown = all.slice(0, 5).map((candidate) => JSON.stringify(candidate));
  const rest = all.length - shown.length;
  return `known: ${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}
