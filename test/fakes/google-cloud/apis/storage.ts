/** Cloud Storage: objects, uploads and notifications by the fake of their own; here are a bucket's settings and policy, and who may be told. */
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import type { FakeGcs } from "../../fake-gcs.ts";
import type { Reply } from "../../http-fake.ts";
import { CloudError, invalid, missing } from "../errors.ts";
import { at, isJson, jsonAt, listAt, textAt, type Json } from "../json.ts";
import { policyOf, setPolicy, shownPolicy } from "../policies.ts";
import { route, type Api, type ApiCall } from "../routing.ts";
import type { CloudState } from "../state.ts";
import { projectOf, put, type World } from "../world.ts";

export function storage(world: World, gcs: FakeGcs): Api {
  const { state } = world;
  const bucketOf = (call: ApiCall): string => call.param("bucket");

  function settingsOf(name: string): Json {
    const found = state.resources.bucket.get(name);
    if (found === undefined) throw missing("The specified bucket does not exist.");
    return found;
  }

  /** The bucket as the fake of objects has it, with the settings that are kept here. */
  const shown = (call: ApiCall, name: string): Json => {
    const settings = settingsOf(name);
    return {
      kind: "storage#bucket",
      id: name,
      selfLink: `https://www.googleapis.com/storage/v1/b/${name}`,
      name,
      projectNumber: projectOf(world, call.project).number,
      storageClass: "STANDARD",
      ...settings,
    };
  };

  async function create(call: ApiCall): Promise<Json> {
    const name = textAt(call.body, "name");
    const project = call.query.get("project") ?? call.project;
    projectOf(world, project);
    const location = (textAt(call.body, "location") || "US").toUpperCase();
    checkSettings(call.body);
    // Refuses bad names and names that are taken.
    gcs.createBucket(name, location.toLowerCase());
    const now = new Date(world.now()).toISOString();
    await put(world, "bucket", name, {
      location,
      locationType: location.includes("-") ? "region" : "multi-region",
      metageneration: "1",
      etag: "CAE=",
      timeCreated: now,
      updated: now,
      iamConfiguration: { publicAccessPrevention: "inherited", uniformBucketLevelAccess: { enabled: false } },
      softDeletePolicy: { retentionDurationSeconds: "604800" },
      ...call.body,
    });
    return shown(call, name);
  }

  async function patch(call: ApiCall): Promise<Json> {
    const name = bucketOf(call);
    const before = settingsOf(name);
    checkSettings(call.body);
    const wanted = call.query.get("ifMetagenerationMatch");
    if (wanted !== null && wanted !== textAt(before, "metageneration")) {
      throw new CloudError("PRECONDITION_NOT_MET", "At least one of the pre-conditions you specified did not hold.");
    }
    if ("location" in call.body && textAt(call.body, "location").toUpperCase() !== textAt(before, "location")) {
      throw invalid("The location of a bucket cannot be changed.");
    }
    const metageneration = Number(textAt(before, "metageneration")) + 1;
    await put(world, "bucket", name, {
      ...merged(before, call.body),
      metageneration: String(metageneration),
      etag: Buffer.from(`m${metageneration}`).toString("base64"),
      updated: new Date(world.now()).toISOString(),
    });
    return shown(call, name);
  }

  /** A notification goes to a topic that is there, and that the service agent may publish to. */
  async function notify(call: ApiCall): Promise<Reply> {
    settingsOf(bucketOf(call));
    const topic = textAt(call.body, "topic").replace("//pubsub.googleapis.com/", "");
    const { number } = projectOf(world, call.project);
    const agent = `service-${number}@gs-project-accounts.iam.gserviceaccount.com`;
    if (!state.resources.topic.has(topic))
      throw invalid(`Invalid Google Cloud Pub/Sub topic: Not found. Topic '${topic}' not found.`);
    const may = [`topic ${topic}`, `project ${topic.split("/")[1]}`].some((key) =>
      policyOf(world, key).bindings.some(
        ({ role, members }) =>
          /^roles\/(pubsub\.(publisher|editor|admin)|editor|owner)$/.test(role) &&
          members.includes(`serviceAccount:${agent}`),
      ),
    );
    if (!may) {
      const message = `The service account '${agent}' does not have permission to publish messages to to the Cloud Pub/Sub topic '//pubsub.googleapis.com/${topic}', or that topic does not exist.`;
      throw new CloudError("PERMISSION_DENIED", message);
    }
    // gcloud leaves the service's name out.
    const bytes = Buffer.from(JSON.stringify({ ...call.body, topic: `//pubsub.googleapis.com/${topic}` }));
    const { "content-length": _, ...headers } = call.headers;
    return noted(bucketOf(call), await passOn({ ...call, bytes, headers }, gcs.url));
  }

  function noted(bucket: string, reply: Passed): Reply {
    const notification: unknown = reply.status === 200 ? JSON.parse(reply.body.toString()) : undefined;
    if (isJson(notification)) state.resources.notification.set(`${bucket}/${textAt(notification, "id")}`, notification);
    return reply;
  }

  const keyOf = (call: ApiCall): string => {
    settingsOf(bucketOf(call));
    return `bucket ${bucketOf(call)}`;
  };
  const forward = (call: ApiCall): Promise<Reply> => passOn(call, gcs.url);
  const b = "storage/v1/b/{bucket}";
  return {
    host: "storage",
    service: "storage.googleapis.com",
    title: "Cloud Storage API",
    routes: [
      route("POST", "storage/v1/b", "storage.buckets.create", create),
      route("GET", "storage/v1/b", "storage.buckets.list", (call) => ({
        kind: "storage#buckets",
        items: [...state.resources.bucket.keys()].sort().map((name) => shown(call, name)),
      })),
      route("GET", b, "storage.buckets.get", (call) => shown(call, bucketOf(call))),
      route("PATCH", b, "storage.buckets.update", patch),
      route("DELETE", b, "storage.buckets.delete", async (call) => {
        const reply = await forward(call);
        if (reply.status >= 300) return reply;
        state.resources.bucket.delete(bucketOf(call));
        state.policies.delete(`bucket ${bucketOf(call)}`);
        return reply;
      }),
      route("GET", `${b}/iam`, "storage.buckets.getIamPolicy", (call) => {
        const asked = Number(call.query.get("optionsRequestedPolicyVersion"));
        return {
          kind: "storage#policy",
          resourceId: `projects/_/buckets/${bucketOf(call)}`,
          ...shownPolicy(policyOf(world, keyOf(call)), asked),
        };
      }),
      route("PUT", `${b}/iam`, "storage.buckets.setIamPolicy", (call) => {
        const key = keyOf(call);
        const uniform =
          at(settingsOf(bucketOf(call)), "iamConfiguration", "uniformBucketLevelAccess", "enabled") === true;
        if (!uniform && JSON.stringify(call.body).includes('"condition"')) {
          throw invalid("Conditions are only supported on buckets with uniform bucket-level access.");
        }
        return { kind: "storage#policy", ...shownPolicy(setPolicy(world, key, call.body), 3) };
      }),
      route("GET", `${b}/iam/testPermissions`, "", (call) => ({
        kind: "storage#testIamPermissionsResponse",
        permissions: call.query.getAll("permissions").filter((each) => !world.denied.has(each)),
      })),
      route("POST", `${b}/notificationConfigs`, "storage.buckets.update", notify),
      route("DELETE", `${b}/notificationConfigs/{id}`, "storage.buckets.update", async (call) => {
        const reply = await forward(call);
        if (reply.status < 300) state.resources.notification.delete(`${bucketOf(call)}/${call.param("id")}`);
        return reply;
      }),
      route("GET", "storage/v1/projects/{project}/serviceAccount", "resourcemanager.projects.get", (call) => {
        const { id, number } = projectOf(world, call.project);
        const email = `service-${number}@gs-project-accounts.iam.gserviceaccount.com`;
        state.agents.add(email);
        return { kind: "storage#serviceAccount", email_address: email, projectId: id };
      }),
      route("PUT", "signed/{bucket}/{object}", "", async (call) => {
        await gcs.put(bucketOf(call), call.param("object"), call.bytes, { contentType: "application/zip" });
        return { status: 200 };
      }),
      ...["GET", "POST", "PUT", "PATCH", "DELETE"].flatMap((method) =>
        [`${b}/{rest=**}`, `upload/${b}/{rest=**}`, `resumable/upload/${b}/{rest=**}`, `download/${b}/{rest=**}`].map(
          (pattern) =>
            route(method, pattern, method === "GET" ? "storage.objects.get" : "storage.objects.create", forward),
        ),
      ),
    ],
  };
}

