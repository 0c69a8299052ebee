/** The plans of infra/plan, as the runner asks for them. */
import type { Planner } from "../deploy.ts";
import type { Manifest } from "../manifest.ts";
import { destroyPlan, plan } from "../plan.ts";
import type { Observed, Plan, PlanOptions, Wanted } from "../plan.ts";
import { LIMITS } from "../plan/limits.ts";
import { observations, observed } from "../plan/observe.ts";
import { stateCalls } from "../plan/state-calls.ts";
import { emptyState } from "../plan/state.ts";

export interface Reading {
  /** Reads everything again, also what is slow to read and changes by deployments alone. */
  readonly refresh: boolean;
}

/** What makes the environment as the manifest says. */
export function deployPlanner(wanted: Wanted, { refresh, ...options }: PlanOptions & Reading): Planner {
  return { ...common(wanted.manifest, refresh), plan: seen(wanted.manifest, (there) => plan(wanted, there, options)) };
}

/** What takes everything of the environment away but its data. */
export function destroyPlanner(manifest: Manifest): Planner {
  return { ...common(manifest, true), plan: seen(manifest, (there) => destroyPlan(manifest, there)) };
}

function seen(manifest: Manifest, make: (there: Observed) => Plan): Planner["plan"] {
  return (state, outputs) => make(observed({ manifest, state }, outputs));
}

function common(manifest: Manifest, refresh: boolean): Omit<Planner, "plan"> {
  return {
    stateCalls: stateCalls(manifest),
    begin: emptyState(manifest),
    observations: (state) => observations({ manifest, state, refresh }),
    limitOf: (kind) => LIMITS[kind],
  };
}
