/** When what is asked for by the clock, as jobs of Cloud Scheduler. Their messages never change: the window follows from the time. */
import type { Definitions } from "../../lib/core/definitions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { shortHash } from "../../lib/core/hash.ts";
import { scheduledRequests, tickTimes, whoOf } from "../../lib/core/schedule.ts";
import { didYouMean } from "../../lib/core/suggest.ts";
import type { Unit } from "../../lib/core/units.ts";
import type { Environment } from "../environments.ts";
import type { Accounts } from "../iam/accounts.ts";
import type { Manifest } from "../manifest.ts";
import { deployedNameOf, resourceName } from "../names.ts";

type Schedules = Manifest["schedules"];

const MAX_NAME = 200;

export function schedulesOf(
  definitions: Definitions,
  environment: Environment,
  units: readonly Unit[],
  accounts: Accounts,
): Schedules {
  const { namePrefix, reconcileMinutes } = environment;
  const made = scheduledRequests(definitions, environment).map(({ cron, timeZone, topic, data, assets }) => {
    const [first] = assets;
    const who = first === undefined ? "" : whoOf(first);
    // A multi-asset may have several schedules, and an output that is alone on one is asked for by itself.
    const own = first?.multi === undefined ? "" : `/${shortHash([cron, timeZone, topic], 8)}`;
    return {
      name: resourceName(`${namePrefix}schedule/${who}${own}`, MAX_NAME),
      cron,
      timeZone,
      // Through JSON, so that it is what will be sent.
      target: {
        kind: "topic" as const,
        topic: `${namePrefix}${topic}`,
        message: JSON.parse(JSON.stringify(data)) as null,
      },
      about: `asks for ${assets.map(({ key }) => key).join(", ")}`,
    };
  });
  const reconcile = units
    .filter(({ kind }) => kind === "reconcile")
    .map((unit): Schedules[number] => ({
      name: `${namePrefix}reconcile`,
      cron: reconcileMinutes === 1 ? "* * * * *" : `*/${reconcileMinutes} * * * *`,
      timeZone: "UTC",
      target: { kind: "function", function: deployedNameOf(namePrefix, unit), account: accounts.push.email },
      about: "wakes what is due, and looks at watched buckets",
    }));
  return [...made, ...reconcile].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Cron lines that Cloud Scheduler would refuse or read in another way, and overrides of nothing. */
export function scheduleProblems(definitions: Definitions, environment: Environment): DefinitionError[] {
  const assets = [...definitions.assets.values()];
  const problems = assets.flatMap((asset) => {
    const tick = tickTimes(asset, environment);
    const where = definitions.places.get(`asset ${asset.key}`) ?? asset.key;
    const fault = tick === undefined ? undefined : cronFault(tick.cron);
    if (tick === undefined || fault === undefined) return [];
    return [
      new DefinitionError(`the schedule ${JSON.stringify(tick.cron)} of ${asset.key} ${fault}`, {
        where,
        remedy: "write minute, hour, day, month and weekday, such as 0 6 * * 1",
      }),
    ];
  });
  const timed = assets.filter(({ automation }) => automation?.kind === "schedule");
  const known = new Set(timed.flatMap((asset) => [asset.key, whoOf(asset)]));
  const unknown = Object.keys(environment.schedules).filter((name) => !known.has(name));
  return [
    ...problems,
    ...unknown.map(
      (name) =>
        new DefinitionError(`${JSON.stringify(name)} has no schedule that could be another one`, {
          where: `environment ${environment.name} schedules`,
          remedy: didYouMean(name, known) ?? "leave it out",
        }),
    ),
  ];
}

const FIELD =
  /^(?:\*|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:\/[0-9]+)?(?:,(?:\*|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:\/[0-9]+)?)*$/;

function cronFault(cron: string): string | undefined {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== 5) return `has ${fields.length} fields, and Cloud Scheduler takes 5`;
  const strange = fields.find((field) => !FIELD.test(field) || /(?:^|[0-9,-])[LW]/i.test(field));
  return strange === undefined ? undefined : `has the field ${strange}, which Cloud Scheduler does not know`;
}
