import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { pid } from "node:process";

/**
 * The name of this process in the leases that it takes: machine, process id and the moment of its start (process ids
 * come again, in containers even at once), and whatever tells two buses of one process apart.
 */
export function ownerName(instance: string): string {
  return JSON.stringify([hostname(), pid, startOf(pid) ?? "", instance]);
}

/** Whether the process behind an owner's name has certainly ended. Of another machine nothing is certain. */
export function isGone(owner: string): boolean {
  const parsed: unknown = JSON.parse(owner);
  if (!Array.isArray(parsed)) return false;
  const parts: readonly unknown[] = parsed;
  const [host, id, start] = parts;
  if (host !== hostname() || typeof id !== "number") return false;
  if (start !== "") return startOf(id) !== start;
  try {
    process.kill(id, 0); // Sends nothing; it only asks.
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

/** When a process started, in the kernel's ticks; undefined where there is no /proc or no such process. */
function startOf(id: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold anything; the start is the 22nd.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended, whoever has not yet asked for its exit code.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
