/** Time and chance come in here, so that a whole run can be replayed from a seed. */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted. Never keeps the process alive by itself once aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** At least 0, less than 1. */
  next(): number;
  /** 16 hexadecimal digits. */
  id(): string;
}
