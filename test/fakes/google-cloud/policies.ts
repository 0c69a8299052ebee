/** IAM policies of any resource: read, and replaced as a whole under an etag. */
import { CloudError, invalid } from "./errors.ts";
import { at, isJson, jsonAt, listAt, textAt, type Json } from "./json.ts";
import { route, type ApiCall, type Route } from "./routing.ts";
import type { Policy, PolicyBinding } from "./state.ts";
import { hasAccount, type World } from "./world.ts";

const NONE: Policy = { version: 1, etag: "ACAB", bindings: [] };

export function policyOf({ state }: World, key: string): Policy {
  return state.policies.get(key) ?? NONE;
}

/**
 * Replaces a policy. Refused are an etag that is no longer the policy's (409), a condition in a policy that is not of version 3,
 * a member that is not there, and a role that resources of this service do not take.
 */
export function setPolicy(world: World, key: string, given: Json): Policy {
  const before = policyOf(world, key);
  const etag = textAt(given, "etag");
  if (etag !== "" && etag !== before.etag) {
    throw new CloudError(
      "ABORTED",
      `There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. The request's ETag '${etag}' did not match the current policy's ETag '${before.etag}'.`,
    );
  }
  if (etag !== "" && Buffer.from(etag, "base64").toString("base64") !== etag) throw invalid("Invalid etag.");
  const bindings = listAt(given, "bindings")
    .map(bindingOf)
    .filter(({ members }) => members.length > 0);
  const version = bindings.some(({ condition }) => condition !== undefined) ? 3 : 1;
  if (version === 3 && at(given, "version") !== 3) {
    throw invalid("Policies with conditions must have version 3: the policy's version field must be 3.");
  }
  const known = new Set(before.bindings.flatMap(({ members }) => members));
  for (const { role, members } of bindings) {
    checkRole(key, role);
    for (const member of members) if (!known.has(member)) checkMember(world, member);
  }
  const next: Policy = { version, etag: nextEtag(before.etag), bindings };
  world.state.policies.set(key, next);
  return next;
}

function bindingOf(value: unknown): PolicyBinding {
  const condition = at(value, "condition");
  return {
    role: textAt(value, "role"),
    members: [...new Set(listAt(value, "members").map(String))].sort(),
    ...(isJson(condition) && { condition }),
  };
}

/** Etags are base64 in the API. */
function nextEtag(before: string): string {
  const count = before === NONE.etag ? 0 : Buffer.from(before, "base64").readUInt32BE(4);
  const bytes = Buffer.alloc(8, "BwY");
  bytes.writeUInt32BE(count + 1, 4);
  return bytes.toString("base64");
}

function checkMember(world: World, member: string): void {
  if (member === "allUsers" || member === "allAuthenticatedUsers") return;
  const [, kind = "", email = ""] =
    /^(user|group|domain|serviceAccount|principal|principalSet):(.+)$/.exec(member) ?? [];
  if (/^(projectOwner|projectEditor|projectViewer):/.test(member) || member.startsWith("deleted:")) return;
  if (kind === "") throw invalid(`Invalid member: ${member}. The member is malformed.`);
  if (kind === "serviceAccount" && !hasAccount(world, email)) throw invalid(`Service account ${email} does not exist.`);
}

/** What kinds of resources take roles of which services. A project takes all of them. */
const ROLES: Readonly<Record<string, RegExp>> = {
  account: /^roles\/iam\.(serviceAccount|workloadIdentity)\w+$/,
  bucket: /^roles\/storage\.(?!hmac)\w+$/,
  repository: /^roles\/artifactregistry\.\w+$/,
  queue: /^roles\/cloudtasks\.(?!queueAdmin)\w+$/,
  secret: /^roles\/secretmanager\.\w+$/,
  service: /^roles\/run\.\w+$/,
  function: /^roles\/cloudfunctions\.\w+$/,
  subscription: /^roles\/pubsub\.(?!publisher)\w+$/,
  topic: /^roles\/pubsub\.(?!subscriptionsOnly)\w+$/,
};

function checkRole(key: string, role: string): void {
  const fits = ROLES[key.slice(0, key.indexOf(" "))] ?? /^roles\/[a-z]+(?:\.\w+)*$/;
  if (/^(projects|organizations)\/[^/]+\/roles\/\w+$/.test(role)) return;
  if (!fits.test(role)) throw invalid(`Role ${role} is not supported for this resource.`);
}

/** As the API shows it: only whoever asks for version 3 gets conditions. */
export function shownPolicy({ version, etag, bindings }: Policy, asked: number): Json {
  if (version < 3 || asked >= 3) return { version, etag, ...(bindings.length > 0 && { bindings }) };
  const renamed = bindings.map(({ role, members, condition }) =>
    condition === undefined ? { role, members } : { role: `${role}_withcond_0000`, members },
  );
  return { version: 1, etag, bindings: renamed };
}

/** `GET`/`POST …:getIamPolicy`, `POST …:setIamPolicy` and `POST …:testIamPermissions` of a resource; `keyOf` throws where it is not there. */
export function policyRoutes(
  world: World,
  pattern: string,
  permission: string,
  keyOf: (call: ApiCall) => string,
): readonly Route[] {
  const read = (call: ApiCall): Json => {
    const asked =
      call.query.get("options.requestedPolicyVersion") ?? textAt(call.body, "options", "requestedPolicyVersion");
    return shownPolicy(policyOf(world, keyOf(call)), Number(asked));
  };
  return [
    route("GET", `${pattern}:getIamPolicy`, `${permission}.getIamPolicy`, read),
    route("POST", `${pattern}:getIamPolicy`, `${permission}.getIamPolicy`, read),
    route("POST", `${pattern}:setIamPolicy`, `${permission}.setIamPolicy`, (call) =>
      shownPolicy(setPolicy(world, keyOf(call), jsonAt(call.body, "policy")), 3),
    ),
    route("POST", `${pattern}:testIamPermissions`, "", (call) => ({
      permissions: listAt(call.body, "permissions").filter((each) => !world.denied.has(String(each))),
    })),
  ];
}
