import { originOf } from "../core/previous-keys.ts";
import type { Execution } from "./execution.ts";

/** What the run's warehouse jobs and staged files are named after: of a renamed asset, its oldest key. */
export function originOfRun({ services, identity }: Pick<Execution, "services" | "identity">): string {
  if (identity.kind !== "asset") return identity.name;
  return originOf(services.definitions().assets.get(identity.name) ?? { key: identity.name });
}
