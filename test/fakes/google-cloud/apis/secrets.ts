/** Secret Manager: which secrets there are, and who may read them. What they hold is read from the fake of their own. */
import { CloudError } from "../errors.ts";
import { textAt, type Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkName, listed, need, projectOf, put, remove, stamp, type World } from "../world.ts";

export function secrets(world: World): Api {
  const nameOf = (call: ApiCall): string => secretName(world, call.project, call.param("secret"));
  const found = (call: ApiCall): Json =>
    need(
      world,
      "secret",
      `projects/${call.project}/secrets/${call.param("secret")}`,
      `Secret [${nameOf(call)}] not found.`,
    );
  /** Without what it holds. */
  const shown = ({ data: _, latest: __, ...secret }: Json): Json => secret;
  const parent = "v1/projects/{project}/secrets";
  return {
    host: "secretmanager",
    service: "secretmanager.googleapis.com",
    title: "Secret Manager API",
    routes: [
      route("POST", parent, "secretmanager.secrets.create", async (call) => {
        const id = call.query.get("secretId") ?? "";
        checkName(id, /^[\w-]{1,255}$/, "secret");
        const key = `projects/${call.project}/secrets/${id}`;
        if (world.state.resources.secret.has(key))
          throw new CloudError("ALREADY_EXISTS", `Secret [${secretName(world, call.project, id)}] already exists.`);
        return await addSecret(world, call.project, id, call.body);
      }),
      route("GET", parent, "secretmanager.secrets.list", (call) =>
        page(call, "secrets", listed(world, "secret", `projects/${call.project}/secrets/`).map(shown)),
      ),
      route("GET", `${parent}/{secret}`, "secretmanager.secrets.get", (call) => shown(found(call))),
      route("DELETE", `${parent}/{secret}`, "secretmanager.secrets.delete", async (call) => {
        found(call);
        await remove(world, "secret", `projects/${call.project}/secrets/${call.param("secret")}`, "Secret not found.");
        return {};
      }),
      route("POST", `${parent}/{secret}:addVersion`, "secretmanager.versions.add", async (call) => {
        const version = Number(textAt(found(call), "latest")) + 1;
        const data = textAt(call.body, "payload", "data");
        await put(world, "secret", `projects/${call.project}/secrets/${call.param("secret")}`, {
          ...found(call),
          latest: String(version),
          data,
        });
        return { name: `${nameOf(call)}/versions/${version}`, createTime: stamp(world.now()), state: "ENABLED" };
      }),
      ...policyRoutes(world, `${parent}/{secret}`, "secretmanager.secrets", (call) => {
        found(call);
        return `secret projects/${call.project}/secrets/${call.param("secret")}`;
      }),
    ],
  };
}

/** As Google shows it: with the project's number. */
function secretName(world: World, project: string, id: string): string {
  return `projects/${projectOf(world, project).number}/secrets/${id}`;
}

export function addSecret(world: World, project: string, id: string, more: Json = {}): Promise<Json> {
  const secret = {
    replication: { automatic: {} },
    ...more,
    name: secretName(world, project, id),
    createTime: stamp(world.now()),
    etag: '"161c8f8c2d0b4c"',
  };
  return put(world, "secret", `projects/${project}/secrets/${id}`, secret);
}
