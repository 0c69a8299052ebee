/** Which request is what. Paths as the client sends them below `/bigquery/v2`. */
import { ApiError, jsonOf, jsonReply, type Call, type Reply } from "../http-fake.ts";
import type { RequestCheck } from "./discovery.ts";
import type { jobsOf } from "./jobs.ts";
import type { tablesOf } from "./tables.ts";
import { decorated, type Json } from "./wire.ts";
import type { World } from "./world.ts";

export interface Services {
  readonly world: World;
  readonly jobs: ReturnType<typeof jobsOf>;
  readonly tables: ReturnType<typeof tablesOf>;
  /** What the API knows; all requests, where it is left out. */
  readonly check?: RequestCheck | undefined;
}

export function bigqueryRoutes({ world, jobs, tables, check }: Services): (call: Call) => Promise<Reply> {
  const ok = (value: unknown): Reply => jsonReply(200, value);
  const checked = async (call: Call): Promise<Json> => {
    const body = await jsonOf(call);
    check?.(call, body);
    return body;
  };

  return async (call) => {
    const { method, query, path, headers } = call;
    if (method === "GET" || method === "DELETE") check?.(call);
    const parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
    const [service, version, projects, project, kind, one = "", below, two = "", further] = parts;
    if (service !== "bigquery" || version !== "v2" || projects !== "projects") throw missing(call);
    if (project !== world.project)
      throw new ApiError(403, "accessDenied", `Access Denied: Project ${String(project)}: the fake has one project`);
    const length = parts.length - 4;
    if (kind === "jobs" && length === 1 && method === "POST") return ok(await jobs.insert(await checked(call)));
    if (kind === "jobs" && length === 1 && method === "GET") return ok(jobs.list(query.get("parentJobId")));
    if (kind === "jobs" && length === 2 && method === "GET") return ok(jobs.get(one, query.get("location")));
    if (kind === "jobs" && length === 3 && below === "cancel" && method === "POST")
      return ok(jobs.cancel(one, query.get("location")));
    if (kind === "queries" && length === 2 && method === "GET") return ok(jobs.results(one, query));
    if (kind !== "datasets") throw missing(call);
    if (length === 1 && method === "POST") return ok(tables.insertDataset(await checked(call)));
    if (length === 2 && method === "GET") return ok(tables.getDataset(one));
    if (length === 2 && method === "DELETE") {
      await tables.removeDataset(one, query.get("deleteContents") === "true");
      return { status: 204 };
    }
    if (below !== "tables") throw missing(call);
    if (length === 3 && method === "POST") return ok(await tables.insert(one, await checked(call)));
    if (length === 3 && method === "GET") return ok(await tables.list(one, query));
    if (length === 5 && further === "data" && method === "GET") return ok(await tables.data(one, two, query));
    const table = decorated(one, two);
    if (length === 5 && further === "rowAccessPolicies" && method === "GET") return ok(await tables.rowPolicies(table));
    if (length === 5 && further === "rowAccessPolicies" && method === "POST")
      return ok(await tables.insertRowPolicy(table, await checked(call)));
    if (length !== 4) throw missing(call);
    if (method === "GET") return ok(await tables.get(table));
    if (method === "PATCH") return ok(await tables.patch(table, await checked(call), headers["if-match"]));
    if (method === "DELETE") {
      await tables.remove(table);
      return { status: 204 };
    }
    throw missing(call);
  };
}

function missing({ method, path }: Call): ApiError {
  return new ApiError(501, "notImplemented", `The fake does not know ${method} ${path}`);
}
