/** What was asked for makes no sense: exit code 2. The message says what, and what would. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
