/** A body in blocks of one size. */
export interface Block {
  /** Valid until the next block is asked for. Only the last one is shorter than the others, or empty. */
  readonly bytes: Buffer;
  readonly last: boolean;
}

const smallest = 64 * 1024;

/** At least one block. One buffer holds them all, one after the other; it grows only as far as the body does. */
export async function* blocksOf(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Block, void, void> {
  const source = Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : body[Symbol.iterator]();
  let block = Buffer.allocUnsafe(Math.min(smallest, size));
  let filled = 0;
  let done = false;
  try {
    for (;;) {
      const next = await unlessAborted(Promise.resolve(source.next()), signal);
      if (next.done === true) break;
      let piece = next.value;
      while (piece.length > 0) {
        if (filled === size) {
          yield { bytes: block, last: false };
          filled = 0;
        }
        const part = piece.subarray(0, size - filled);
        if (filled + part.length > block.length) block = grown(block, filled, filled + part.length, size);
        block.set(part, filled);
        filled += part.length;
        piece = piece.subarray(part.length);
      }
    }
    done = true;
    yield { bytes: block.subarray(0, filled), last: true };
  } finally {
    // A body that hangs would hang here as well; its own clean-up is its own affair.
    if (!done) void Promise.resolve(source.return?.()).catch(() => undefined);
  }
}

function grown(block: Buffer, filled: number, needed: number, size: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafe(Math.min(size, Math.max(needed, 2 * block.length)));
  larger.set(block.subarray(0, filled));
  return larger;
}

/** What `promise` gives, or the signal's reason as soon as it is aborted. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  if (signal.aborted) {
    // Nobody waits for it any more, so that nobody else would take its error.
    promise.catch(() => undefined);
    throw signal.reason;
  }
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    stop = () => signal.removeEventListener("abort", abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stop?.();
  }
}
