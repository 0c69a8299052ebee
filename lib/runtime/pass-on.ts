/** Requests that meet a rename under way: they are made again, where and when they can be served. */
import { topicOf } from "../core/asset-key.ts";
import { bodyOf } from "../core/ending.ts";
import type { RunRequest } from "../core/request.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { Services } from "./services.ts";

/** To the asset's present name. Whoever still works under the old one belongs to a deployment that is over. */
export async function passOn(services: Services, from: RunIdentity, to: string, request: RunRequest): Promise<void> {
  const { events, bus, clock } = services;
  await bus.publish(topicOf(to), { data: bodyOf(request) });
  const reason =
    `${from.name} is called ${to} now, and the request was passed on to it; ` +
    `to go back to the old name, define it with previousKeys: ["${to}"]`;
  const id = `passed-on-${from.id}`;
  const base = { v: EVENT_VERSION, id, at: clock.now(), asset: from.name, type: "message.refused" } as const;
  await events.append([{ ...base, topic: topicOf(from.name), messageId: request.runKey, reason }]);
}

/** When the run that is at work under an old name may be over. */
export async function askLater(services: Services, identity: RunIdentity, request: RunRequest): Promise<void> {
  const { bus, clock, settings } = services;
  const at = clock.now() + settings.lookAgainMs;
  await bus.schedule(`renaming-${identity.id}-${at}`, topicOfRun(identity), { data: bodyOf(request) }, at);
}
