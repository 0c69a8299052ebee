import type { RunDocument } from "../core/documents.ts";
import { presentKey } from "../core/previous-keys.ts";
import type { Services } from "./services.ts";

/** A run that began before its asset was renamed goes on under the new name. */
export function presentName(services: Pick<Services, "definitions">, run: Pick<RunDocument, "kind" | "name">): string {
  return run.kind === "asset" ? presentKey(services.definitions().assets, run.name) : run.name;
}
