/** Cloud Scheduler: jobs that publish to a topic or call an address. Nothing runs by itself: a test runs a job with gcloud. */
import { Cron } from "croner";
import { CloudError, invalid, missing } from "../errors.ts";
import { jsonAt, masked, maskOf, textAt, type Json } from "../json.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkActAs, checkName, listed, need, put, remove, stamp, type World } from "../world.ts";

export function scheduler(world: World): Api {
  const { state, quotas } = world;
  const parentOf = (call: ApiCall): string => `projects/${call.project}/locations/${call.param("location")}`;
  const nameOf = (call: ApiCall): string => `${parentOf(call)}/jobs/${call.param("job")}`;
  const notThere = (): string => "Requested entity was not found.";

  function check(job: Json): void {
    const schedule = textAt(job, "schedule");
    const timeZone = textAt(job, "timeZone") || "Etc/UTC";
    try {
      if (schedule.trim().split(/\s+/).length !== 5) throw new Error("five fields");
      new Cron(schedule, { paused: true }).stop();
      // Throws for a zone that is none.
      new Intl.DateTimeFormat("en", { timeZone }).format(0);
    } catch {
      throw invalid(`Schedule or time zone is invalid. (${schedule}, ${timeZone})`);
    }
    const [pubsub, http] = [jsonAt(job, "pubsubTarget"), jsonAt(job, "httpTarget")];
    const topic = textAt(pubsub, "topicName");
    const uri = textAt(http, "uri");
    if ((topic === "") === (uri === "")) throw invalid("A job has exactly one target.");
    if (topic !== "") {
      if (!state.resources.topic.has(topic))
        throw missing(`Resource not found (resource=${topic.slice(topic.lastIndexOf("/") + 1)}).`);
      if (textAt(pubsub, "data") === "" && Object.keys(jsonAt(pubsub, "attributes")).length === 0)
        throw invalid("PubsubTarget must have data or attributes.");
      return;
    }
    if (!/^https?:\/\/[^/\s]+\.[a-z]+(\/|$)/.test(uri)) throw invalid(`The URI ${uri} is invalid.`);
    const email = textAt(http, "oidcToken", "serviceAccountEmail");
    if (email !== "") checkActAs(world, email);
  }

  const withDefaults = (job: Json): Json => ({
    timeZone: "Etc/UTC",
    state: "ENABLED",
    attemptDeadline: "180s",
    ...job,
    userUpdateTime: stamp(world.now()),
  });

  async function create(call: ApiCall): Promise<Json> {
    const name = textAt(call.body, "name");
    if (!name.startsWith(`${parentOf(call)}/jobs/`)) throw invalid("The job's name must begin with its parent.");
    checkName(name.slice(name.lastIndexOf("/") + 1), /^[\w-]{1,500}$/, "job");
    if (state.resources.schedule.has(name)) throw new CloudError("ALREADY_EXISTS", `Job ${name} already exists.`);
    if (listed(world, "schedule", `${parentOf(call)}/jobs/`).length >= quotas.schedules) {
      throw new CloudError("RESOURCE_EXHAUSTED", "Quota exceeded for number of jobs per location.");
    }
    check(call.body);
    return await put(world, "schedule", name, withDefaults(call.body));
  }

  async function patch(call: ApiCall): Promise<Json> {
    const name = nameOf(call);
    const before = need(world, "schedule", name, notThere());
    const job = masked(before, call.body, maskOf(call.query) ?? Object.keys(call.body));
    check(job);
    return await put(world, "schedule", name, withDefaults({ ...job, name }));
  }

  async function turned(call: ApiCall, to: string): Promise<Json> {
    return await put(world, "schedule", nameOf(call), {
      ...need(world, "schedule", nameOf(call), notThere()),
      state: to,
    });
  }

  async function runNow(call: ApiCall): Promise<Json> {
    const job = need(world, "schedule", nameOf(call), notThere());
    const { topicName, data, attributes } = jsonAt(job, "pubsubTarget");
    if (typeof topicName === "string") await world.bridge.publish(topicName, [{ data, attributes }]);
    else await world.bridge.request(jsonAt(job, "httpTarget"));
    return await put(world, "schedule", nameOf(call), { ...job, lastAttemptTime: stamp(world.now()) });
  }

  const jobs = "v1/projects/{project}/locations/{location}/jobs";
  return {
    host: "cloudscheduler",
    service: "cloudscheduler.googleapis.com",
    title: "Cloud Scheduler API",
    routes: [
      route("POST", jobs, "cloudscheduler.jobs.create", create),
      route("GET", jobs, "cloudscheduler.jobs.list", (call) =>
        page(call, "jobs", listed(world, "schedule", `${parentOf(call)}/jobs/`)),
      ),
      route("GET", `${jobs}/{job}`, "cloudscheduler.jobs.get", (call) =>
        need(world, "schedule", nameOf(call), notThere()),
      ),
      route("PATCH", `${jobs}/{job}`, "cloudscheduler.jobs.update", patch),
      route("DELETE", `${jobs}/{job}`, "cloudscheduler.jobs.delete", async (call) => {
        await remove(world, "schedule", nameOf(call), notThere());
        return {};
      }),
      route("POST", `${jobs}/{job}:run`, "cloudscheduler.jobs.run", runNow),
      route("POST", `${jobs}/{job}:pause`, "cloudscheduler.jobs.pause", (call) => turned(call, "PAUSED")),
      route("POST", `${jobs}/{job}:resume`, "cloudscheduler.jobs.enable", (call) => turned(call, "ENABLED")),
    ],
  };
}
