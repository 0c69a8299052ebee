/** Cloud Functions, second generation: each is built from its source and becomes a Cloud Run service, and a trigger where it has one. */
import { createHash } from "node:crypto";
import type { FakeGcs } from "../../fake-gcs.ts";
import { CloudError, invalid, missing } from "../errors.ts";
import { checkSettings, RUNTIMES } from "../function-settings.ts";
import { at, jsonAt, masked, maskOf, textAt, type Json } from "../json.ts";
import { policyOf, policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkTrigger, dropTrigger, makeTrigger } from "../triggers.ts";
import {
  checkActAs,
  checkName,
  hasAccount,
  listed,
  need,
  projectOf,
  put,
  remove,
  stamp,
  type World,
} from "../world.ts";

export interface FunctionOptions {
  readonly gcs: FakeGcs;
  /** How long a create or an update takes (ms). */
  readonly buildMs: number;
  /** Where uploads without a bucket of one's own go. */
  readonly uploadBucket: string;
}

const DEFAULTS: Json = {
  availableMemory: "256M",
  timeoutSeconds: 60,
  maxInstanceCount: 100,
  maxInstanceRequestConcurrency: 1,
  availableCpu: "0.1666",
  ingressSettings: "ALLOW_ALL",
  allTrafficOnLatestRevision: true,
};

