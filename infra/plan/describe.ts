/** A plan in words: what it does and why, what it leaves, and how long it takes. Lines without colours; whoever prints them adds these. */
import type { Binding } from "../manifest.ts";
import { isPolicyCall } from "./step.ts";
import type { Plan, ResourceKind, Step, ToolCall } from "./step.ts";

/** In the order in which people read them. */
const NAMES: Readonly<Record<ResourceKind, readonly [one: string, many: string]>> = {
  function: ["function", "functions"],
  subscription: ["subscription", "subscriptions"],
  trigger: ["trigger's subscription", "triggers' subscriptions"],
  topic: ["topic", "topics"],
  schedule: ["scheduler job", "scheduler jobs"],
  queue: ["task queue", "task queues"],
  notification: ["bucket notification", "bucket notifications"],
  account: ["service account", "service accounts"],
  policy: ["policy", "policies"],
  dataset: ["dataset", "datasets"],
  bucket: ["bucket", "buckets"],
  database: ["database", "databases"],
  index: ["index", "indexes"],
  field: ["indexed field", "indexed fields"],
  images: ["image repository", "image repositories"],
  apis: ["set of APIs", "sets of APIs"],
  source: ["source archive", "source archives"],
};

export interface DescribeOptions {
  /** The bindings of the manifest, for the reasons of each role. */
  readonly bindings: readonly Binding[];
  /** Every role of every policy that changes, instead of their number. */
  readonly verbose: boolean;
}

export function describePlan(plan: Plan, { bindings, verbose }: DescribeOptions): readonly string[] {
  // Keys of NAMES are the kinds.
  const kinds = Object.keys(NAMES) as ResourceKind[];
  const reasons = Map.groupBy(bindings, ({ resource }) => `policy ${resource.kind} ${resource.name}`);
  const steps = Map.groupBy(plan.steps, ({ kind }) => kind);
  const unchanged = Map.groupBy(plan.unchanged, ({ kind }) => kind);
  const lines = kinds.flatMap((kind) => {
    const own = steps.get(kind) ?? [];
    const same = unchanged.get(kind)?.length ?? 0;
    if (own.length === 0) return [];
    return [
      `${countText(kind, own.length)}${same > 0 ? `, and ${same} unchanged` : ""}`,
      ...own.flatMap((step) => [stepLine(step), ...(verbose ? grantLines(step, reasons.get(step.id) ?? []) : [])]),
    ];
  });
  return [
    ...lines,
    ...section("no longer defined, and left (--prune deletes them)", plan.withheld, ({ id }) => id),
    ...section("to be granted by the owners of other projects", plan.foreign, ({ binding, command }) => [
      `${grantText(binding)}: ${binding.reasons.join("; ")}`,
      `  ${commandText(command)}`,
    ]),
    ...section("to know", plan.notes, (note) => note),
    summaryLine(plan),
  ];
}

/** `3 to create, 1 to update, 120 unchanged; about 4 min`. */
export function summaryLine({ steps, unchanged, seconds }: Plan): string {
  // The archive is a means.
  const own = steps.filter(({ kind }) => kind !== "source");
  const count = (action: Step["action"]): number => own.filter((step) => step.action === action).length;
  const parts = [
    [count("create"), "to create"],
    [count("update"), "to update"],
    [count("delete"), "to delete"],
    [unchanged.length, "unchanged"],
  ] as const;
  const shown = parts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`);
  if (steps.length === 0) return `nothing to do: ${shown.join(", ") || "nothing is wanted, and nothing is there"}`;
  return `${shown.join(", ")}; about ${durationText(seconds)}`;
}

export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A command as a person would type it. Files and other values that are not known yet stay as they are: `{file:env.yaml}`. */
export function commandText({ tool, args }: ToolCall): string {
  return [tool, ...args.map(quoted)].join(" ");
}

function quoted(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`;
}

const SIGNS: Readonly<Record<Step["action"], string>> = { create: "+", update: "~", delete: "-" };

function stepLine({ action, name, reason }: Step): string {
  return `  ${SIGNS[action]} ${name}: ${reason}`;
}

/** Every role that a policy will have, with the reasons. */
function grantLines({ calls }: Step, bindings: readonly Binding[]): string[] {
  const granted = calls.flatMap((call) => (isPolicyCall(call) ? call.edit.wanted : []));
  const lines = bindings.map((binding) => `      ${grantText(binding)}: ${binding.reasons.join("; ")}`);
  return granted.length > 0 || bindings.length > 0 ? lines : ["      none is left"];
}

function grantText({ role, member, condition }: Binding): string {
  const when = condition === undefined ? "" : ` (${condition.title})`;
  return `${role} for ${member.replace(/^serviceAccount:/, "")}${when}`;
}

function countText(kind: ResourceKind, count: number): string {
  const [one, many] = NAMES[kind];
  return `${count} ${count === 1 ? one : many}`;
}

function section<T>(title: string, all: readonly T[], text: (one: T) => string | readonly string[]): string[] {
  if (all.length === 0) return [];
  return [`${title}:`, ...all.flatMap((one) => [text(one)].flat().map((line) => `  ${line}`))];
}
