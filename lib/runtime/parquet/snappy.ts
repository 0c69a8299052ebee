/**
 * Snappy in WebAssembly, one instance of each direction for the whole process: a call leaves nothing behind that the next one
 * sees, and to compile it for every file costs more than a small file does. It is made when it is first needed.
 */
import { snappyCompressor, snappyUncompressor } from "hysnappy";

export const compress = whenNeeded(snappyCompressor);
export const uncompress = whenNeeded(snappyUncompressor);

function whenNeeded<A extends readonly unknown[], R>(make: () => (...given: A) => R): (...given: A) => R {
  let made: ((...given: A) => R) | undefined;
  return (...given) => (made ??= make())(...given);
}
