/** Cloud Tasks: queues. Tasks themselves are taken by the fake of their own. */
import { CloudError, invalid } from "../errors.ts";
import { jsonAt, masked, maskOf, textAt, type Json } from "../json.ts";
import { policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkName, listed, need, put, remove, type World } from "../world.ts";

/** A queue's name is taken for so long after it was deleted. */
const NAME_MEMORY_MS = 7 * 86_400_000;

export function tasks(world: World): Api {
  const deletedAt = new Map<string, number>();
  const parentOf = (call: ApiCall): string => `projects/${call.project}/locations/${call.param("location")}`;
  const nameOf = (call: ApiCall): string => `${parentOf(call)}/queues/${call.param("queue")}`;
  const notThere = (): string =>
    "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize.";

  const withDefaults = (queue: Json): Json => ({
    state: "RUNNING",
    ...queue,
    rateLimits: {
      maxDispatchesPerSecond: 500,
      maxBurstSize: 100,
      maxConcurrentDispatches: 1000,
      ...jsonAt(queue, "rateLimits"),
    },
    retryConfig: {
      maxAttempts: 100,
      minBackoff: "0.100s",
      maxBackoff: "3600s",
      maxDoublings: 16,
      ...jsonAt(queue, "retryConfig"),
    },
  });

  function check(queue: Json): void {
    const { maxDispatchesPerSecond = 500, maxConcurrentDispatches = 1000 } = jsonAt(queue, "rateLimits");
    if (Number(maxDispatchesPerSecond) > 500)
      throw invalid("Queue.rateLimits.maxDispatchesPerSecond must be at most 500.");
    if (Number(maxConcurrentDispatches) > 5000)
      throw invalid("Queue.rateLimits.maxConcurrentDispatches must be at most 5000.");
    const attempts = Number(jsonAt(queue, "retryConfig")["maxAttempts"] ?? 100);
    if (attempts === 0 || attempts < -1) throw invalid("Queue.retryConfig.maxAttempts must be -1 or more than 0.");
  }

  async function create(call: ApiCall): Promise<Json> {
    const name = textAt(call.body, "name");
    if (!name.startsWith(`${parentOf(call)}/queues/`)) throw invalid("The queue's name must begin with its parent.");
    checkName(name.slice(name.lastIndexOf("/") + 1), /^[A-Za-z0-9-]{1,100}$/, "queue");
    if (world.state.resources.queue.has(name)) throw new CloudError("ALREADY_EXISTS", "Queue already exists");
    if (world.now() - (deletedAt.get(name) ?? -Infinity) < NAME_MEMORY_MS) {
      throw new CloudError(
        "FAILED_PRECONDITION",
        "The queue cannot be created because a queue with this name existed too recently.",
      );
    }
    check(call.body);
    return await put(world, "queue", name, withDefaults(call.body));
  }

  const queues = ["v2", "v2beta3"].map((version) => `${version}/projects/{project}/locations/{location}/queues`);
  return {
    host: "cloudtasks",
    service: "cloudtasks.googleapis.com",
    title: "Cloud Tasks API",
    routes: queues.flatMap((pattern) => [
      route("POST", pattern, "cloudtasks.queues.create", create),
      route("GET", pattern, "cloudtasks.queues.list", (call) =>
        page(call, "queues", listed(world, "queue", `${parentOf(call)}/queues/`)),
      ),
      route("GET", `${pattern}/{queue}`, "cloudtasks.queues.get", (call) =>
        need(world, "queue", nameOf(call), notThere()),
      ),
      route("PATCH", `${pattern}/{queue}`, "cloudtasks.queues.update", async (call) => {
        const before = need(world, "queue", nameOf(call), notThere());
        const queue = {
          ...masked(before, call.body, maskOf(call.query) ?? Object.keys(call.body)),
          name: nameOf(call),
        };
        check(queue);
        return await put(world, "queue", nameOf(call), withDefaults(queue));
      }),
      route("DELETE", `${pattern}/{queue}`, "cloudtasks.queues.delete", async (call) => {
        await remove(world, "queue", nameOf(call), notThere());
        deletedAt.set(nameOf(call), world.now());
        return {};
      }),
      route("POST", `${pattern}/{queue}:purge`, "cloudtasks.queues.purge", (call) =>
        need(world, "queue", nameOf(call), notThere()),
      ),
      ...policyRoutes(world, `${pattern}/{queue}`, "cloudtasks.queues", (call) => {
        need(world, "queue", nameOf(call), notThere());
        return `queue ${nameOf(call)}`;
      }),
    ]),
  };
}
