/** Cloud Run, as far as functions are concerned: their services, and who may invoke them. */
import { jsonAt, textAt, type Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { route, type Api, type ApiCall } from "../routing.ts";
import { listed, need, type World } from "../world.ts";

export function run(world: World): Api {
  const notThere = (name: string): string => `Resource '${name}' of kind 'SERVICE' does not exist.`;
  const nameOf = (call: ApiCall, location: string): string =>
    `projects/${call.project}/locations/${location}/services/${call.param("service")}`;
  const policy = (version: string, pattern: string) =>
    policyRoutes(world, `${version}/${pattern}`, "run.services", (call) => {
      const name = nameOf(call, call.param("location"));
      need(world, "service", name, notThere(name));
      return `service ${name}`;
    });

  /** As the API that Cloud Run shares with Knative has it. */
  function knative(service: Json): Json {
    const { uri, name, project, location } = service;
    const config = jsonAt(service, "serviceConfig");
    return {
      apiVersion: "serving.knative.dev/v1",
      kind: "Service",
      metadata: {
        name,
        namespace: project,
        labels: { "cloud.googleapis.com/location": location, "goog-managed-by": "cloudfunctions" },
        annotations: {
          "run.googleapis.com/ingress":
            textAt(config, "ingressSettings") === "ALLOW_INTERNAL_ONLY" ? "internal" : "all",
        },
      },
      spec: {
        template: {
          spec: { serviceAccountName: config["serviceAccountEmail"], timeoutSeconds: config["timeoutSeconds"] },
        },
      },
      status: {
        url: uri,
        address: { url: uri },
        latestReadyRevisionName: config["revision"],
        conditions: [{ type: "Ready", status: "True" }],
      },
    };
  }

  const regional = "apis/serving.knative.dev/v1/namespaces/{project}/services";
  return {
    host: "run",
    service: "run.googleapis.com",
    title: "Cloud Run Admin API",
    routes: [
      route("GET", `${regional}/{service}`, "run.services.get", (call) => {
        const name = nameOf(call, call.region ?? "-");
        return knative(need(world, "service", name, notThere(name)));
      }),
      route("GET", regional, "run.services.list", (call) => ({
        apiVersion: "serving.knative.dev/v1",
        kind: "ServiceList",
        items: listed(world, "service", `projects/${call.project}/locations/${call.region ?? ""}`).map(knative),
      })),
      route("GET", "v1/projects/{project}/locations/{location}/services", "run.services.list", (call) => {
        const { project } = call;
        const location = call.param("location");
        const below =
          location === "-" ? `projects/${project}/locations/` : `projects/${project}/locations/${location}/`;
        return { items: listed(world, "service", below).map(knative) };
      }),
      ...policy("v1", "projects/{project}/locations/{location}/services/{service}"),
      ...policy("v2", "projects/{project}/locations/{location}/services/{service}"),
    ],
  };
}
