/** The rows that an author's code yields, checked and written to the staging bucket, with its checkpoints on the way. */
import type { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import type { Checkpoint } from "../core/checkpoint.ts";
import type { Metadata } from "../core/events.ts";
import type { BigqueryTable } from "../core/io-manager.ts";
import { rowCodec } from "../core/row-codec.ts";
import { discardMetadata, rowGate } from "../core/row-gate.ts";
import type { RowCounts } from "../core/row-gate.ts";
import { checkpointDesk } from "./checkpoint.ts";
import type { Execution } from "./execution.ts";
import { partSeries } from "./part-series.ts";
import type { PartSeries, StagedPart } from "./part-series.ts";
import { progressFile } from "./progress.ts";
import type { OutputProgress } from "./progress.ts";
import { partName } from "./staged-rows.ts";
import { pourRows } from "./write-rows.ts";

/** An asset whose rows an I/O manager stores in a table. */
export type RowsAsset = AssetDefinition & { readonly schema: z.ZodObject; readonly ioManager: BigqueryTable };

export function isRowsAsset(asset: AssetDefinition): asset is RowsAsset {
  return asset.ioManager?.kind === "bigquery-table" && asset.schema !== undefined;
}

/** Takes a row; the result is the series that has to be flushed before the next one, if it has to be. */
export type Accept = (row: unknown) => PartSeries | undefined;

export interface StagingWork {
  readonly execution: Execution;
  /** Where the progress is kept, of the staging bucket. */
  readonly folder: string;
  /** The assets that the rows are for, each with the folder for its parts. */
  readonly outputs: readonly { readonly asset: RowsAsset; readonly folder: string }[];
  /** Brings what is yielded to the output that it is for; `accepts` is in the order of `outputs`. */
  readonly route: (accepts: readonly Accept[]) => Accept;
  /** Calls the author's code. */
  readonly produce: (checkpoint: Checkpoint) => unknown;
  /** What the code has said of its rows until now. */
  readonly metadata: () => Metadata;
  /** Lets the code have said this already. */
  readonly recall: (metadata: Metadata) => void;
  /** Takes secrets out of a text. */
  readonly clean: (text: string) => string;
}

export interface StagedOutput {
  readonly parts: readonly StagedPart[];
  readonly rows: number;
  /** What the code has said, and what became of rows that do not fit. */
  readonly metadata: Metadata;
}

/** Stages the rows of every output, in the order of `outputs`; going on where an earlier attempt of the run was cut off. */
export async function stageRows(work: StagingWork): Promise<readonly StagedOutput[]> {
  const { execution, clean } = work;
  const { settings, clock } = execution.services;
  const { found, save } = await progressFile(execution, work.folder);
  if (found !== undefined) work.recall(found.metadata);
  const lines = work.outputs.map(({ asset, folder }) => lineOf(execution, asset, folder, found?.outputs[asset.key]));
  const series = lines.map((line) => line.series);
  const desk = checkpointDesk({
    last: found?.value,
    clock,
    pauseMs: () => pauseOf(settings.checkpointMs, Math.max(...series.map(({ parts }) => parts.length))),
  });
  const progress = (): Record<string, OutputProgress> =>
    Object.fromEntries(
      lines.map(({ key, series: { parts }, counts }) => [key, { parts, taken: cleaned(counts(), clean) }]),
    );
  await pourRows(work.produce(desk.checkpoint), {
    series,
    accept: work.route(lines.map(({ accept }) => accept)),
    signal: execution.signal,
    saves: {
      ...desk,
      serve: () => desk.serve((value) => save({ outputs: progress(), metadata: work.metadata(), value })),
    },
  });
  return lines.map(({ series: { parts }, end }) => {
    const { counts, said } = end(clean);
    return { parts, rows: counts.rows, metadata: { ...work.metadata(), ...said } };
  });
}

/** The way of one output's rows. */
function lineOf(execution: Execution, asset: RowsAsset, folder: string, before: OutputProgress | undefined) {
  const { services, token, signal } = execution;
  const { objects, settings } = services;
  const { key, schema, ioManager } = asset;
  const codec = rowCodec(schema);
  const gate = rowGate(codec, {
    asset: key,
    onInvalidRow: ioManager.onInvalidRow,
    ...(before === undefined ? {} : { from: before.taken }),
  });
  const series = partSeries(codec.columns, {
    objects,
    bucket: settings.stagingBucket,
    nameOf: (index) => partName(folder, token, index),
    partBytes: settings.stagingPartBytes,
    signal,
    after: before?.parts ?? [],
  });
  const accept: Accept = (value) => {
    const row = gate.take(value);
    return row !== undefined && series.write(row) ? series : undefined;
  };
  const end = (clean: (text: string) => string) => {
    const counts = gate.end();
    return { counts, said: discardMetadata(cleaned(counts, clean), ioManager) };
  };
  return { key, series, accept, counts: gate.counts, end };
}

/** Every durable checkpoint ends a part: the more there are, the more has to be lost for another one to be worth it. */
export function pauseOf(checkpointMs: number, parts: number): number {
  return checkpointMs * Math.max(1, parts / 500);
}

function cleaned({ samples, ...counts }: RowCounts, clean: (text: string) => string): RowCounts {
  return {
    ...counts,
    samples: samples.map(({ row, reason, value }) => ({ row, reason: clean(reason), value: clean(value) })),
  };
}
