/**
 * One after the other, what a request that is made with the first of them gives at once. An async generator says the same with
 * twice the promises, of which a schedule has thousands.
 */
export function eachOf<T>(request: () => Promise<readonly T[]>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]: () => {
      let items: Iterator<T, undefined> | undefined;
      return {
        next: () => {
          if (items !== undefined) return Promise.resolve(items.next());
          return request().then((given) => (items = given.values()).next());
        },
      };
    },
  };
}
