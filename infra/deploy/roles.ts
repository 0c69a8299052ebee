/** Which role a call takes: for whoever was denied it. docs/deploying.md has the whole list. Pure. */
import type { ToolCall } from "../plan/step.ts";
import { faultOf } from "./faults.ts";
import type { Fault } from "./faults.ts";

/** By how a command of gcloud begins; the first that fits counts. */
const ROLES: readonly (readonly [start: string, role: string])[] = [
  ["services", "roles/serviceusage.serviceUsageAdmin"],
  ["projects get-iam-policy", "roles/iam.securityReviewer"],
  ["projects describe", "roles/viewer"],
  ["projects", "roles/resourcemanager.projectIamAdmin"],
  ["iam service-accounts", "roles/iam.serviceAccountAdmin"],
  ["functions", "roles/cloudfunctions.admin"],
  ["run", "roles/run.admin"],
  ["artifacts", "roles/artifactregistry.admin"],
  ["pubsub", "roles/pubsub.admin"],
  ["scheduler", "roles/cloudscheduler.admin"],
  ["tasks", "roles/cloudtasks.queueAdmin"],
  ["storage objects describe", "roles/storage.objectViewer"],
  ["storage cat", "roles/storage.objectViewer"],
  ["storage", "roles/storage.admin"],
  ["firestore", "roles/datastore.owner"],
  ["secrets", "roles/secretmanager.admin"],
  ["eventarc", "roles/eventarc.admin"],
];

/** What only lists needs no more than to look. */
const LISTS = / list(?: |$)/;

/** `undefined` for a command that no deployment makes. */
export function roleFor({ tool, args }: Pick<ToolCall, "tool" | "args">): string | undefined {
  const words = args.filter((arg) => !arg.startsWith("-")).join(" ");
  if (tool === "bq") return /^(?:ls|show)\b/.test(words) ? "roles/viewer" : "roles/bigquery.dataOwner";
  if (LISTS.test(words)) return "roles/viewer";
  return ROLES.find(([start]) => words.startsWith(start))?.[1];
}

/** What the failure of this call means; for one that was denied, also the remedy. */
export function faultOfCall(
  call: Pick<ToolCall, "tool" | "args">,
  result: { readonly stdout: string; readonly stderr: string },
): Fault {
  const fault = faultOf(result);
  const role = fault.kind === "denied" ? roleFor(call) : undefined;
  if (role === undefined) return fault;
  const reason = fault.reason.replace(/[.:]$/, "");
  return { ...fault, reason: `${reason}: it takes ${role}, see "What the deployer may do" in docs/deploying.md` };
}
