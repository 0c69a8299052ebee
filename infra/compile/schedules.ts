/** When what is asked for by the clock, as jobs of Cloud Scheduler. Their messages never change: the window follows from the time. */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { shortHash } from "../../lib/core/hash.ts";
import { Interval, intervalCron } from "../../lib/core/interval.ts";
import { requestsFor } from "../../lib/core/multi-requests.ts";
import { didYouMean } from "../../lib/core/suggest.ts";
import type { Unit } from "../../lib/core/units.ts";
import type { Environment } from "../environments.ts";
import type { Accounts } from "../iam/accounts.ts";
import type { Manifest } from "../manifest.ts";
import { deployedNameOf, resourceName } from "../names.ts";

type Schedules = Manifest["schedules"];

interface Tick {
  readonly cron: string;
  readonly timeZone: string;
}

const MAX_NAME = 200;

export function schedulesOf(
  definitions: Definitions,
  environment: Environment,
  units: readonly Unit[],
  accounts: Accounts,
): Schedules {
  const { namePrefix, reconcileMinutes } = environment;
  const scheduled = [...definitions.assets.values()].flatMap((asset) => {
    const tick = tickOf(asset, environment);
    return tick === undefined ? [] : [{ asset, tick }];
  });
  const groups = Map.groupBy(scheduled, ({ asset, tick }) => `${whoOf(asset)}\n${tick.cron}\n${tick.timeZone}`);
  const made = [...groups.values()].flatMap((members) => {
    const [first] = members;
    if (first === undefined) return [];
    const { asset, tick } = first;
    const due = members.map((member) => ({ asset: member.asset }));
    // Outputs of one multi-asset that are due together are one message to its job.
    return requestsFor(definitions, due, { cause: { kind: "schedule" } }).map(({ topic, data }): Schedules[number] => {
      // A multi-asset may have several schedules, and an output that is alone on one is asked for by itself.
      const own = asset.multi === undefined ? "" : `/${shortHash([tick.cron, tick.timeZone, topic], 8)}`;
      return {
        name: resourceName(`${namePrefix}schedule/${whoOf(asset)}${own}`, MAX_NAME),
        ...tick,
        // Through JSON, so that it is what will be sent.
        target: { kind: "topic", topic: `${namePrefix}${topic}`, message: JSON.parse(JSON.stringify(data)) as null },
        about: `asks for ${members.map((member) => member.asset.key).join(", ")}`,
      };
    });
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

/** What the environment may name in its schedules. */
function whoOf({ key, multi }: AssetDefinition): string {
  return multi?.name ?? key;
}

/** The asset's own line; a whole interval's is moved by some minutes that follow from the name, unless the environment says when. */
function tickOf(asset: AssetDefinition, { schedules, spreadMinutes }: Environment): Tick | undefined {
  const { automation } = asset;
  if (automation?.kind !== "schedule") return undefined;
  const said = schedules[asset.key] ?? schedules[whoOf(asset)];
  if (said !== undefined) return said;
  const { cron, timeZone } = automation;
  const interval = timeZone === "UTC" ? Object.values(Interval).find((one) => intervalCron(one) === cron) : undefined;
  if (interval === undefined) return { cron, timeZone };
  const minute = minuteOf(whoOf(asset), spreadMinutes[interval]);
  return { cron: cron.replace(/^0 /, `${minute} `), timeZone };
}

/** The same minute for the same name, whatever else there is: 0 to `most`. */
function minuteOf(who: string, most: number): number {
  return parseInt(shortHash(["schedule", who], 8), 16) % (most + 1);
}

/** Cron lines that Cloud Scheduler would refuse or read in another way, and overrides of nothing. */
export function scheduleProblems(definitions: Definitions, environment: Environment): DefinitionError[] {
  const assets = [...definitions.assets.values()];
  const problems = assets.flatMap((asset) => {
    const tick = tickOf(asset, environment);
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
