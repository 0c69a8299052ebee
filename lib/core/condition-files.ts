/** What is known of the files that an asset's partition is loaded from, told as `condition.ts` tells a condition. */
import type { Explained } from "./condition.ts";
import type { InputObject, PartitionDocument, RunDocument } from "./documents.ts";
import type { ObjectSource } from "./object-source.ts";

/** The last run that looked for them says what it saw: nothing else lists the bucket. */
export interface FilesFact {
  readonly source: Pick<ObjectSource, "bucket" | "pathBase" | "fileMatch" | "complete">;
  readonly known: Pick<PartitionDocument, "head" | "superseded" | "seal"> | undefined;
  readonly last: Pick<RunDocument, "id" | "status" | "code" | "reason" | "updatedAt"> | undefined;
}

/** Codes of runs that looked at the files and could not load them. */
const NOT_LOADED: readonly string[] = ["no-inputs", "incomplete", "not-listed", "inputs-missing", "bad-input"];

/** `value`: whether the partition shows what was loaded from files. */
export function explainFiles(fact: FilesFact): Explained {
  const loaded = partLoaded(fact);
  const parts = [partNamed(fact), partWhole(fact), loaded, ...partLate(fact)];
  return { label: "files", value: loaded.value, because: loaded.because, events: [], parts };
}

function partNamed({ source: { bucket, pathBase, fileMatch } }: FilesFact): Explained {
  const where = `gs://${[bucket, pathBase].filter((part) => part !== "").join("/")}`;
  return leaf("asked for by each file", true, `of ${where} that matches ${fileMatch}`);
}

function partWhole({ source: { complete }, last }: FilesFact): Explained {
  const waits = last?.code === "incomplete" || last?.code === "not-listed";
  const because = waits
    ? `${rule(complete)}: run ${last.id} at ${iso(last.updatedAt)}: ${last.reason ?? last.code}`
    : rule(complete);
  return leaf("whole", !waits, because, waits ? [last.id] : []);
}

function rule(complete: FilesFact["source"]["complete"]): string {
  if (complete === undefined) return "one file is all there is to wait for";
  if ("marker" in complete) return `once ${complete.marker} is there`;
  if ("count" in complete) return `once there are ${complete.count} files`;
  return `once no file has changed for ${complete.settle}`;
}

function partLoaded({ known, last }: FilesFact): Explained {
  const head = known?.head;
  const said =
    last?.code !== undefined && NOT_LOADED.includes(last.code)
      ? `run ${last.id} ${last.status} at ${iso(last.updatedAt)}: ${last.reason ?? last.code}`
      : undefined;
  if (head === undefined) {
    if (said !== undefined) return leaf("loaded", false, `none was: ${said}`, [last?.id ?? ""]);
    return leaf("loaded", false, last === undefined ? "none was, and no run has looked for any" : "none was");
  }
  const because = `${files(head.inputs)} at ${iso(head.at)} by run ${head.runId}${said === undefined ? "" : `; since then, ${said}`}`;
  return leaf("loaded", true, because, [head.materializationId]);
}

/** What came too late, or comes too late from now on. */
function partLate({ known }: FilesFact): readonly Explained[] {
  const { superseded, seal } = known ?? {};
  return [
    ...(superseded === undefined
      ? []
      : [leaf("in time", false, `${files(superseded.inputs)} came at ${iso(superseded.at)}, after a newer interval`)]),
    ...(seal === undefined
      ? []
      : [
          leaf("open", false, `run ${seal.runId} has sealed the interval at ${iso(seal.at)}, to clean it up`, [
            seal.runId,
          ]),
        ]),
  ];
}

/** `scores/2024-05-01.json#2 and 2 more` */
function files(inputs: readonly InputObject[]): string {
  const [first, ...others] = inputs;
  if (first === undefined) return "no file";
  return `${first.name}#${first.generation}${others.length === 0 ? "" : ` and ${others.length} more`}`;
}

function leaf(label: string, value: boolean, because: string, events: readonly string[] = []): Explained {
  return { label, value, because, events, parts: [] };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