export function functions(world: World, options: FunctionOptions): Api {
  const { state, quotas } = world;
  const writes: number[] = [];
  let uploads = 0;
  const parentOf = (call: ApiCall): string => `projects/${call.project}/locations/${call.param("location")}`;
  const nameOf = (call: ApiCall): string => `${parentOf(call)}/functions/${call.param("function")}`;
  const notThere = (name: string): string => `Resource '${name}' was not found`;

  function countWrite(): void {
    const now = world.now();
    while ((writes[0] ?? now) <= now - 60_000) writes.shift();
    if (writes.length >= quotas.functionWritesPerMinute) {
      const message = `Quota exceeded for quota metric 'Per project mutation requests' and limit 'Per project mutation requests per minute per region' of service 'cloudfunctions.googleapis.com'`;
      throw new CloudError("RESOURCE_EXHAUSTED", message);
    }
    writes.push(now);
  }

  /** Refuses at once what Google refuses at once. */
  function check(call: ApiCall, wanted: Json): void {
    checkSettings(wanted);
    for (const service of ["run", "cloudbuild", "artifactregistry"]) {
      if (projectOf(world, call.project).apis.has(`${service}.googleapis.com`)) continue;
      throw new CloudError(
        "FAILED_PRECONDITION",
        `The API ${service}.googleapis.com is not enabled in project ${call.project}.`,
      );
    }
    const { number } = projectOf(world, call.project);
    checkActAs(
      world,
      textAt(wanted, "serviceConfig", "serviceAccountEmail") || `${number}-compute@developer.gserviceaccount.com`,
    );
    const builder = textAt(wanted, "buildConfig", "serviceAccount").replace(/^projects\/[^/]+\/serviceAccounts\//, "");
    if (builder !== "") checkActAs(world, builder);
    const source = jsonAt(wanted, "buildConfig", "source", "storageSource");
    const [bucket, object] = [textAt(source, "bucket"), textAt(source, "object")];
    if (options.gcs.pathOf(bucket, object, textAt(source, "generation") || undefined) === undefined) {
      throw missing(`Could not find the source object gs://${bucket}/${object}.`);
    }
    for (const secret of secretsOf(wanted)) {
      if (!state.resources.secret.has(secret)) throw invalid(`Secret ${secret} was not found.`);
    }
    if (wanted["eventTrigger"] !== undefined) checkTrigger(world, call.project, jsonAt(wanted, "eventTrigger"));
  }

  /** The build, the service and the trigger, once the time has come. */
  async function deploy(call: ApiCall, name: string, wanted: Json): Promise<Json> {
    const { project } = call;
    const [short, location] = [call.query.get("functionId") ?? call.param("function"), call.param("location")];
    const builder = textAt(wanted, "buildConfig", "serviceAccount").replace(/^projects\/[^/]+\/serviceAccounts\//, "");
    checkBuilder(project, builder);
    const repository = `${parentOf(call)}/repositories/gcf-artifacts`;
    if (!state.resources.repository.has(repository)) {
      await put(world, "repository", repository, {
        name: repository,
        format: "DOCKER",
        createTime: stamp(world.now()),
      });
    }
    const service = `${parentOf(call)}/services/${short}`;
    const digest = createHash("sha256").update(`${project}/${location}`).digest("hex").slice(0, 10);
    const uri = `https://${short}-${digest}-${shortRegion(location)}.a.run.app`;
    const before = state.resources.function.get(name);
    const revision = Number(/-(\d{5})-/.exec(textAt(before, "serviceConfig", "revision"))?.[1] ?? 0) + 1;
    const build = `${parentOf(call).replace(project, projectOf(world, project).number)}/builds/${short}-${revision}`;
    const eventTrigger =
      wanted["eventTrigger"] === undefined
        ? undefined
        : await makeTrigger(world, { project, location, short, uri, service, wanted: jsonAt(wanted, "eventTrigger") });
    if (eventTrigger === undefined) await dropTrigger(world, textAt(before, "eventTrigger", "trigger"));
    const serviceConfig = {
      ...DEFAULTS,
      ...jsonAt(wanted, "serviceConfig"),
      service,
      uri,
      revision: `${short}-${String(revision).padStart(5, "0")}-fak`,
      ...(!("serviceAccountEmail" in jsonAt(wanted, "serviceConfig")) && {
        serviceAccountEmail: `${projectOf(world, project).number}-compute@developer.gserviceaccount.com`,
      }),
    };
    const deployed: Json = {
      ...wanted,
      name,
      buildConfig: { dockerRepository: repository, ...jsonAt(wanted, "buildConfig"), build },
      serviceConfig,
      ...(eventTrigger !== undefined && { eventTrigger }),
      state: "ACTIVE",
      environment: "GEN_2",
      url: `https://${location}-${project}.cloudfunctions.net/${short}`,
      createTime: textAt(before, "createTime") || stamp(world.now()),
      updateTime: stamp(world.now()),
    };
    await put(world, "build", build, { name: build, id: build.slice(build.lastIndexOf("/") + 1), status: "SUCCESS" });
    await put(world, "service", service, { name: short, project, location, uri, serviceConfig });
    return await put(world, "function", name, deployed);
  }

  function checkBuilder(project: string, builder: string): void {
    if (builder === "") return;
    const member = `serviceAccount:${builder}`;
    const roles = policyOf(world, `project ${project}`)
      .bindings.filter(({ members }) => members.includes(member))
      .map(({ role }) => role);
    if (
      hasAccount(world, builder) &&
      roles.some((role) => /^roles\/(cloudbuild\.builds\.builder|editor|owner)$/.test(role))
    )
      return;
    throw new CloudError(
      "INVALID_ARGUMENT",
      `Build failed with status: FAILURE. Could not build the function due to a missing permission on the build service account ${builder}.`,
    );
  }

  function operation(
    call: ApiCall,
    name: string,
    type: string,
    stages: readonly string[],
    run: () => Promise<Json>,
  ): Promise<Json> {
    return world.operations.start({
      parent: `${parentOf(call)}/operations`,
      target: name,
      ms: options.buildMs,
      metadata: {
        "@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata",
        target: name,
        verb: type.toLowerCase(),
        apiVersion: "v2",
        operationType: `${type}_FUNCTION`,
        createTime: stamp(world.now()),
        stages: stages.map((stage) => ({ name: stage, message: "" })),
      },
      run,
    });
  }

  async function create(call: ApiCall): Promise<Json> {
    const id = call.query.get("functionId") ?? "";
    const name = `${parentOf(call)}/functions/${id}`;
    checkName(id, /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "function");
    if (state.resources.function.has(name) || world.operations.isBusy(name)) {
      throw new CloudError("ALREADY_EXISTS", `Resource '${name}' already exists`);
    }
    if (state.resources.function.size >= quotas.functions)
      throw new CloudError("RESOURCE_EXHAUSTED", "Quota exceeded for total allowable functions per region.");
    check(call, call.body);
    countWrite();
    return await operation(call, name, "CREATE", stagesOf(call.body), async () => ({
      "@type": "type.googleapis.com/google.cloud.functions.v2.Function",
      ...(await deploy(call, name, call.body)),
    }));
  }

  async function patch(call: ApiCall): Promise<Json> {
    const name = nameOf(call);
    const before = need(world, "function", name, notThere(name));
    const wanted = masked(before, call.body, maskOf(call.query) ?? Object.keys(call.body));
    check(call, wanted);
    if (world.operations.isBusy(name))
      throw new CloudError("ABORTED", `unable to queue the operation: an operation is in progress for ${name}`);
    countWrite();
    return await operation(call, name, "UPDATE", stagesOf(wanted), async () => ({
      "@type": "type.googleapis.com/google.cloud.functions.v2.Function",
      ...(await deploy(call, name, wanted)),
    }));
  }

  async function erase(call: ApiCall): Promise<Json> {
    const name = nameOf(call);
    const before = need(world, "function", name, notThere(name));
    countWrite();
    return await operation(call, name, "DELETE", [], async () => {
      await dropTrigger(world, textAt(before, "eventTrigger", "trigger"));
      const service = textAt(before, "serviceConfig", "service");
      await remove(world, "function", name, notThere(name));
      await remove(world, "service", service, notThere(service));
      return { "@type": "type.googleapis.com/google.protobuf.Empty" };
    });
  }

  const versions = ["v2", "v2alpha", "v2beta"];
  const parent = "projects/{project}/locations/{location}";
  return {
    host: "cloudfunctions",
    service: "cloudfunctions.googleapis.com",
    title: "Cloud Functions API",
    routes: versions.flatMap((version) => [
      route("GET", `${version}/${parent}/runtimes`, "cloudfunctions.runtimes.list", () => ({ runtimes: RUNTIMES })),
      route("GET", `${version}/projects/{project}/locations`, "cloudfunctions.locations.list", (call) => ({
        locations: [{ name: `projects/${call.project}/locations/europe-west1`, locationId: "europe-west1" }],
      })),
      route(
        "POST",
        `${version}/${parent}/functions:generateUploadUrl`,
        "cloudfunctions.functions.sourceCodeSet",
        (call) => {
          const object = `upload-${++uploads}.zip`;
          const storageSource = { bucket: options.uploadBucket, object };
          void call;
          return { uploadUrl: `http://storage.fake/signed/${options.uploadBucket}/${object}`, storageSource };
        },
      ),
      route("POST", `${version}/${parent}/functions`, "cloudfunctions.functions.create", create),
      route("GET", `${version}/${parent}/functions`, "cloudfunctions.functions.list", (call) => {
        const location = call.param("location");
        const below = location === "-" ? `projects/${call.project}/locations/` : `${parentOf(call)}/functions/`;
        return page(call, "functions", listed(world, "function", below));
      }),
      route("GET", `${version}/${parent}/functions/{function}`, "cloudfunctions.functions.get", (call) =>
        need(world, "function", nameOf(call), notThere(nameOf(call))),
      ),
      route("PATCH", `${version}/${parent}/functions/{function}`, "cloudfunctions.functions.update", patch),
      route("DELETE", `${version}/${parent}/functions/{function}`, "cloudfunctions.functions.delete", erase),
      route("GET", `${version}/${parent}/operations/{operation}`, "cloudfunctions.operations.get", (call) =>
        world.operations.get(`${parentOf(call)}/operations/${call.param("operation")}`),
      ),
      ...policyRoutes(world, `${version}/${parent}/functions/{function}`, "cloudfunctions.functions", (call) => {
        need(world, "function", nameOf(call), notThere(nameOf(call)));
        return `function ${nameOf(call)}`;
      }),
    ]),
  };
}

const stagesOf = (wanted: Json): readonly string[] => [
  "BUILD",
  "SERVICE",
  ...("eventTrigger" in wanted ? ["TRIGGER"] : []),
];

/** `europe-west1` → `ew`. */
function shortRegion(location: string): string {
  return location
    .split("-")
    .map((part) => part[0])
    .join("");
}

function secretsOf(wanted: Json): readonly string[] {
  const list = at(wanted, "serviceConfig", "secretEnvironmentVariables");
  return (Array.isArray(list) ? list : []).map(
    (each) => `projects/${textAt(each, "projectId")}/secrets/${textAt(each, "secret")}`,
  );
}
