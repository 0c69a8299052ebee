import { randomBytes } from "node:crypto";
import type { Clock, Random } from "../ports/clock.ts";

/** Node fires a timer at once when its delay does not fit into 31 bits, so longer sleeps are taken in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. A sleeper keeps the process alive until it wakes or is aborted. */
export function systemClock(): Clock {
  return { now: () => Date.now(), sleep };
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    let timer: NodeJS.Timeout;
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const wait = (left: number): void => {
      const part = Math.min(Math.max(left, 0), LONGEST_TIMER_MS);
      timer = setTimeout(() => {
        if (left > part) return wait(left - part);
        signal?.removeEventListener("abort", abort);
        resolve();
      }, part);
    };
    signal?.addEventListener("abort", abort, { once: true });
    wait(ms);
  });
}

/** Chance from the operating system. */
export function systemRandom(): Random {
  return {
    next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    id: () => randomBytes(8).toString("hex"),
  };
}
