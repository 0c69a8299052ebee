/** What was asked for makes no sense: exit code 2. The message says what, and what would. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** Lines of their own: what may be the cause, elsewhere. */
  readonly notes: readonly string[];
  constructor(message: string, options: { notes?: readonly string[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.notes = options.notes ?? [];
  }
}
