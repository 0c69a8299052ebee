/** What would stay undone in the cloud for want of a permission: messages that nobody may deliver, calls that nobody may make. */
import { jsonAt, textAt, type Json } from "./json.ts";
import { policyOf } from "./policies.ts";
import { listed, projectOf, type World } from "./world.ts";

/** One line each; empty where all arrows can be followed. */
export function shortfallsOf(world: World, project: string): readonly string[] {
  const { number } = projectOf(world, project);
  const agent = `service-${number}@gcp-sa-pubsub.iam.gserviceaccount.com`;
  const found: string[] = [];
  const short = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
  for (const subscription of listed(world, "subscription", `projects/${project}/`)) {
    const name = textAt(subscription, "name");
    const refusal = pushRefusal(world, project, jsonAt(subscription, "pushConfig"));
    if (refusal !== undefined) found.push(`subscription ${short(name)}: ${refusal}`);
    const dead = textAt(subscription, "deadLetterPolicy", "deadLetterTopic");
    if (dead === "") continue;
    if (!holds(world, [`topic ${dead}`, `project ${project}`], /^roles\/pubsub\.(publisher|editor|admin)$/, agent)) {
      found.push(`subscription ${short(name)}: Pub/Sub may not publish to ${short(dead)}`);
    }
    if (
      !holds(world, [`subscription ${name}`, `project ${project}`], /^roles\/pubsub\.(subscriber|editor|admin)$/, agent)
    ) {
      found.push(`subscription ${short(name)}: Pub/Sub may not take messages out of it`);
    }
  }
  for (const job of listed(world, "schedule", `projects/${project}/`)) {
    const refusal = callRefusal(world, jsonAt(job, "httpTarget"));
    if (refusal !== undefined) found.push(`schedule ${short(textAt(job, "name"))}: ${refusal}`);
  }
  return found;
}

/** Why a push would be refused: no token for it, or the function lets nobody in with it. */
export function pushRefusal(world: World, project: string, config: Json): string | undefined {
  const endpoint = textAt(config, "pushEndpoint");
  if (endpoint === "") return undefined;
  const email = textAt(config, "oidcToken", "serviceAccountEmail");
  const agent = `service-${projectOf(world, project).number}@gcp-sa-pubsub.iam.gserviceaccount.com`;
  const keys = [`account projects/${project}/serviceAccounts/${email}`, `project ${project}`];
  if (
    email !== "" &&
    !holds(world, keys, /^roles\/iam\.(serviceAccountTokenCreator|serviceAccountOpenIdTokenCreator)$/, agent)
  ) {
    return `Pub/Sub may not make tokens of ${email}`;
  }
  return callRefusal(world, { uri: endpoint, oidcToken: config["oidcToken"] });
}

/** Why a call of a function would be refused; `undefined` also where it goes elsewhere. */
export function callRefusal(world: World, target: Json): string | undefined {
  const uri = textAt(target, "uri");
  if (uri === "") return undefined;
  const found = serviceAt(world, uri);
  if (found === undefined) return uri.includes(".run.app") ? `nothing answers at ${uri}` : undefined;
  const email = textAt(target, "oidcToken", "serviceAccountEmail");
  const audience = textAt(target, "oidcToken", "audience");
  const service = found.name;
  if (audience !== "" && audience !== new URL(uri).origin && audience !== uri)
    return `the audience ${audience} is not ${service}`;
  const keys = [`service ${service}`, `project ${service.split("/")[1]}`];
  const open = policyOf(world, keys[0] ?? "").bindings.some(
    ({ role, members }) => INVOKER.test(role) && members.includes("allUsers"),
  );
  if (open || (email !== "" && holds(world, keys, INVOKER, email))) return undefined;
  return `${email === "" ? "nobody" : email} may not invoke ${service.slice(service.lastIndexOf("/") + 1)}`;
}

const INVOKER = /^roles\/run\.(invoker|servicesInvoker|admin)$/;

/** The Cloud Run service that answers at an address. */
export function serviceAt(
  { state }: World,
  uri: string,
): { readonly name: string; readonly service: Json } | undefined {
  const { origin } = new URL(uri);
  const found = [...state.resources.service].find(([, service]) => service["uri"] === origin);
  return found && { name: found[0], service: found[1] };
}

function holds(world: World, keys: readonly string[], roles: RegExp, email: string): boolean {
  return keys.some((key) =>
    policyOf(world, key).bindings.some(
      ({ role, members }) => roles.test(role) && members.includes(`serviceAccount:${email}`),
    ),
  );
}
