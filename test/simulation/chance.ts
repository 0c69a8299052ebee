/** Chance from a seed: the same seed gives the same numbers on every machine (mulberry32). */
export interface Chance {
  /** A whole number of 32 bits. */
  bits(): number;
  /** A whole number of at least 0, less than `bound`. */
  below(bound: number): number;
  /** Whether something happens that happens once in `times`. */
  oneIn(times: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
}

export function chance(seed: number): Chance {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0;
  const bits = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound: number): number => bits() % bound;
  return {
    bits,
    below,
    oneIn: (times) => below(times) === 0,
    pick: (list) => list[below(list.length)] ?? list[0],
  };
}
