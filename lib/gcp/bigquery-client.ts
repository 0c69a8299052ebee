/** The BigQuery client as the adapter uses it: its HTTP and its authentication, with every retry left to the caller. */
import type { BigQuery, BigQueryOptions } from "@google-cloud/bigquery";

/** What the adapter needs of `BigQuery`. */
export type BigqueryClient = Pick<BigQuery, "request">;

export interface BigqueryClientOptions {
  readonly project: string;
  /** Another server than `https://bigquery.googleapis.com`, spoken to without credentials unless some are given. */
  readonly endpoint?: string;
  /** Other credentials than the application default ones. */
  readonly authClient?: NonNullable<BigQueryOptions["authClient"]>;
}

/** A client with application default credentials. The SDK is loaded on the first call. */
export function bigqueryClient(options: BigqueryClientOptions): () => Promise<BigqueryClient> {
  const { project, endpoint, authClient } = options;
  let client: Promise<BigqueryClient> | undefined;
  async function open(): Promise<BigqueryClient> {
    const { BigQuery } = await import("./sdk/bigquery.ts");
    return new BigQuery({
      projectId: project,
      retryOptions: { autoRetry: false },
      ...(endpoint === undefined ? {} : { apiEndpoint: endpoint }),
      ...(authClient === undefined ? await anonymous(endpoint) : { authClient }),
    });
  }
  return () => (client ??= open());
}

async function anonymous(endpoint: string | undefined): Promise<Pick<BigQueryOptions, "authClient">> {
  if (endpoint === undefined) return {};
  const { PassThroughClient } = await import("./sdk/auth.ts");
  return { authClient: new PassThroughClient() };
}