type Passed = Reply & { readonly body: Buffer };

/** Sends the request on to a fake of its own, as it came. */
export async function passOn(call: ApiCall, url: string): Promise<Passed> {
  const search = call.query.size === 0 ? "" : `?${call.query.toString()}`;
  const outgoing = httpRequest(`${url}${call.path}${search}`, { method: call.method, headers: call.headers });
  outgoing.end(call.bytes);
  // The first argument of this event is the answer.
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  const headers = Object.entries(answer.headers).flatMap(([key, value]) =>
    typeof value === "string" &&
    key !== "content-length" &&
    key !== "connection" &&
    key !== "keep-alive" &&
    key !== "transfer-encoding"
      ? [[key, value] as const]
      : [],
  );
  return { status: answer.statusCode ?? 500, headers: Object.fromEntries(headers), body: await buffer(answer) };
}

function checkSettings(body: Json): void {
  for (const rule of listAt(body, "lifecycle", "rule")) {
    const type = textAt(rule, "action", "type");
    if (!["Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"].includes(type))
      throw invalid(`Invalid lifecycle action: ${type}`);
    if (Object.keys(jsonAt(rule, "condition")).length === 0) throw invalid("A lifecycle rule must have a condition.");
  }
}

/** As PATCH does: `null` takes a field away, objects are merged. */
function merged(before: Json, given: Json): Json {
  const entries = Object.entries(given).map(([key, value]) => {
    const old = before[key];
    return [key, isJson(value) && isJson(old) && key !== "lifecycle" ? merged(old, value) : value] as const;
  });
  return Object.fromEntries(
    Object.entries({ ...before, ...Object.fromEntries(entries) }).filter(([, value]) => value !== null),
  );
}

/** Makes a bucket tell a topic of its new objects, without asking whether it may. */
export async function announce(state: CloudState, gcs: FakeGcs, bucket: string, topic: string): Promise<void> {
  const body = {
    topic: `//pubsub.googleapis.com/${topic}`,
    payload_format: "JSON_API_V1",
    event_types: ["OBJECT_FINALIZE"],
  };
  const url = `${gcs.url}/storage/v1/b/${bucket}/notificationConfigs`;
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const notification: unknown = await answer.json();
  if (!answer.ok) throw new CloudError("FAILED_PRECONDITION", textAt(notification, "error", "message"));
  if (isJson(notification)) state.resources.notification.set(`${bucket}/${textAt(notification, "id")}`, notification);
}

export async function unannounce(state: CloudState, gcs: FakeGcs, topic: string): Promise<void> {
  for (const [key, notification] of state.resources.notification) {
    if (textAt(notification, "topic") !== `//pubsub.googleapis.com/${topic}`) continue;
    const [bucket = "", id = ""] = key.split("/");
    await fetch(`${gcs.url}/storage/v1/b/${bucket}/notificationConfigs/${id}`, { method: "DELETE" });
    state.resources.notification.delete(key);
  }
}
