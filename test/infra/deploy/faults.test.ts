import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { faultOf, RETRY_RULES } from "../../../infra/deploy/faults.ts";
import type { FaultKind } from "../../../infra/deploy/faults.ts";
import { unauthenticated } from "../../../infra/deploy/prepared.ts";
import { faultOfCall, roleFor } from "../../../infra/deploy/roles.ts";
import { ROOT } from "../../support/tree.ts";

/** As the tools write them: the first column on stderr, but for bq, which writes to stdout. */
const SAID: readonly (readonly [FaultKind, string])[] = [
  ["ended", "Creating the function...\n\nERROR: gcloud was ended by SIGINT"],
  ["ended", "\n\nCommand killed by keyboard interrupt\n"],
  [
    "rate",
    "ERROR: (gcloud.functions.deploy) ResponseError: status=[429], code=[Too Many Requests], message=[Quota exceeded for quota metric 'Per project mutation requests' and limit 'per minute per region']",
  ],
  [
    "rate",
    "ERROR: (gcloud.pubsub.topics.create) RESOURCE_EXHAUSTED: Quota exceeded for quota metric 'Administrator operations'",
  ],
  [
    "rate",
    "ERROR: (gcloud.storage.cp) HTTPError 429: The object p/state.json exceeded the rate limit for object mutation operations",
  ],
  [
    "failed",
    "ERROR: (gcloud.iam.service-accounts.create) RESOURCE_EXHAUSTED: Maximum number of service accounts on project reached.",
  ],
  [
    "conflict",
    "ERROR: (gcloud.projects.set-iam-policy) ABORTED: There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
  ],
  [
    "conflict",
    "ERROR: (gcloud.functions.deploy) ResponseError: status=[409], code=[Conflict], message=[unable to queue the operation]",
  ],
  [
    "conflict",
    "ERROR: (gcloud.run.services.add-iam-policy-binding) Resource in projects [p] is the subject of a conflict: Please try your operation later.",
  ],
  [
    "conflict",
    "ERROR: (gcloud.iam.service-accounts.set-iam-policy) Service account [x] is the subject of a conflict: Etag did not match",
  ],
  [
    "exists",
    "ERROR: (gcloud.pubsub.topics.create) Resource in projects [p] is the subject of a conflict: Resource already exists in the project (resource=asset.a).",
  ],
  [
    "exists",
    "ERROR: (gcloud.iam.service-accounts.create) Resource in projects [p] is the subject of a conflict: Service account fn-a already exists within project projects/p.",
  ],
  [
    "exists",
    "ERROR: (gcloud.storage.buckets.create) HTTPError 409: Your previous request to create the named bucket succeeded and you already own it.",
  ],
  [
    "failed",
    "ERROR: (gcloud.storage.buckets.create) HTTPError 409: The requested bucket name is not available. The bucket namespace is shared by all users of the system.",
  ],
  ["exists", "ERROR: (gcloud.firestore.indexes.composite.create) ALREADY_EXISTS: index already exists"],
  [
    "exists",
    "ERROR: (gcloud.firestore.databases.create) ALREADY_EXISTS: Database already exists. Please use another database_id",
  ],
  ["unavailable", "ERROR: (gcloud.scheduler.jobs.create.pubsub) UNAVAILABLE: The service is currently unavailable."],
  [
    "unavailable",
    "ERROR: (gcloud.functions.deploy) ResponseError: status=[503], code=[Service Unavailable], message=[The service is currently unavailable.]",
  ],
  [
    "unavailable",
    "ERROR: gcloud crashed (ConnectionResetError): ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
  ],
  ["unavailable", "ERROR: (gcloud.storage.cp) HTTPError 503: backendError"],
  ["unavailable", "ERROR: (gcloud.tasks.queues.create) INTERNAL: Internal error encountered."],
  [
    "not-visible",
    "ERROR: (gcloud.pubsub.subscriptions.create) INVALID_ARGUMENT: Service account fn-a@p.iam.gserviceaccount.com does not exist.",
  ],
  [
    "not-visible",
    "ERROR: (gcloud.projects.set-iam-policy) INVALID_ARGUMENT: Service account fn-a@p.iam.gserviceaccount.com does not exist.",
  ],
  ["not-visible", "ERROR: (gcloud.iam.service-accounts.set-iam-policy) NOT_FOUND: Unknown service account"],
  [
    "disabled",
    "ERROR: (gcloud.pubsub.topics.create) [a@b.c] does not have permission to access projects instance [p] (or it may not exist): Cloud Pub/Sub API has not been used in project 1 before or it is disabled. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.",
  ],
  [
    "not-visible",
    "ERROR: (gcloud.functions.deploy) FAILED_PRECONDITION: Since this is your first time using Eventarc, we need a little bit longer to finish setting everything up. It may take a few minutes before all necessary permissions are propagated to the Service Agent.",
  ],
  ["missing", "ERROR: (gcloud.pubsub.topics.delete) NOT_FOUND: Resource not found (resource=asset.a)."],
  ["missing", "ERROR: (gcloud.storage.cat) The following URLs matched no objects or files: gs://b/state.json#1"],
  ["missing", "ERROR: (gcloud.storage.objects.describe) gs://b/state.json not found: 404."],
  [
    "missing",
    "ERROR: (gcloud.functions.describe) ResponseError: status=[404], code=[Not Found], message=[Resource 'projects/p/locations/r/functions/f' was not found]",
  ],
  [
    "precondition",
    "ERROR: (gcloud.storage.cp) HTTPError 412: At least one of the pre-conditions you specified did not hold.",
  ],
  [
    "unauthenticated",
    "ERROR: (gcloud.pubsub.topics.list) You do not currently have an active account selected. Please run: $ gcloud auth login",
  ],
  [
    "unauthenticated",
    "ERROR: (gcloud.pubsub.topics.list) There was a problem refreshing your current auth tokens: Reauthentication failed. cannot prompt during non-interactive execution.",
  ],
  [
    "failed",
    "ERROR: (gcloud.functions.deploy) OperationError: code=3, message=Build failed with status: FAILURE and message: missing main",
  ],
  [
    "denied",
    "ERROR: (gcloud.storage.buckets.list) HTTPError 403: a@b.c does not have storage.buckets.list access to the Google Cloud project.",
  ],
  [
    "denied",
    "ERROR: (gcloud.functions.deploy) PERMISSION_DENIED: Permission 'cloudfunctions.functions.create' denied on 'projects/p/locations/r/functions/f'",
  ],
  [
    "denied",
    "ERROR: (gcloud.projects.get-iam-policy) [a@b.c] does not have permission to access projects instance [p] (or it may not exist): The caller does not have permission",
  ],
  // Names are not statuses.
  [
    "failed",
    "ERROR: (gcloud.functions.deploy) INVALID_ARGUMENT: asset-http-429 has a bad memory, and asset-503 as well",
  ],
  ["missing", "ERROR: (gcloud.pubsub.topics.delete) NOT_FOUND: Resource not found (resource=asset.status.409.503)."],
];

