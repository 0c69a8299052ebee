/** A project of any size that has something of every kind. */
import { z } from "zod";
import type { Definitions } from "../../lib/core/definitions.ts";
import { asset, bigqueryTable, eager, job, multiAsset, objectSensor, onInterval, skip } from "../../lib/index.ts";
import { definitionsOf } from "./infra.ts";

const nothing = async (): Promise<void> => undefined;

/** One file an asset, from `a/n<from>` on; every third is asked for by the day, and the others follow the one before them. */
export function varied(count: number, from = 0): Definitions {
  const assets = Array.from({ length: count }, (_, at) => at + from).map((n) => {
    const follows = n % 3 !== 0 && n > from;
    const automation = follows ? { deps: [`a/n${n - 1}`], automation: eager() } : { automation: onInterval("daily") };
    return [
      `a${n}.ts`,
      { table: asset({ key: `a/n${n}`, target: `set${n % 5}.n${n}`, ...automation, materialize: nothing }) },
    ] as const;
  });
  const tidy = job({ name: "tidy", run: nothing });
  const look = objectSensor({ name: "look", bucket: "drops", prefix: "in/", job: tidy, evaluate: () => skip("no") });
  const output = (key: string) => ({ key, schema: z.object({ id: z.int() }), ioManager: bigqueryTable() });
  const pair = multiAsset({
    name: "pair",
    assets: { one: output("m/one"), two: output("m/two") },
    automation: onInterval("daily"),
    materialize: async () => [],
  });
  return definitionsOf({
    ...Object.fromEntries(assets),
    "tidy.ts": { tidy },
    "look.ts": { look },
    "pair.ts": { pair },
  });
}

const ASSETS_A_FILE = 4;

/** As many assets as files of a project, four in each; each file begins with one of every day, which the others follow. */
export function variedFiles(count: number): Readonly<Record<string, string>> {
  const files: Record<string, string> = {};
  for (let from = 0; from < count; from += ASSETS_A_FILE) {
    const file = from / ASSETS_A_FILE;
    const own = Array.from({ length: Math.min(ASSETS_A_FILE, count - from) }, (_, at) => {
      const automation = at === 0 ? `onInterval("daily")` : "eager()";
      const deps = at === 0 ? "" : ` deps: ["s${file}/n${at - 1}"],`;
      const target = `set${file % 5}.s${file}_n${at}`;
      return `export const n${at} = asset({ key: "s${file}/n${at}", target: "${target}",${deps} automation: ${automation}, materialize });`;
    });
    const head = [`import { asset, eager, onInterval } from "sluice";`, "const materialize = async () => undefined;"];
    files[`s${file}.ts`] = [...head, ...own, ""].join("\n");
  }
  return files;
}
