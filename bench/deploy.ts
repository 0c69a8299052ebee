/**
 * A project of many assets, deployed by deploy.sh and the real gcloud to the tests' fake of Google's control plane: what a deployment
 * costs that changes nothing, and what the first one takes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { plan } from "../infra/plan.ts";
import { startGoogleCloud } from "../test/fakes/fake-google-cloud.ts";
import { copyOfSluice, deployedProject } from "../test/support/deployed-project.ts";
import type { DeployedProject } from "../test/support/deployed-project.ts";
import { startFastGcloud } from "../test/support/fast-gcloud.ts";
import { emptyWorld, look, manifestOf, performAll, wantedOf } from "../test/support/planned-world.ts";
import { varied, variedFiles } from "../test/support/varied-project.ts";
import { machineMs, median, ms, percentile, print } from "./measure.ts";

const { values } = parseArgs({
  options: {
    assets: { type: "string", default: "200" },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean" },
  },
});
const [assets = 0, rounds = 0] = [values.assets, values.rounds].map(Number);
if (![assets, rounds].every((number) => Number.isInteger(number) && number >= 1))
  throw new Error("--assets and --rounds are whole numbers, at least 1");

const PLANS = 20;

/** The plan of as many assets, without any tool: of a first deployment, and of one that changes nothing. */
function planTimes(): { readonly first: readonly number[]; readonly unchanged: readonly number[] } {
  const wanted = wantedOf(manifestOf(varied(assets), { quotas: { serviceAccounts: assets + 100 } }));
  const world = emptyWorld();
  const timed = (): readonly number[] => {
    const there = look(world, wanted);
    return Array.from({ length: PLANS }, () => {
      const began = machineMs();
      plan(wanted, there, { prune: false });
      return machineMs() - began;
    });
  };
  const first = timed();
  performAll(world, wanted, plan(wanted, look(world, wanted), { prune: false }));
  return { first, unchanged: timed() };
}

const reportSchema = z.looseObject({
  outcome: z.string(),
  calls: z.number(),
  plan: z.looseObject({ estimatedSeconds: z.number(), steps: z.array(z.unknown()) }),
});

interface Deployment {
  readonly seconds: number;
  readonly calls: number;
  readonly steps: number;
  readonly estimate: number;
}

async function deployment(project: DeployedProject, outcome: "done" | "unchanged"): Promise<Deployment> {
  const began = machineMs();
  const { code, stdout, stderr } = await project.deploy("--yes", "--json");
  const seconds = (machineMs() - began) / 1_000;
  if (code !== 0) throw new Error(`deploy.sh ended with ${code}: ${stderr}${stdout}`);
  const report = reportSchema.parse(JSON.parse(stdout));
  if (report.outcome !== outcome) throw new Error(`the deployment is ${report.outcome}, and should be ${outcome}`);
  const { steps, estimatedSeconds: estimate } = report.plan;
  return { seconds, calls: report.calls, steps: steps.length, estimate };
}

const plans = planTimes();
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-deploy-"));
const fast = await startFastGcloud();
const cloud = await startGoogleCloud({ project: "own-project" });
const common = { cloud, sluice: copyOfSluice(folder), functions: variedFiles(assets) };
// The folder holds no gcloud, so that the machine's own is found.
const projects = {
  forked: deployedProject({ ...common, bin: fast.bin }),
  plain: deployedProject({ ...common, bin: folder }),
};
try {
  const first = await deployment(projects.forked, "done");
  const unchanged: Record<keyof typeof projects, Deployment[]> = { forked: [], plain: [] };
  for (let round = 0; round < rounds; round++) {
    unchanged.forked.push(await deployment(projects.forked, "unchanged"));
    unchanged.plain.push(await deployment(projects.plain, "unchanged"));
  }
  const seconds = (of: keyof typeof projects): number[] => unchanged[of].map((one) => one.seconds);
  const calls = Math.max(...[...unchanged.forked, ...unchanged.plain].map((one) => one.calls));
  const s = (value: number): string => `${value.toFixed(1)} s`;
  const row = (name: string, all: readonly number[], show: (value: number) => string): readonly string[] => [
    name,
    show(median(all)),
    show(percentile(all, 1)),
  ];
  print({
    title: `Deploying ${assets} assets in ${Object.keys(common.functions).length} files`,
    table: [
      ["", "median", "longest"],
      row("nothing has changed, gcloud as it is", seconds("plain"), s),
      row("nothing has changed, gcloud without its start", seconds("forked"), s),
      row("the plan of that", plans.unchanged, ms),
      row("the plan of a first deployment", plans.first, ms),
    ],
    goals: [
      { what: "calls where nothing has changed", value: calls, limit: 15, unit: "calls" },
      { what: "nothing has changed, gcloud as it is", value: median(seconds("plain")), limit: 20, unit: "s" },
      { what: "the plan of a first deployment", value: median(plans.first), limit: 1_000, unit: "ms" },
    ],
    figures: { first, unchanged, plans },
    notes: [
      `The first deployment: ${first.steps} steps by ${first.calls} calls in ${s(first.seconds)}, with a cloud that builds at once; said before: ${s(first.estimate)}.`,
    ],
  });
} finally {
  for (const project of Object.values(projects)) project.close();
  await cloud.close();
  await fast.close();
  rmSync(folder, { recursive: true, force: true });
}
