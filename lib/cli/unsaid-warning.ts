/**
 * Keeps Node from printing this process's warnings of one name, and no others. Where there are no credentials, Google's library looks for
 * those of a machine of theirs, and warns of what a proxy answers in its place: our own error says all of it in one line.
 */
import process from "node:process";

export function leaveUnsaid(name: string): void {
  const printers = process.listeners("warning");
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name !== name) for (const print of printers) print.call(process, warning);
  });
}
