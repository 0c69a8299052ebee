/** SQL text for DuckDB: quoting. */
import { PermanentError } from "../../core/errors.ts";

/** The name under which the warehouse's file is attached. It starts every name, so that a dataset may have any other. */
export const catalog = "_sluice_warehouse";

export function quoteName(...parts: readonly string[]): string {
  return parts.map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
}

export function quoteText(text: string): string {
  if (text.includes("\0")) throw invalidQuery("a NUL character in a text is not supported by the embedded engine");
  return `'${text.replaceAll("'", "''")}'`;
}

export function invalidQuery(message: string): PermanentError {
  return new PermanentError(message, { code: "invalidQuery" });
}
