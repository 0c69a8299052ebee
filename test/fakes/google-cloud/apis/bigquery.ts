/** BigQuery: datasets and who may use them. Tables and jobs are the business of the fake of their own, where there is one. */
import { CloudError, invalid } from "../errors.ts";
import { isJson, listAt, textAt, type Json } from "../json.ts";
import { checkLabels } from "../labels.ts";
import { route, type Api, type ApiCall } from "../routing.ts";
import { hasAccount, listed, need, projectOf, put, type World } from "../world.ts";
import { passOn } from "./storage.ts";

export function bigquery(world: World, options: { readonly jobsUrl: string | undefined }): Api {
  const { state } = world;
  const keyOf = (project: string, id: string): string => `projects/${project}/datasets/${id}`;
  const idOf = (call: ApiCall): string => call.param("dataset");
  const found = (call: ApiCall): Json =>
    need(world, "dataset", keyOf(call.project, idOf(call)), `Not found: Dataset ${call.project}:${idOf(call)}`);

  /** Entries of the access list: their accounts must be there, and old names of roles are what Google makes of the new ones. */
  function accessOf(dataset: Json, before: Json | undefined): readonly Json[] {
    const known = new Set(listAt(before, "access").map((entry) => textAt(entry, "userByEmail")));
    return listAt(dataset, "access")
      .filter(isJson)
      .map((entry) => {
        const email = textAt(entry, "userByEmail");
        if (email.endsWith(".gserviceaccount.com") && !known.has(email) && !hasAccount(world, email)) {
          throw invalid(
            `IAM setPolicy failed for Dataset ${textAt(dataset, "id")}: The member serviceAccount:${email} does not exist. Service account ${email} does not exist.`,
          );
        }
        const role = ROLES[textAt(entry, "role")] ?? entry["role"];
        if ("role" in entry && !/^(READER|WRITER|OWNER|roles\/[\w.]+)$/.test(String(role)))
          throw invalid(`Invalid role: ${String(role)}`);
        return role === undefined ? entry : { ...entry, role };
      });
  }

  function save(call: ApiCall, id: string, dataset: Json, before: Json | undefined): Promise<Json> {
    if (!/^\w{1,1024}$/.test(id))
      throw invalid(
        `Invalid dataset ID "${id}". Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.`,
      );
    checkLabels(dataset);
    const expiration = dataset["defaultTableExpirationMs"];
    if (expiration !== undefined && Number(expiration) < 3_600_000)
      throw invalid("The default table expiration must be at least 3600000 ms.");
    const now = String(world.now());
    const version = Number(Buffer.from(textAt(before, "etag"), "base64").toString().slice(1) || 0) + 1;
    return put(world, "dataset", keyOf(call.project, id), {
      kind: "bigquery#dataset",
      ...dataset,
      // 64-bit numbers are texts in the API's JSON.
      ...(expiration !== undefined && { defaultTableExpirationMs: String(Number(expiration)) }),
      id: `${call.project}:${id}`,
      datasetReference: { projectId: call.project, datasetId: id },
      etag: Buffer.from(`v${version}`).toString("base64"),
      access: accessOf(dataset, before),
      creationTime: textAt(before, "creationTime") || now,
      lastModifiedTime: now,
      type: "DEFAULT",
    });
  }

  async function insert(call: ApiCall): Promise<Json> {
    const id = textAt(call.body, "datasetReference", "datasetId");
    if (state.resources.dataset.has(keyOf(call.project, id)))
      throw new CloudError("ALREADY_EXISTS", `Already Exists: Dataset ${call.project}:${id}`);
    const access = listAt(call.body, "access").length > 0 ? call.body["access"] : OWNERS;
    return await save(call, id, { location: "US", ...call.body, access }, undefined);
  }

  async function change(call: ApiCall, whole: boolean): Promise<Json> {
    const before = found(call);
    const wanted = call.headers["if-match"];
    if (wanted !== undefined && wanted !== textAt(before, "etag")) {
      throw new CloudError("PRECONDITION_NOT_MET", `Precondition check failed.`);
    }
    const { location, creationTime } = before;
    if ("location" in call.body && call.body["location"] !== location) throw invalid(`Cannot change dataset location.`);
    const merged = whole ? { ...call.body, location, creationTime } : { ...before, ...call.body };
    // In a PATCH, null takes a field away; an expiration is taken away by 0 as well, which is how bq does it.
    const isGone = (name: string, value: unknown): boolean =>
      value === null || (name === "defaultTableExpirationMs" && Number(value) === 0);
    const dataset = Object.fromEntries(Object.entries(merged).filter(([name, value]) => !isGone(name, value)));
    return await save(call, idOf(call), { access: before["access"], ...dataset }, before);
  }

  const datasets = "bigquery/v2/projects/{project}/datasets";
  const { jobsUrl } = options;
  return {
    host: "bigquery",
    service: "bigquery.googleapis.com",
    title: "BigQuery API",
    routes: [
      route("POST", datasets, "bigquery.datasets.create", insert),
      route("GET", datasets, "bigquery.datasets.get", (call) => ({
        kind: "bigquery#datasetList",
        datasets: listed(world, "dataset", `projects/${projectOf(world, call.project).id}/datasets/`).map(
          ({ kind, id, datasetReference, location, labels }) => ({ kind, id, datasetReference, location, labels }),
        ),
      })),
      route("GET", `${datasets}/{dataset}`, "bigquery.datasets.get", found),
      route("PATCH", `${datasets}/{dataset}`, "bigquery.datasets.update", (call) => change(call, false)),
      route("PUT", `${datasets}/{dataset}`, "bigquery.datasets.update", (call) => change(call, true)),
      ...(jobsUrl === undefined
        ? []
        : ["GET", "POST", "PUT", "PATCH", "DELETE"].map((method) =>
            route(method, "bigquery/v2/projects/{project}/{rest=**}", "", (call) => passOn(call, jobsUrl)),
          )),
    ],
  };
}

const OWNERS: readonly Json[] = [
  { role: "WRITER", specialGroup: "projectWriters" },
  { role: "OWNER", specialGroup: "projectOwners" },
  { role: "OWNER", userByEmail: "deployer@example.org" },
  { role: "READER", specialGroup: "projectReaders" },
];

/** The API answers with the old names, whichever was sent. */
const ROLES: Readonly<Record<string, string>> = {
  "roles/bigquery.dataViewer": "READER",
  "roles/bigquery.dataEditor": "WRITER",
  "roles/bigquery.dataOwner": "OWNER",
};
