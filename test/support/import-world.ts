/** Interval imports in the simulated world: what arrives, and what must be visible at the end. */
import fc from "fast-check";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { jobTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import { intervalGcsImportAsset } from "../../lib/factories/interval-gcs.ts";
import type { IntervalGcsAsset } from "../../lib/factories/interval-gcs.ts";
import type { Target } from "../../lib/core/target.ts";
import type { World } from "./simulation.ts";

export const BUCKET = "drops";
export const KEY = "data/days";

/** One import of days; each of its intervals is one file, or several with a settle time. */
export function dayImport(changes: Partial<IntervalGcsAsset> = {}): Definitions {
  return definitionsOf({ days: intervalGcsImportAsset({ ...dayConfig, ...changes }) });
}

/** The same import into one table, to which every run adds its rows. */
export function appending(definitions: Definitions): Definitions {
  const assets = new Map(definitions.assets);
  const asset = assets.get(KEY);
  if (asset?.target === undefined) throw new Error("there is no import");
  const target: Target = { ...asset.target, publish: "append", schemaChange: "fail" };
  assets.set(KEY, { ...asset, target });
  return { ...definitions, assets };
}

export const dayConfig: IntervalGcsAsset = {
  keyPrefix: "data",
  name: "days",
  bucketName: BUCKET,
  pathBase: "days",
  fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-a\.parquet`,
  destinationTable: "days",
  rawDatasetName: "raw",
  cleanDatasetName: "clean",
  interval: "daily",
  mode: "overwrite",
  retentionDays: 1,
  format: "PARQUET",
};

/** Intervals of two files at most. */
export const severalFiles: Partial<IntervalGcsAsset> = {
  fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-[ab]\.parquet`,
  complete: { settle: "60s" },
};

export function definitionsOf(exports: Readonly<Record<string, unknown>>): Definitions {
  const { definitions, problems } = collectDefinitions([{ file: "test", exports }]);
  const [problem] = problems;
  if (problem instanceof DefinitionError) throw problem;
  return definitions;
}

export function nameOf(day: number, part: Part = "a"): string {
  return `days/2024-05-0${day}/part-${part}.parquet`;
}

/** What people and producers do. */
export type Act =
  | { readonly do: "write"; readonly day: number; readonly part: Part }
  | { readonly do: "ask"; readonly day: number; readonly wish: Wish | undefined }
  | { readonly do: "clean"; readonly dryRun: boolean };

export type Part = "a" | "b";
export type Wish = "force" | "rollback" | "unseal";

export interface Scenario {
  /** What was there and loaded before anything went wrong. */
  readonly before: readonly Act[];
  /** Each before the step `at`; or at the end, where there is no such step. */
  readonly acts: readonly { readonly at: number; readonly act: Act }[];
  readonly choices: readonly number[];
}

export interface ScenarioShape {
  readonly days: number;
  readonly parts: readonly Part[];
  /** What some manual requests ask for; left out, there are no manual requests. */
  readonly wishes?: readonly Wish[];
  readonly cleaning?: boolean;
  /** Every day is there, and loaded, before anything goes wrong. */
  readonly history?: boolean;
  readonly acts: number;
  readonly steps: number;
}

export function scenarios(shape: ScenarioShape): fc.Arbitrary<Scenario> {
  const { parts, wishes, cleaning = false, steps } = shape;
  const day = fc.integer({ min: 1, max: shape.days });
  const write = fc.record({ do: fc.constant("write" as const), day, part: fc.constantFrom(...parts) });
  const ask = fc.record({ do: fc.constant("ask" as const), day, wish: fc.constantFrom(undefined, ...(wishes ?? [])) });
  const clean = fc.record({ do: fc.constant("clean" as const), dryRun: fc.boolean() });
  const days = Array.from({ length: shape.days }, (_, index) => index + 1);
  const loaded = (day: number): fc.Arbitrary<Act[]> =>
    fc.subarray([...parts], { minLength: 1 }).map((some) => some.map((part) => ({ do: "write", day, part })));
  const act: fc.Arbitrary<Act> = fc.oneof(
    { weight: 4, arbitrary: write },
    { weight: wishes === undefined ? 0 : 2, arbitrary: ask },
    { weight: cleaning ? 3 : 0, arbitrary: clean },
  );
  return fc.record({
    before: shape.history === true ? fc.tuple(...days.map(loaded)).map((each) => each.flat()) : fc.constant([]),
    acts: fc.array(fc.record({ at: fc.integer({ min: 0, max: steps }), act }), {
      minLength: 1,
      maxLength: shape.acts,
      size: "max",
    }),
    choices: fc.array(fc.noBias(fc.nat(2 ** 30)), { minLength: steps, maxLength: steps }),
  });
}

export function perform(world: World, act: Act): void {
  switch (act.do) {
    case "write":
      return world.writeObject(BUCKET, nameOf(act.day, act.part));
    case "ask": {
      const wish = act.wish === undefined ? {} : { [act.wish]: true };
      return world.publish(topicOf(KEY), { partition: `2024-05-0${act.day}`, ...wish });
    }
    case "clean":
      // As greedy as a request can be.
      return world.publish(jobTopicOf("days_clean_up_job"), { config: { before: "2999-01-01", dryRun: act.dryRun } });
  }
}

/** Plays the scenario, then lets the world come to rest. */
export async function play(world: World, { before, acts, choices }: Scenario): Promise<void> {
  try {
    for (const [index, act] of before.entries()) {
      perform(world, act);
      const next = before[index + 1];
      if (act.do !== "write" || next?.do !== "write" || next.day !== act.day) await world.settle();
    }
    for (const [index, choice] of choices.entries()) {
      for (const { at, act } of acts) if (at === index) perform(world, act);
      await world.step(choice);
    }
    for (const { at, act } of acts) if (at >= choices.length) perform(world, act);
    await world.settle();
  } catch (error) {
    if (error instanceof Error) error.message += `\n${world.trace.slice(-200).join("\n")}`;
    throw error;
  }
}