describe("what a tool's failure means", () => {
  for (const [kind, text] of SAID)
    test(`${kind}: ${text.slice(0, 110)}`, () => {
      assert.equal(faultOf({ stdout: "", stderr: `Working...\n..failed.\n${text}\n` }).kind, kind);
    });

  test("of bq, which writes its errors to stdout", () => {
    const of = (stdout: string): FaultKind => faultOf({ stdout, stderr: "" }).kind;
    assert.equal(of("BigQuery error in mk operation: Dataset 'p:d' already exists."), "exists");
    assert.equal(of("BigQuery error in show operation: Not found: Dataset p:d"), "missing");
    assert.equal(of("BigQuery error in update operation: Precondition check failed."), "precondition");
    assert.equal(
      of("BigQuery error in ls operation: Access Denied: Project p: User does not have permission"),
      "denied",
    );
    assert.equal(
      of("BigQuery error in update operation: Exceeded rate limits: too many dataset metadata update operations"),
      "rate",
    );
  });

  test("its reason is one line, without gcloud's own command and without tokens", () => {
    const { reason } = faultOf({
      stdout: "",
      stderr:
        "WARNING: old\nERROR: (gcloud.functions.deploy) PERMISSION_DENIED: no\n  for Bearer ya29.abc-DEF_1 here\n",
    });
    assert.equal(reason, "PERMISSION_DENIED: no for Bearer [withheld] here");
    const stderr =
      "ERROR: (gcloud.x) NOT_FOUND: a. This command is authenticated with an access token from /t specified by the [auth/access_token_file] property.";
    assert.equal(faultOf({ stdout: "", stderr }).reason, "NOT_FOUND: a.");
    assert.equal(faultOf({ stdout: "", stderr: "" }).reason, "it said nothing");
    // A crash has no line that says ERROR; what the tool had printed before says nothing about it.
    const crash = "Traceback (most recent call last):\n  File x\nConnectionResetError: gone\n";
    assert.match(faultOf({ stdout: "[ {}, {} ]", stderr: crash }).reason, /ConnectionResetError: gone$/);
    assert.ok(faultOf({ stdout: "", stderr: "x".repeat(9_000) }).reason.length <= 400);
  });

  test("of who may not: without what is meant for programs, and with the role that it takes", () => {
    const stderr = [
      "ERROR: (gcloud.projects.describe) [None] does not have permission to access projects instance [p] (or it may not exist): The caller does not have permission. This command is authenticated with an access token from /t specified by the [auth/access_token_file] property.",
      "- '@type': type.googleapis.com/google.rpc.ErrorInfo",
      "  domain: googleapis.com",
      "  metadata:",
      "    service: cloudresourcemanager.googleapis.com",
      "  reason: IAM_PERMISSION_DENIED",
    ].join("\n");
    const call = { tool: "gcloud", args: ["projects", "describe", "p", "--format=json", "--quiet"] } as const;
    assert.deepEqual(faultOfCall(call, { stdout: "", stderr }), {
      kind: "denied",
      reason:
        'this account does not have permission to access projects instance [p] (or it may not exist): The caller does not have permission: it takes roles/viewer, see "What the deployer may do" in docs/deploying.md',
    });
    const noType = stderr.replace(/^- '@type'.*\n/m, "");
    assert.doesNotMatch(faultOf({ stdout: "", stderr: noType }).reason, /domain|metadata|service:/);
  });

  test("every role that a call takes is one that docs/deploying.md lists", () => {
    const docs = readFileSync(join(ROOT, "docs/deploying.md"), "utf8");
    const golden = readFileSync(join(ROOT, "test/infra/golden/first-deployment.txt"), "utf8");
    const commands = golden.split("\n").flatMap((line) => /^ {2}(gcloud|bq) (.*)$/.exec(line)?.slice(1) ?? []);
    assert.ok(commands.length > 100);
    for (let at = 0; at < commands.length; at += 2) {
      const tool = commands[at] === "bq" ? "bq" : "gcloud";
      const args = commands[at + 1]?.split(" ") ?? [];
      const role = roleFor({ tool, args });
      assert.ok(role !== undefined && docs.includes(`\`${role}\``), `${tool} ${args.join(" ")}: ${role}`);
    }
  });

  test("who is not signed in is told once how to", () => {
    const told = (stderr: string): string => unauthenticated(faultOf({ stdout: "", stderr })).message;
    const remedy = ": sign in with `gcloud auth login`, and deploy again";
    const account =
      "ERROR: (gcloud.pubsub.topics.list) You do not currently have an active account selected.\nPlease run:\n\n  $ gcloud auth login\n\nto obtain new credentials.\n\nIf you have already logged in with a different account, run:\n\n  $ gcloud config set account ACCOUNT\n";
    assert.equal(told(account), `You do not currently have an active account selected${remedy}`);
    const expired =
      "ERROR: (gcloud.x) There was a problem refreshing your current auth tokens: Reauthentication failed. cannot prompt during non-interactive execution.\nPlease run:\n\n  $ gcloud auth login\n";
    assert.equal(
      told(expired),
      `There was a problem refreshing your current auth tokens: Reauthentication failed. cannot prompt during non-interactive execution${remedy}`,
    );
  });

  test("only what passes is tried again, and all of it a bounded number of times", () => {
    assert.deepEqual(Object.keys(RETRY_RULES).sort(), ["conflict", "disabled", "not-visible", "rate", "unavailable"]);
    for (const { attempts, minMs, maxMs } of Object.values(RETRY_RULES))
      assert.ok(attempts > 1 && attempts < 20 && minMs < maxMs);
  });
});
