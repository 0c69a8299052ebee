/** Artifact Registry: the repository of built images, and what is cleaned up in it. */
import { CloudError, invalid } from "../errors.ts";
import { isJson, jsonAt, secondsOf, masked, maskOf, textAt, type Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkName, listed, need, put, stamp, type World } from "../world.ts";

export function artifactRegistry(world: World): Api {
  const parentOf = (call: ApiCall): string => `projects/${call.project}/locations/${call.param("location")}`;
  const nameOf = (call: ApiCall): string => `${parentOf(call)}/repositories/${call.param("repository")}`;
  const found = (call: ApiCall): Json => need(world, "repository", nameOf(call), `Requested entity was not found.`);

  /** gcloud writes `Delete` and `604800.0s`; the API answers with `DELETE` and `604800s`. */
  function normal(repository: Json): Json {
    const policies = Object.entries(jsonAt(repository, "cleanupPolicies")).map(([id, policy]) => {
      const condition = jsonAt(policy, "condition");
      const times = ["olderThan", "newerThan"].flatMap((key) => {
        const value = secondsOf(condition[key]);
        return value === undefined ? [] : [[key, `${value}s`] as const];
      });
      const timed = "condition" in jsonAt(policy) ? { condition: { ...condition, ...Object.fromEntries(times) } } : {};
      return [id, { ...jsonAt(policy), action: textAt(policy, "action").toUpperCase(), ...timed }] as const;
    });
    if (policies.length === 0) return repository;
    return { ...repository, cleanupPolicies: Object.fromEntries(policies) };
  }

  function check(repository: Json): void {
    for (const [id, policy] of Object.entries(jsonAt(repository, "cleanupPolicies"))) {
      const action = textAt(policy, "action");
      if (!isJson(policy) || textAt(policy, "id") !== id || !["KEEP", "DELETE"].includes(action))
        throw invalid(`Invalid cleanup policy: ${id}`);
      if ("condition" in policy === "mostRecentVersions" in policy)
        throw invalid(`Cleanup policy ${id} must have a condition or the most recent versions.`);
      if ("mostRecentVersions" in policy && action !== "KEEP")
        throw invalid(`Cleanup policy ${id}: most recent versions can only be kept.`);
    }
  }

  const repositories = ["v1", "v1beta2"].map(
    (version) => `${version}/projects/{project}/locations/{location}/repositories`,
  );
  return {
    host: "artifactregistry",
    service: "artifactregistry.googleapis.com",
    title: "Artifact Registry API",
    routes: repositories.flatMap((pattern) => [
      route("POST", pattern, "artifactregistry.repositories.create", async (call) => {
        const id = call.query.get("repositoryId") ?? "";
        const name = `${parentOf(call)}/repositories/${id}`;
        checkName(id, /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "repository");
        if (world.state.resources.repository.has(name))
          throw new CloudError("ALREADY_EXISTS", "the repository already exists");
        const repository = {
          ...normal(call.body),
          name,
          createTime: stamp(world.now()),
          updateTime: stamp(world.now()),
        };
        check(repository);
        return await world.operations.start({
          parent: `${parentOf(call)}/operations`,
          metadata: {},
          run: () => put(world, "repository", name, repository),
        });
      }),
      route("GET", pattern, "artifactregistry.repositories.list", (call) =>
        page(call, "repositories", listed(world, "repository", `${parentOf(call)}/repositories/`)),
      ),
      route("GET", `${pattern}/{repository}`, "artifactregistry.repositories.get", found),
      route("PATCH", `${pattern}/{repository}`, "artifactregistry.repositories.update", (call) => {
        const wanted = masked(found(call), call.body, maskOf(call.query) ?? Object.keys(call.body));
        const after = normal({ ...wanted, name: nameOf(call), updateTime: stamp(world.now()) });
        check(after);
        return put(world, "repository", nameOf(call), after);
      }),
      route(
        "GET",
        pattern.replace("/repositories", "/operations/{operation}"),
        "artifactregistry.repositories.get",
        (call) => world.operations.get(`${parentOf(call)}/operations/${call.param("operation")}`),
      ),
      ...policyRoutes(world, `${pattern}/{repository}`, "artifactregistry.repositories", (call) => {
        found(call);
        return `repository ${nameOf(call)}`;
      }),
    ]),
  };
}
