/** APIs of which gcloud needs only a little: Eventarc's triggers as Cloud Functions has made them, builds, and logs. */
import { page, route, type Api } from "../routing.ts";
import { textAt } from "../json.ts";
import { listed, need, projectOf, stamp, type World } from "../world.ts";

export function eventarc(world: World): Api {
  const triggers = "v1/projects/{project}/locations/{location}/triggers";
  return {
    host: "eventarc",
    service: "eventarc.googleapis.com",
    title: "Eventarc API",
    routes: [
      route("GET", triggers, "eventarc.triggers.list", (call) => {
        const location = call.param("location");
        const all = listed(world, "trigger", `projects/${call.project}/locations/`);
        return page(
          call,
          "triggers",
          all.filter(({ name }) => location === "-" || String(name).includes(`/locations/${location}/`)),
        );
      }),
      route("GET", `${triggers}/{trigger}`, "eventarc.triggers.get", (call) => {
        const name = `projects/${call.project}/locations/${call.param("location")}/triggers/${call.param("trigger")}`;
        return need(world, "trigger", name, `Resource '${name}' was not found`);
      }),
    ],
  };
}

export function cloudBuild(world: World): Api {
  const builds = "v1/projects/{project}/locations/{location}/builds";
  return {
    host: "cloudbuild",
    service: "cloudbuild.googleapis.com",
    title: "Cloud Build API",
    routes: [
      route(
        "GET",
        "v1/projects/{project}/locations/{location}/defaultServiceAccount",
        "cloudbuild.builds.get",
        (call) => {
          const { number } = projectOf(world, call.project);
          const name = `projects/${call.project}/locations/${call.param("location")}/defaultServiceAccount`;
          const email = `${number}-compute@developer.gserviceaccount.com`;
          return { name, serviceAccountEmail: `projects/${call.project}/serviceAccounts/${email}` };
        },
      ),
      route("GET", builds, "cloudbuild.builds.list", (call) => page(call, "builds", listed(world, "build", ""))),
      route("GET", `${builds}/{build}`, "cloudbuild.builds.get", (call) => {
        const found = listed(world, "build", "").find(({ id }) => id === call.param("build"));
        return found ?? need(world, "build", call.param("build"), "Requested entity was not found.");
      }),
    ],
  };
}

/** `linesOf` says what a function has written, by its name; of a filter only the service's name counts. */
export function logging(world: World, linesOf: (service: string) => readonly string[]): Api {
  return {
    host: "logging",
    service: "logging.googleapis.com",
    title: "Cloud Logging API",
    routes: [
      route("POST", "v2/entries:list", "logging.logEntries.list", (call) => {
        const name = /service_name\s*=\s*"?([\w-]+)/.exec(textAt(call.body, "filter"))?.[1] ?? "";
        const entries = linesOf(name)
          .filter((line) => line !== "")
          .map((line, index) => ({
            insertId: `${name}-${index}`,
            logName: `projects/${call.project}/logs/run.googleapis.com%2Fstdout`,
            resource: { type: "cloud_run_revision", labels: { service_name: name } },
            textPayload: line,
            timestamp: stamp(world.now()),
          }));
        return { entries };
      }),
    ],
  };
}
