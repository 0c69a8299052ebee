/** The same function, but that it is asked once for what has the same key. */
export function remembered<A, T>(
  find: (argument: A) => T,
  keyOf: (argument: A) => string | number,
): (argument: A) => T {
  const found = new Map<string | number, T>();
  return (argument) => {
    const key = keyOf(argument);
    let result = found.get(key);
    if (result === undefined) found.set(key, (result = find(argument)));
    return result;
  };
}
