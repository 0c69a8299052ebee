/** What we read of BigQuery's answers. Everything else in them is left alone; numbers of 64 bits arrive as text. */
import { z } from "zod";
import { RetryableError } from "../core/errors.ts";

const count = z.union([z.string(), z.number()]).transform(Number);

/** A column as BigQuery says it. Kept whole where it is sent back, so that no description or policy tag gets lost. */
export interface Field {
  readonly name: string;
  readonly type: string;
  readonly mode?: string | undefined;
  readonly fields?: readonly Field[] | undefined;
  readonly policyTags?: { readonly names?: readonly string[] | undefined } | undefined;
  readonly [more: string]: unknown;
}

export const field: z.ZodType<Field> = z.looseObject({
  name: z.string(),
  type: z.string(),
  mode: z.string().optional(),
  get fields() {
    return z.array(field).optional();
  },
  policyTags: z.looseObject({ names: z.array(z.string()).optional() }).optional(),
});

const tableReference = z.object({ projectId: z.string(), datasetId: z.string(), tableId: z.string() });
export type TableReference = z.infer<typeof tableReference>;

export const tableResource = z.object({
  type: z.string().optional(),
  etag: z.string().default(""),
  schema: z.object({ fields: z.array(field).optional() }).optional(),
  numRows: count.optional(),
  timePartitioning: z.object({ type: z.string(), field: z.string().optional() }).optional(),
  clustering: z.object({ fields: z.array(z.string()) }).optional(),
  expirationTime: count.optional(),
  lastModifiedTime: count.optional(),
});
export type TableResource = z.infer<typeof tableResource>;

export const tableList = z.object({
  tables: z.array(z.object({ tableReference })).optional(),
  nextPageToken: z.string().optional(),
});

export const rowPolicyList = z.object({ rowAccessPolicies: z.array(z.unknown()).optional() });

/** A row, or a nested record: its fields' values in order. */
export interface Cell {
  readonly v?: unknown;
}
export const page = z.object({
  jobComplete: z.boolean().optional(),
  schema: z.object({ fields: z.array(field).optional() }).optional(),
  totalRows: count.optional(),
  pageToken: z.string().optional(),
  // Only looked at by `rowOf`, cell by cell: a page may hold ten thousand of them.
  rows: z.array(z.custom<{ readonly f?: readonly Cell[] }>()).optional(),
});

const problem = z.object({ reason: z.string().optional(), message: z.string().optional() });

export const jobResource = z.object({
  jobReference: z.object({ jobId: z.string().optional() }).optional(),
  status: z.object({ state: z.string(), errorResult: problem.optional() }),
  configuration: z.object({
    jobType: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    query: z.object({ query: z.string().optional(), destinationTable: tableReference.optional() }).optional(),
    load: z.object({ destinationTable: tableReference }).optional(),
    copy: z.object({ destinationTable: tableReference }).optional(),
  }),
  statistics: z
    .object({
      creationTime: count.optional(),
      endTime: count.optional(),
      numChildJobs: count.optional(),
      scriptStatistics: z.object({ evaluationKind: z.string().optional() }).optional(),
      totalBytesProcessed: count.optional(),
      load: z.object({ outputRows: count.optional() }).optional(),
      copy: z.object({ copiedRows: count.optional() }).optional(),
      query: z
        .object({
          statementType: z.string().optional(),
          totalBytesBilled: count.optional(),
          totalBytesProcessed: count.optional(),
          numDmlAffectedRows: count.optional(),
          ddlOperationPerformed: z.string().optional(),
          ddlTargetTable: tableReference.optional(),
          ddlDestinationTable: tableReference.optional(),
          schema: z.object({ fields: z.array(field).optional() }).optional(),
          queryPlan: z.array(z.object({ recordsWritten: count.optional() })).optional(),
        })
        .optional(),
    })
    .optional(),
});
export type JobResource = z.infer<typeof jobResource>;

export const jobList = z.object({ jobs: z.array(jobResource).optional(), nextPageToken: z.string().optional() });

/** Reads an answer. One of another shape comes from something between us and BigQuery, so it is worth another try. */
export function read<T>(schema: z.ZodType<T>, body: unknown, what: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  throw new RetryableError(`${what}: BigQuery's answer is not of the expected form${at}: ${issue?.message ?? ""}`);
}
