/** The steps about Pub/Sub and Cloud Tasks: delayed messages, and letters that nobody takes. */
import { at, CannotTry, listAt, needed, pause } from "./probe-rest.ts";
import type { Json } from "./probe-rest.ts";
import type { Desk, ProbeStep } from "./probe.ts";

const nameOf = ({ id }: Desk, what: string): string => `sluice-probe-${id}-${what}`;
const full = (desk: Desk, kind: "topics" | "subscriptions", name: string): string =>
  `projects/${desk.project}/${kind}/${name}`;

/** A topic, or a subscription, that goes at the end. */
async function make(desk: Desk, kind: "topics" | "subscriptions", what: string, body: object = {}): Promise<string> {
  const name = nameOf(desk, what);
  desk.atEnd(`the ${kind.slice(0, -1)} ${name}`, ({ pubsub }) =>
    pubsub({ method: "DELETE", path: `/${kind}/${name}` }),
  );
  needed(
    await desk.pubsub({ method: "PUT", path: `/${kind}/${name}`, body }),
    `making the ${kind.slice(0, -1)} ${name}`,
  );
  return name;
}

async function pulled(desk: Desk, subscription: string): Promise<readonly Json[]> {
  const path = `/subscriptions/${subscription}:pull`;
  const body = { maxMessages: 10, returnImmediately: true };
  return listAt(needed(await desk.pubsub({ method: "POST", path, body }), "pulling messages").body, "receivedMessages");
}

const textOf = (message: Json): string => Buffer.from(at(message, "message", "data") ?? "", "base64").toString();

const DELAY_MS = 3_000;
/** Clocks differ a little. */
const SLACK_MS = 500;
const MAX_ATTEMPTS = 5;

export const messageSteps: readonly ProbeStep[] = [
  {
    name: "delayed-task-publishes",
    relies: "a task calls Pub/Sub's own publish method at its time, and its name cannot be used twice",
    where: "lib/gcp/pubsub-bus.ts, schedule",
    async try(desk) {
      const account =
        desk.taskAccount ??
        (desk.endpoints.tasks === undefined ? undefined : `probe@${desk.project}.iam.gserviceaccount.com`);
      if (account === undefined) throw new CannotTry("name the account that tasks call as by --task-account");
      const topic = await make(desk, "topics", "tasks");
      const subscription = await make(desk, "subscriptions", "tasks", { topic: full(desk, "topics", topic) });
      const location = `projects/${desk.project}/locations/${desk.region}`;
      const queue = `${location}/queues/${nameOf(desk, "queue")}`;
      desk.atEnd(`the queue ${queue}`, ({ tasks }) => tasks({ method: "DELETE", path: `/${queue}` }));
      needed(
        await desk.tasks({ method: "POST", path: `/${location}/queues`, body: { name: queue } }),
        "making a queue",
      );
      const due = Date.now() + DELAY_MS;
      const task = {
        name: `${queue}/tasks/probe`,
        scheduleTime: new Date(due).toISOString(),
        httpRequest: {
          url: `${desk.pubsubUrl}/v1/${full(desk, "topics", topic)}:publish`,
          httpMethod: "POST",
          headers: { "content-type": "application/json" },
          body: Buffer.from(JSON.stringify({ messages: [{ data: Buffer.from("later").toString("base64") }] })).toString(
            "base64",
          ),
          oauthToken: { serviceAccountEmail: account, scope: "https://www.googleapis.com/auth/pubsub" },
        },
      };
      const path = `/${queue}/tasks`;
      // A queue is made in the background.
      await until(desk, "the new queue", async () => {
        const made = await desk.tasks({ method: "POST", path, body: { task } });
        if (made.status === 404 || at(made.body, "error", "status") === "FAILED_PRECONDITION") return undefined;
        return needed(made, "making a task");
      });
      const again = await desk.tasks({ method: "POST", path, body: { task } });
      const arrived = await arrival(desk, subscription, "later");
      if (arrived === undefined) return { holds: false, saw: `no message within ${desk.patienceMs / 1000} s` };
      const late = arrived - due;
      const saw = `the message came ${late} ms after its time; the same name again: ${again.status}`;
      return { holds: late >= -SLACK_MS && again.status === 409, saw };
    },
  },
  {
    name: "dead-letters",
    relies: "Pub/Sub's service agent may forward what nobody takes: publish to the dead-letter topic, and acknowledge",
    where: "the deployment's grants on topics and subscriptions",
    async try(desk) {
      const dead = await make(desk, "topics", "dead");
      const letters = await make(desk, "subscriptions", "letters", { topic: full(desk, "topics", dead) });
      const topic = await make(desk, "topics", "live");
      const deadLetterPolicy = { deadLetterTopic: full(desk, "topics", dead), maxDeliveryAttempts: MAX_ATTEMPTS };
      const body = { topic: full(desk, "topics", topic), deadLetterPolicy };
      const subscription = await make(desk, "subscriptions", "live", body);
      await grant(desk, dead, subscription);
      const messages = [{ data: Buffer.from("nobody").toString("base64") }];
      needed(await desk.pubsub({ method: "POST", path: `/topics/${topic}:publish`, body: { messages } }), "publishing");
      let refused = 0;
      for (const end = Date.now() + desk.patienceMs; Date.now() < end; await pause(250, desk.signal)) {
        const found = await pulled(desk, subscription);
        const ackIds = found.map((message) => at(message, "ackId"));
        refused += ackIds.length;
        const path = `/subscriptions/${subscription}:modifyAckDeadline`;
        if (ackIds.length > 0) await desk.pubsub({ method: "POST", path, body: { ackIds, ackDeadlineSeconds: 0 } });
        const letter = (await pulled(desk, letters)).find((message) => textOf(message) === "nobody");
        if (letter !== undefined) return { holds: true, saw: `forwarded after ${refused} refused deliveries` };
      }
      const saw = `not forwarded after ${refused} refused deliveries in ${desk.patienceMs / 1000} s`;
      if (refused < MAX_ATTEMPTS) throw new CannotTry(saw);
      return { holds: false, saw };
    },
  },
];

/** The roles that the deployment grants. Emulators know none. */
async function grant(desk: Desk, topic: string, subscription: string): Promise<void> {
  if (desk.resources === undefined) return;
  const { body } = needed(
    await desk.resources({ path: `/v3/projects/${desk.project}` }),
    "reading the project's number",
  );
  const number = at(body, "name")?.split("/").at(-1) ?? "";
  const member = `serviceAccount:service-${number}@gcp-sa-pubsub.iam.gserviceaccount.com`;
  for (const [path, role] of [
    [`/topics/${topic}`, "roles/pubsub.publisher"],
    [`/subscriptions/${subscription}`, "roles/pubsub.subscriber"],
  ] as const) {
    const policy = { bindings: [{ role, members: [member] }] };
    needed(
      await desk.pubsub({ method: "POST", path: `${path}:setIamPolicy`, body: { policy } }),
      `granting ${role} to ${member}`,
    );
  }
}

/** When a message with this text came (ms); `undefined` where it did not in time. */
async function arrival(desk: Desk, subscription: string, text: string): Promise<number | undefined> {
  for (const end = Date.now() + desk.patienceMs; Date.now() < end; await pause(200, desk.signal))
    if ((await pulled(desk, subscription)).some((message) => textOf(message) === text)) return Date.now();
  return undefined;
}

async function until<T>(desk: Desk, what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + desk.patienceMs; Date.now() < end; await pause(500, desk.signal)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new CannotTry(`${what} was not there within ${desk.patienceMs / 1000} s`);
}
