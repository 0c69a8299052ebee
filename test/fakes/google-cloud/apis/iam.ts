/** IAM: service accounts and who may act as them. */
import { createHash } from "node:crypto";
import { CloudError, invalid, missing } from "../errors.ts";
import { jsonAt, masked, textAt, type Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { accountName, checkMay, listed, put, userAccount, type World } from "../world.ts";

export function iam(world: World): Api {
  const { state, quotas } = world;

  async function create(call: ApiCall): Promise<Json> {
    const id = textAt(call.body, "accountId");
    if (!/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(id)) {
      const message = `The account ID "${id}" does not match ^[a-zA-Z][a-zA-Z\\d\\-]*[a-zA-Z\\d]$ or is not 6 to 30 characters long.`;
      throw invalid(message);
    }
    const { project } = call;
    const parent = `projects/${project}/serviceAccounts/`;
    const email = `${id}@${project}.iam.gserviceaccount.com`;
    const name = accountName(email);
    if (state.resources.account.has(name)) {
      throw new CloudError(
        "ALREADY_EXISTS",
        `Service account ${id} already exists within project projects/${project}.`,
      );
    }
    if (listed(world, "account", parent).length >= quotas.serviceAccounts) {
      throw new CloudError("RESOURCE_EXHAUSTED", "Maximum number of service accounts on project reached.");
    }
    // An account of the same name that was deleted was another one.
    const uniqueId = BigInt(
      `0x${createHash("sha256").update(`${email} ${state.births.size}`).digest("hex").slice(0, 16)}`,
    ).toString();
    state.births.set(name, { at: world.now(), looks: 0 });
    const { displayName, description } = jsonAt(call.body, "serviceAccount");
    return await put(world, "account", name, {
      name,
      projectId: project,
      uniqueId,
      email,
      ...(displayName !== undefined && { displayName }),
      ...(description !== undefined && { description }),
      etag: "MDEwMjE5MjA=",
      oauth2ClientId: uniqueId,
    });
  }

  function found(call: ApiCall): Json {
    const email = call.param("email");
    const account = userAccount(world, email);
    if (account === undefined) {
      checkMay(world, "iam.serviceAccounts.get", accountName(email));
      throw missing(`Unknown service account: ${accountName(email)}`);
    }
    return account;
  }

  /** What was bound to it keeps its name, as one that is gone. */
  function forget(account: Json): void {
    const [email, uid] = [textAt(account, "email"), textAt(account, "uniqueId")];
    const gone = (member: string): string =>
      member === `serviceAccount:${email}` ? `deleted:serviceAccount:${email}?uid=${uid}` : member;
    for (const [key, policy] of state.policies) {
      const bindings = policy.bindings.map((binding) => ({ ...binding, members: binding.members.map(gone) }));
      state.policies.set(key, { ...policy, bindings });
    }
  }

  const base = "v1/projects/{project}/serviceAccounts";
  const one = `${base}/{email}`;
  return {
    host: "iam",
    service: "iam.googleapis.com",
    title: "Identity and Access Management (IAM) API",
    routes: [
      route("POST", base, "iam.serviceAccounts.create", create),
      route("GET", base, "iam.serviceAccounts.list", (call) =>
        page(call, "accounts", listed(world, "account", `projects/${call.project}/serviceAccounts/`), 100),
      ),
      route("GET", one, "iam.serviceAccounts.get", found),
      route("PATCH", one, "iam.serviceAccounts.update", (call) => {
        const account = found(call);
        const mask = textAt(call.body, "updateMask").split(",");
        return put(
          world,
          "account",
          textAt(account, "name"),
          masked(account, jsonAt(call.body, "serviceAccount"), mask),
        );
      }),
      route("DELETE", one, "iam.serviceAccounts.delete", async (call) => {
        const account = found(call);
        const name = textAt(account, "name");
        state.resources.account.delete(name);
        state.policies.delete(`account ${name}`);
        forget(account);
        await world.bridge.changed("account", name, undefined);
        return {};
      }),
      ...policyRoutes(world, one, "iam.serviceAccounts", (call) => `account ${textAt(found(call), "name")}`),
    ],
  };
}
