/** Policies, read, changed and written back: IAM's, and the access list of a dataset. Whatever is somebody else's stays as it is. */
import { z } from "zod";
import { PermanentError } from "../../lib/core/errors.ts";
import type { Grant } from "./state.ts";
import { filled } from "./step.ts";
import type { PolicyEdit } from "./step.ts";

export interface EditedPolicy {
  /** False: it is as wanted, and nothing is to be written. */
  readonly changed: boolean;
  /** The file to write: JSON. */
  readonly text: string;
  readonly etag: string;
  /** In words, one for each: `roles/run.invoker for serviceAccount:…`. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

const conditionSchema = z.looseObject({ title: z.string().optional(), expression: z.string() });
const iamSchema = z.looseObject({
  etag: z.string().optional(),
  version: z.int().optional(),
  bindings: z
    .array(z.looseObject({ role: z.string(), members: z.array(z.string()), condition: conditionSchema.optional() }))
    .optional(),
});
type IamPolicy = z.output<typeof iamSchema>;
type IamBinding = NonNullable<IamPolicy["bindings"]>[number];

const accessSchema = z.looseObject({ role: z.string().optional(), userByEmail: z.string().optional() });
const datasetSchema = z.looseObject({ etag: z.string().optional(), access: z.array(accessSchema).optional() });

/**
 * What has to be written so that `edit` holds. `read` is what the tool printed (an empty policy may be an empty text), `values` what is
 * known of placeholders. Throws `PermanentError` for what is no policy, and for a placeholder of which nothing is known.
 */
export function editedPolicy(read: string, edit: PolicyEdit, values: ReadonlyMap<string, string>): EditedPolicy {
  const wanted = edit.wanted.map((grant): Grant => {
    const member = known(grant.member, values);
    return { role: grant.role, member, ...(grant.condition === undefined ? {} : { condition: grant.condition }) };
  });
  const owned = new Set(edit.owned);
  const value = jsonOf(read);
  return edit.form === "iam" ? editedIam(value, wanted, owned) : editedDataset(value, wanted, owned);
}

function known(text: string, values: ReadonlyMap<string, string>): string {
  const { text: full, missing } = filled(text, values);
  if (missing.length > 0)
    throw new PermanentError(`nothing is known of ${missing.join(", ")}: run it again with --refresh`);
  return full;
}

function jsonOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new PermanentError(`this is no policy: ${text.trim().slice(0, 100)}`);
  }
}

function editedIam(value: unknown, wanted: readonly Grant[], owned: ReadonlySet<string>): EditedPolicy {
  const result = iamSchema.safeParse(value);
  if (!result.success) throw new PermanentError("this is no policy of IAM");
  const policy = result.data;
  const missing = new Map(wanted.map((grant) => [grantKey(grant), grant]));
  const removed: string[] = [];
  const bindings: IamBinding[] = [];
  for (const binding of policy.bindings ?? []) {
    const members = binding.members.filter((member) => {
      const key = grantKey({ role: binding.role, member, condition: binding.condition });
      const stays = missing.delete(key);
      if (stays || !owned.has(livingName(member))) return true;
      removed.push(`${binding.role} for ${member}`);
      return false;
    });
    if (members.length > 0) bindings.push({ ...binding, members });
  }
  for (const { role, member, condition } of missing.values()) addTo(bindings, role, member, condition);
  const added = [...missing.values()].map(({ role, member }) => `${role} for ${member}`);
  const conditional = bindings.some(({ condition }) => condition !== undefined);
  const text = JSON.stringify({ ...policy, version: conditional ? 3 : (policy.version ?? 1), bindings }, undefined, 2);
  return { changed: added.length + removed.length > 0, text, etag: policy.etag ?? "", added, removed };
}

function addTo(bindings: IamBinding[], role: string, member: string, condition: Grant["condition"]): void {
  const at = bindings.findIndex(
    (binding) => binding.role === role && binding.condition?.expression === condition?.expression,
  );
  const there = bindings[at];
  if (there !== undefined) bindings[at] = { ...there, members: [...there.members, member] };
  else bindings.push({ role, members: [member], ...(condition === undefined ? {} : { condition }) });
}

/** An account that was deleted stays in policies under another name, `deleted:serviceAccount:NAME?uid=1`, and is ours all the same. */
function livingName(member: string): string {
  return member.replace(/^deleted:/, "").replace(/\?uid=\d+$/, "");
}

function grantKey({
  role,
  member,
  condition,
}: Pick<Grant, "role" | "member"> & { condition?: { expression: string } | undefined }): string {
  return `${role}\n${member}\n${condition?.expression ?? ""}`;
}

/** BigQuery says some roles by names of its own. */
const LEGACY: Readonly<Record<string, string>> = {
  READER: "roles/bigquery.dataViewer",
  WRITER: "roles/bigquery.dataEditor",
  OWNER: "roles/bigquery.dataOwner",
};

function editedDataset(value: unknown, wanted: readonly Grant[], owned: ReadonlySet<string>): EditedPolicy {
  const result = datasetSchema.safeParse(value);
  if (!result.success) throw new PermanentError("this is no dataset");
  const { access = [], etag = "" } = result.data;
  const missing = new Map(wanted.map((grant) => [grantKey(grant), grant]));
  const removed: string[] = [];
  const kept = access.filter(({ role = "", userByEmail }) => {
    const member = userByEmail === undefined ? "" : `serviceAccount:${userByEmail}`;
    const full = LEGACY[role] ?? role;
    if (missing.delete(grantKey({ role: full, member })) || !owned.has(member)) return true;
    removed.push(`${full} for ${member}`);
    return false;
  });
  const fresh = [...missing.values()].map(({ role, member }) => ({
    role,
    userByEmail: member.replace(/^serviceAccount:/, ""),
  }));
  const added = [...missing.values()].map(({ role, member }) => `${role} for ${member}`);
  const text = JSON.stringify({ access: [...kept, ...fresh] }, undefined, 2);
  return { changed: added.length + removed.length > 0, text, etag, added, removed };
}
