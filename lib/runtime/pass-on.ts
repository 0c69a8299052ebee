/** Requests that meet a rename under way: they are made again, where and when they can be served. */
import { topicOf } from "../core/asset-key.ts";
import { bodyOf } from "../core/ending.ts";
import type { RunRequest } from "../core/request.ts";
import { shortHash } from "../core/hash.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { Delivery } from "./envelope.ts";
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

/**
 * When the run that is at work under an old name may be over. A message that comes twice is sent once; what is sent has an id of
 * its own, so that it can be put off again.
 */
export async function askLater(
  services: Services,
  identity: RunIdentity,
  request: RunRequest,
  { messageId, sentAt }: Pick<Delivery, "messageId" | "sentAt">,
): Promise<void> {
  const { bus, clock, settings } = services;
  // Also where this clock is behind.
  const at = Math.max(clock.now(), sentAt) + settings.lookAgainMs;
  await bus.schedule(
    `renaming-${identity.id}-${shortHash([messageId])}`,
    topicOfRun(identity),
    { data: bodyOf(request) },
    at,
  );
}
