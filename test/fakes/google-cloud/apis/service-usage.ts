/** Service Usage: which APIs a project has enabled. */
import { CloudError, invalid } from "../errors.ts";
import { listAt, type Json } from "../json.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import type { Project } from "../state.ts";
import { projectOf, type World } from "../world.ts";

export function serviceUsage(world: World, options: { readonly delayMs: number }): Api {
  const shown = (project: Project, service: string): Json => ({
    name: `projects/${project.number}/services/${service}`,
    config: { name: service, title: `${service} API` },
    state: project.apis.has(service) ? "ENABLED" : "DISABLED",
    parent: `projects/${project.number}`,
  });

  async function enable(call: ApiCall, services: readonly string[]): Promise<Json> {
    const project = projectOf(world, call.project);
    for (const service of services) {
      if (!/^[a-z][a-z-]*\.googleapis\.com$/.test(service)) throw invalid(`Invalid service name: ${service}`);
      if (!project.billing && NEEDS_BILLING.has(service)) {
        const message = `Billing account for project '${project.number}' is not found. Billing must be enabled for activation of service(s) '${service}' to proceed.`;
        throw new CloudError("FAILED_PRECONDITION", message);
      }
    }
    return await world.operations.start({
      parent: "operations",
      metadata: {
        "@type": "type.googleapis.com/google.api.serviceusage.v1.OperationMetadata",
        resourceNames: services,
      },
      async run() {
        const since = world.now() + options.delayMs;
        for (const service of services) if (!project.apis.has(service)) project.apis.set(service, since);
        return { services: services.map((service) => shown(project, service)) };
      },
    });
  }

  const one = (call: ApiCall): string => call.param("service");
  return {
    host: "serviceusage",
    service: undefined,
    title: "Service Usage API",
    routes: [
      route("GET", "v1/projects/{project}/services", "serviceusage.services.list", (call) => {
        const project = projectOf(world, call.project);
        if (call.query.get("filter") !== "state:ENABLED") throw invalid("The fake lists enabled services only.");
        return page(
          call,
          "services",
          [...project.apis.keys()].sort().map((service) => shown(project, service)),
          200,
        );
      }),
      route("GET", "v1/projects/{project}/services:batchGet", "serviceusage.services.get", (call) => {
        const project = projectOf(world, call.project);
        const names = call.query.getAll("names").map((name) => name.slice(name.lastIndexOf("/") + 1));
        return { services: names.map((name) => shown(project, name)) };
      }),
      route("GET", "v1/projects/{project}/services/{service}", "serviceusage.services.get", (call) =>
        shown(projectOf(world, call.project), one(call)),
      ),
      route("POST", "v1/projects/{project}/services/{service}:enable", "serviceusage.services.enable", (call) =>
        enable(call, [one(call)]),
      ),
      route("POST", "v1/projects/{project}/services:batchEnable", "serviceusage.services.enable", (call) => {
        const services = listAt(call.body, "serviceIds").map(String);
        if (services.length > 20) throw invalid("A batch enables at most 20 services.");
        return enable(call, services);
      }),
      route("GET", "v1/operations/{operation}", "", (call) =>
        world.operations.get(`operations/${call.param("operation")}`),
      ),
      // What gcloud asks before it generates a service agent; those of the enabled services are there.
      route("POST", "v1beta1/projects/{project}/services/{service}:generateServiceIdentity", "", (call) => {
        const { number } = projectOf(world, call.project);
        const name = one(call).replace(".googleapis.com", "");
        const email = `service-${number}@gcp-sa-${name}.iam.gserviceaccount.com`;
        return world.operations.start({
          parent: "operations",
          metadata: {},
          run: async () => ({ email, uniqueId: number }),
        });
      }),
      route("GET", "v1beta1/operations/{operation}", "", (call) =>
        world.operations.get(`operations/${call.param("operation")}`),
      ),
    ],
  };
}

const NEEDS_BILLING = new Set(
  [
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "cloudtasks",
    "eventarc",
    "run",
    "secretmanager",
  ].map((name) => `${name}.googleapis.com`),
);
