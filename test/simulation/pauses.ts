/** What a pause promises: while it lasts nothing begins by itself, and nothing that came meanwhile is lost. */
import { pauseRefs } from "../../lib/core/pause.ts";
import type { PartitionDocument, RunDocument } from "../../lib/core/documents.ts";
import type { Surroundings } from "./surroundings.ts";

/** A run has just begun: `claim` reads the pause in the same transaction. */
export function onBegun(
  { documents, fail }: Surroundings,
  id: string,
  { kind, name, status, request }: RunDocument,
): void {
  if (kind !== "asset" || status !== "running") return;
  const pause = documents.get("pause", name);
  const byHand = request.cause.kind === "manual" || request.cause.kind === "replay";
  if (pause !== undefined && !(byHand && request.force === true)) fail(`run ${id} has begun, and ${name} is paused`);
}

/** What waits without a holder waits for the end of a pause, or is about to go out. */
export function mayWait({ documents, project }: Surroundings, { name }: PartitionDocument): boolean {
  const { previousKeys = [] } = (project.renamed ?? project).definitions.assets.get(name) ?? {};
  const waits = (key: string): boolean =>
    documents.get("pause", key) !== undefined || documents.get("due", pauseRefs(key).due.id) !== undefined;
  return waits(name) || previousKeys.some(waits);
}
