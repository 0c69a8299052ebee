/**
 * Errors say whether another try could help. The runtime reads nothing else from them:
 * a `PermanentError` ends its run, a `RetryableError` may name its own delay, and anything that is
 * neither is treated as retryable, because an unknown fault is more often a passing one.
 */

/** What is wrong will still be wrong the next time: bad input, a broken promise, a refused statement. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
  /** A stable word for the kind of failure, e.g. `bad-input`, `check-failed`, `inputs-missing`. */
  readonly code: string;
  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code ?? "failed";
  }
}

/**
 * A passing fault. `afterMs`, when given, is the earliest sensible time for the next try. `code` is what a retry policy may
 * treat by itself: `quota`, or a word of the author's own.
 */
export class RetryableError extends Error {
  override readonly name: string = "RetryableError";
  readonly afterMs: number | undefined;
  readonly code: string | undefined;
  constructor(message: string, options: { code?: string; afterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.afterMs = options.afterMs;
    this.code = options.code;
  }
}

/**
 * A definition or a value that an author or a user wrote is not valid. `where` names the place in the
 * author's words (`functions/gitcoin.ts gitcoinPassportScores.retentionDays`), `remedy` what to do.
 */
export class DefinitionError extends Error {
  override readonly name: string = "DefinitionError";
  readonly where: string | undefined;
  readonly remedy: string | undefined;
  /** What else is wrong with the same definition: each is a problem of its own, and has no others. */
  readonly others: readonly DefinitionError[];
  constructor(
    message: string,
    options: { where?: string; remedy?: string; others?: readonly DefinitionError[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.where = options.where;
    this.remedy = options.remedy;
    this.others = options.others ?? [];
  }
}

/** Throws what is wrong as one error, the first with the others; nothing for none. */
export function throwAll(problems: readonly DefinitionError[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  throw others.length === 0 ? first : retold(first, { where: first.where, others });
}

/**
 * What `work` does. What it throws about a definition says whose it is: `who` comes before the place, unless the error names it
 * already.
 */
export function within<T>(who: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DefinitionError) || isNamed(error, who)) throw error;
    throw retold(error, {
      where: error.where === undefined ? who : `${who}.${error.where}`,
      others: error.others,
    });
  }
}

function isNamed({ where = "", message }: DefinitionError, who: string): boolean {
  return where === who || where.startsWith(`${who}.`) || message.split(/[\s,:;()"]+/).includes(who);
}

function retold(
  error: DefinitionError,
  { where, others }: { where: string | undefined; others: readonly DefinitionError[] },
): DefinitionError {
  return new DefinitionError(error.message, {
    ...(where === undefined ? {} : { where }),
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    others,
    cause: error,
  });
}

/** One line for people: what is wrong, without the stack. */
export function messageOf(error: unknown): string {
  if (error instanceof DefinitionError) {
    const place = error.where === undefined ? "" : `${error.where}: `;
    const remedy = error.remedy === undefined ? "" : ` (${error.remedy})`;
    return [oneLine(`${place}${error.message}${remedy}`), ...error.others.map(messageOf)].join("; ");
  }
  return oneLine(error instanceof Error ? error.message : String(error));
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, " ").trim();
}
