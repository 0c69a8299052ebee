/** Resource Manager: projects, and their policies. */
import type { Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { route, type Api } from "../routing.ts";
import { projectOf, type World } from "../world.ts";

export function resourceManager(world: World): Api {
  const shown = (name: string): Json => {
    const { id, number } = projectOf(world, name);
    return {
      projectNumber: number,
      projectId: id,
      name: id,
      lifecycleState: "ACTIVE",
      createTime: "2024-01-01T00:00:00.000Z",
    };
  };
  return {
    host: "cloudresourcemanager",
    service: undefined,
    title: "Cloud Resource Manager API",
    routes: [
      route("GET", "v1/projects/{project}", "resourcemanager.projects.get", (call) => shown(call.project)),
      route("GET", "v3/projects/{project}", "resourcemanager.projects.get", (call) => {
        const { id, number } = projectOf(world, call.project);
        return { name: `projects/${number}`, projectId: id, displayName: id, state: "ACTIVE" };
      }),
      ...["v1", "v3"].flatMap((version) =>
        policyRoutes(
          world,
          `${version}/projects/{project}`,
          "resourcemanager.projects",
          (call) => `project ${call.project}`,
        ),
      ),
    ],
  };
}
