/** What is no longer wanted. Data is never deleted, and neither is what other things of the project may use. */
import { gcloud, idOf } from "./item.ts";
import type { Place } from "./item.ts";
import { removeSubscription } from "./messages.ts";
import type { ResourceKind, ToolCall } from "./step.ts";

/** Why a kind stays, for people; those that are not here are deleted. */
const STAYS: Readonly<Partial<Record<ResourceKind, string>>> = {
  apis: "others may use them",
  bucket: "data is never deleted",
  dataset: "data is never deleted",
  database: "data is never deleted",
  index: "it belongs to the data",
  field: "it belongs to the data",
  images: "Google keeps every function's images there",
};

/** Why it stays; `undefined` for what is deleted. */
export function whyItStays(kind: ResourceKind): string | undefined {
  return STAYS[kind];
}

export interface Gone {
  readonly kind: ResourceKind;
  readonly name: string;
  /** What the cloud calls it, where that is not its name. */
  readonly own?: readonly string[];
}

/** Each bears that the resource is not there. */
export function removalCalls(place: Place, { kind, name, own = [] }: Gone): readonly ToolCall[] {
  const { region, project } = place;
  const remove = (args: readonly string[]): ToolCall => gcloud(place, args, { ifMissing: [] });
  switch (kind) {
    case "account":
      return [remove(["iam", "service-accounts", "delete", `${name}@${project}.iam.gserviceaccount.com`])];
    case "topic":
      return [remove(["pubsub", "topics", "delete", name])];
    case "subscription":
      return [removeSubscription(place, name)];
    case "function":
      return [remove(["functions", "delete", name, "--gen2", `--region=${region}`])];
    case "schedule":
      return [remove(["scheduler", "jobs", "delete", name, `--location=${region}`])];
    case "notification":
      return own.map((one) => remove(["storage", "buckets", "notifications", "delete", one]));
    // Its name would be taken for a week: whoever comes back before that could not deploy.
    case "queue":
      return [remove(["tasks", "queues", "purge", name, `--location=${region}`])];
    default:
      return [];
  }
}

/** What goes when a resource is deleted by us. A queue stays, and what others may do with it is taken back like anywhere else. */
export function goesWith(kind: ResourceKind, name: string): readonly string[] {
  return kind === "queue" ? [] : childrenOf(kind, name);
}

/** What is not there without the resource, and has no deletion of its own. */
export function childrenOf(kind: ResourceKind, name: string): readonly string[] {
  const policy = idOf("policy", `${kind} ${name}`);
  return kind === "function" ? [policy, idOf("trigger", name), idOf("policy", `trigger ${name}`)] : [policy];
}
