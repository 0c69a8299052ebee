/** Datasets by BigQuery's REST API, for whoever makes some of their own; a deployment's are made by gcloud. */
import { z } from "zod";
import { PermanentError } from "../core/errors.ts";
import { bigqueryApi, BigqueryRefusal, refused } from "./bigquery-api.ts";
import type { ApiOptions } from "./bigquery-api.ts";

export interface DatasetsOptions extends ApiOptions {
  /** Of datasets that name none. */
  readonly project: string;
}

export interface DatasetRef {
  readonly project?: string;
  readonly dataset: string;
}

export interface Datasets {
  /** The location of a dataset, e.g. `EU`; `undefined` where there is no such dataset. */
  locationOf(dataset: DatasetRef): Promise<string | undefined>;
  /** Makes a dataset whose tables go after `ttlMs`; one that is there stays as it is. */
  create(name: string, options: { readonly location: string; readonly ttlMs: number }): Promise<void>;
  /** Asks for a dry run of nothing. Throws `PermanentError` with the remedy where the account may run no job. */
  checkJobs(location: string): Promise<void>;
}

const resource = z.object({ location: z.string().min(1) });

/** Throws `PermanentError` for what another try cannot change, with the role that is missing where it is that. */
export function bigqueryDatasets(options: DatasetsOptions): Datasets {
  const api = bigqueryApi(options);
  const failed = (error: unknown, what: string, role: string): unknown => {
    if (!(error instanceof BigqueryRefusal) || error.status !== 403) return refused(error, what);
    const remedy = `grant ${role} on project ${options.project} to the account that runs this`;
    return new PermanentError(`${what}: ${error.message}; ${remedy}`, { code: error.reason, cause: error });
  };

  return {
    async locationOf({ project = options.project, dataset }) {
      try {
        const { body } = await api({ method: "GET", path: `/datasets/${dataset}`, project });
        return resource.parse(body).location;
      } catch (error) {
        if (error instanceof BigqueryRefusal && error.status === 404 && !/project/i.test(error.message))
          return undefined;
        throw failed(error, `dataset ${project}.${dataset}`, "roles/bigquery.dataViewer");
      }
    },

    async create(name, { location, ttlMs }) {
      const body = {
        datasetReference: { projectId: options.project, datasetId: name },
        location,
        defaultTableExpirationMs: String(ttlMs),
        description: "Made by Sluice for one person's runs; its tables go by themselves.",
        labels: { app: "sluice" },
      };
      try {
        await api({ method: "POST", path: "/datasets", body });
      } catch (error) {
        if (error instanceof BigqueryRefusal && error.status === 409) return;
        throw failed(error, `dataset ${options.project}.${name}`, "roles/bigquery.user");
      }
    },

    async checkJobs(location) {
      const body = {
        jobReference: { projectId: options.project, location },
        configuration: { dryRun: true, query: { query: "SELECT 1 AS one", useLegacySql: false } },
      };
      try {
        await api({ method: "POST", path: "/jobs", body });
      } catch (error) {
        throw failed(error, `jobs of project ${options.project} in ${location}`, "roles/bigquery.jobUser");
      }
    },
  };
}
