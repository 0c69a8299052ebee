/** What brings messages goes when what takes its place is there: in between, they would be lost. */
import { idOf } from "./item.ts";
import type { State } from "./state.ts";
import type { Step } from "./step.ts";

type Resources = State["resources"];

/**
 * The steps with other needs, where an environment changes its form of triggers. Our own subscriptions and notifications are deleted
 * after the triggers of their functions are made; and a function loses its trigger, by its update, after those are made that take
 * its place. `wanted`: the ids of all that is; `values`: of placeholders.
 */
export function handedOver(
  steps: readonly Step[],
  wanted: ReadonlySet<string>,
  values: ReadonlyMap<string, string>,
  { resources }: State,
): readonly Step[] {
  const changes = steps.filter(({ action }) => action !== "delete");
  const changed = new Set(changes.map(({ id }) => id));
  const planned: Resources = { ...resources };
  for (const { records } of changes)
    for (const [id, record] of Object.entries(records)) if (record !== null) planned[id] = record;

  // Its address is known, and who may call it does not change: it can be sent messages as it is.
  const losing = new Set(
    changes.flatMap(({ id, kind, name }) => {
      const loses = kind === "function" && values.has(`trigger:${name}`) && !wanted.has(idOf("trigger", name));
      return loses && !changed.has(idOf("policy", id)) ? [id] : [];
    }),
  );
  const bringing = Map.groupBy(
    changes.filter(isBringer).flatMap(({ id }) => functionsOf(id, planned).map((own) => ({ id, own }))),
    ({ own }) => own,
  );

  return steps.map((step): Step => {
    const { id, action, needs } = step;
    if (action === "delete" && isBringer(step)) {
      const instead = functionsOf(id, resources).map((own) => own.slice("function ".length));
      const after = instead.flatMap((own) => [
        idOf("function", own),
        idOf("trigger", own),
        idOf("policy", `trigger ${own}`),
      ]);
      return { ...step, needs: [...needs, ...after.filter((one) => changed.has(one))] };
    }
    if (isBringer(step)) return { ...step, needs: needs.filter((need) => !losing.has(need)) };
    if (!losing.has(id)) return step;
    return { ...step, needs: [...needs, ...(bringing.get(id) ?? []).map((one) => one.id)] };
  });
}

function isBringer({ kind }: Step): boolean {
  return kind === "subscription" || kind === "notification";
}

/** The functions that it brings messages to; a notification does so by the subscriptions of its topic. */
function functionsOf(id: string, resources: Resources): readonly string[] {
  return (resources[id]?.on ?? []).flatMap((under) => {
    if (under.startsWith("function ")) return [under];
    return under.startsWith("subscription ") ? functionsOf(under, resources) : [];
  });
}
