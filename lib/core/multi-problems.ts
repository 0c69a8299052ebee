/** Outputs of a multi-asset without its job: nothing could make several of them at once, and nothing would run them when deployed. */
import type { Definitions } from "./definitions.ts";
import { DefinitionError } from "./errors.ts";

export function multiProblems({ assets, jobs, places }: Definitions): DefinitionError[] {
  return [...assets.values()].flatMap(({ key, multi }) =>
    multi === undefined || jobs.get(multi.name)?.multi !== undefined
      ? []
      : new DefinitionError(`${key} is an output of the multi-asset ${multi.name}, whose job is not exported`, {
          where: places.get(`asset ${key}`) ?? key,
          remedy: `export what multiAsset({ name: "${multi.name}" … }) returns, its jobs included`,
        }),
  );
}
