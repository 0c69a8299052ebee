/** Alerts: who is told of what goes wrong, as data beside the assets that it is about. */
import { checkName, parseTopic } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import type { AssetDefinition } from "./asset.ts";
import { brand } from "./definition.ts";
import type { Branded } from "./definition.ts";
import type { Notice } from "./documents.ts";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError } from "./errors.ts";
import type { SluiceEvent } from "./events.ts";
import type { AssetGraph } from "./graph.ts";
import type { Need } from "./needs.ts";
import { nameIn } from "./option-rules.ts";
import { checkOptions, is, isRecord, optional, text, texts } from "./options.ts";
import type { Shape } from "./options.ts";
import type { ResourceDefinition } from "./resources.ts";
import { selectAssets } from "./selection.ts";
import { didYouMean } from "./suggest.ts";

/**
 * `run.failed`: a run has failed for good, its retries included. `check.failed`: a blocking check, or one of severity `error`.
 * `freshness`: a policy is not kept any more, or again. `message.dead-lettered`: a message was delivered in vain.
 */
export type AlertOn = "run.failed" | "check.failed" | "freshness" | "message.dead-lettered";
export const ALERT_ON = [
  "run.failed",
  "check.failed",
  "freshness",
  "message.dead-lettered",
] as const satisfies readonly AlertOn[];

export type WebhookFormat = "json" | "slack" | "discord";
const FORMATS: readonly string[] = ["json", "slack", "discord"] satisfies WebhookFormat[];

/** Where messages go. */
export type AlertTarget =
  | { readonly kind: "webhook"; readonly secret: string; readonly format: WebhookFormat }
  | { readonly kind: "topic"; readonly topic: string };

export interface AlertOptions {
  /** Default: the name of the export. */
  readonly name?: string;
  readonly description?: string;
  readonly on: readonly AlertOn[];
  /** A selection of assets, as `sluice list` takes it: `gitcoin/*`, `tag:daily`. Default: everything, jobs and sensors included. */
  readonly assets?: string;
  readonly to: AlertTarget;
  /** After a message, what happens to the same thing is counted for so long and then told in one. Default 1h. */
  readonly quiet?: Duration;
}

export interface AlertDefinition extends Branded<"alert"> {
  /** Empty until the loader has given it that of its export. */
  readonly name: string;
  readonly description?: string;
  readonly on: readonly AlertOn[];
  readonly assets?: string;
  /** The assets that `assets` chooses, where they were chosen when the function was built. */
  readonly keys?: readonly AssetKey[];
  readonly to: AlertTarget;
  readonly quietMs: number;
  readonly needs: readonly Need[];
}

const OPTIONS: Shape<keyof AlertOptions> = {
  name: optional(text),
  description: optional(text),
  on: texts,
  assets: optional(text),
  to: is(
    "where it goes",
    (value) => isRecord(value) && (value["kind"] === "webhook" || value["kind"] === "topic"),
    'use webhook({ url: secret("…") }) or pubsubTopic("…")',
  ),
  quiet: optional(text),
};

/** Defines an alert. Throws `DefinitionError` for a bad name, kind of event or duration. */
export function alert(options: AlertOptions): AlertDefinition {
  checkOptions(nameIn("alert", options), options, OPTIONS);
  const { name, on, to, quiet = "1h", description, assets } = options;
  if (name !== undefined) checkName(name, "alert");
  const who = `the alert${name === undefined ? "" : ` ${name}`}`;
  const strange = on.find((type) => !ALERT_ON.includes(type));
  if (strange !== undefined || on.length === 0) {
    const hint = strange === undefined ? undefined : didYouMean(strange, ALERT_ON);
    throw new DefinitionError(`${who} is on ${strange === undefined ? "nothing" : JSON.stringify(strange)}`, {
      remedy: hint ?? `choose of ${ALERT_ON.join(", ")}`,
    });
  }
  const need: Need =
    to.kind === "webhook"
      ? { kind: "secret", name: to.secret, reason: `${who} is sent to the address in it` }
      : { kind: "publish", topic: to.topic, reason: `${who} is published there` };
  return Object.freeze({
    [brand]: true as const,
    kind: "alert" as const,
    name: name ?? "",
    ...(description === undefined ? {} : { description }),
    on: [...new Set(on)],
    ...(assets === undefined ? {} : { assets }),
    to,
    quietMs: durationMs(quiet),
    needs: [need],
  });
}

/** The same alert with the name of its export, if it has none. */
export function namedAlert(definition: AlertDefinition, name: string): AlertDefinition {
  return definition.name === "" ? Object.freeze({ ...definition, name: checkName(name, "alert") }) : definition;
}

/** A POST to the address that the secret holds. Throws `DefinitionError` for an unknown format. */
export function webhook(options: {
  readonly url: ResourceDefinition<string>;
  /** What the receiver takes: Sluice's own JSON, or a message of Slack or Discord. Default `json`. */
  readonly format?: WebhookFormat;
}): AlertTarget {
  checkOptions("webhook", options, {
    url: is("a secret", isRecord, 'write url: secret("slack_url")'),
    format: optional(text),
  });
  const { url, format = "json" } = options;
  if (!FORMATS.includes(format))
    throw new DefinitionError(`a webhook has no format ${JSON.stringify(format)}`, {
      remedy: didYouMean(format, FORMATS) ?? `choose of ${FORMATS.join(", ")}`,
    });
  if (url.secret === undefined)
    throw new DefinitionError("a webhook's address is a secret", { remedy: 'write url: secret("slack_url")' });
  return { kind: "webhook", secret: url.secret, format };
}

/** A message on a topic of the project, in Sluice's own JSON. The deployment makes the topic. Throws `DefinitionError` for a bad name. */
export function pubsubTopic(topic: string): AlertTarget {
  const legal = /^[A-Za-z][A-Za-z0-9._~+%-]{2,199}$/.test(topic) && !topic.toLowerCase().startsWith("goog");
  if (!legal || parseTopic(topic) !== undefined || topic === "dead-letters")
    throw new DefinitionError(`alerts cannot go to the topic ${JSON.stringify(topic.slice(0, 200))}`, {
      remedy: "use 3 to 200 letters, digits, - and _ that begin with a letter, and no topic of Sluice's own",
    });
  return { kind: "topic", topic };
}

type Chooser = {
  readonly assets: ReadonlyMap<AssetKey, Pick<AssetDefinition, "group" | "tags" | "owners" | "kinds">>;
  readonly graph: AssetGraph;
};

/** The assets that an alert is about; `undefined` for everything. Throws `DefinitionError` for a selection that chooses nothing. */
export function chosenBy({ assets, graph }: Chooser, definition: AlertDefinition): readonly AssetKey[] | undefined {
  if (definition.keys !== undefined || definition.assets === undefined) return definition.keys;
  return selectAssets(definition.assets, graph, assets);
}

/** What somebody could be told of the event, if anything: `on` and the notice itself. */
export function noticeOf(event: SluiceEvent): { readonly on: AlertOn; readonly notice: Notice } | undefined {
  const { id, at, asset, partition, run } = event;
  const base = {
    event: id,
    at,
    ...(asset === undefined ? {} : { asset }),
    ...(partition === undefined ? {} : { partition }),
    ...(run === undefined ? {} : { run }),
  };
  switch (event.type) {
    case "run.failed":
      return {
        on: "run.failed",
        notice: { ...base, type: event.type, code: cut(event.code, 200), reason: cut(event.reason, REASON) },
      };
    case "check.evaluated": {
      const { check, passed, blocking, severity, message } = event.result;
      if (passed || (!blocking && severity !== "error")) return undefined;
      const reason = cut(message ?? "failed", REASON);
      return { on: "check.failed", notice: { ...base, type: event.type, about: check, reason } };
    }
    case "freshness.failed":
    case "freshness.restored":
      return { on: "freshness", notice: { ...base, type: event.type, reason: cut(event.reason, REASON) } };
    case "message.dead-lettered": {
      const { subscription, reason = "nobody said why", attempts } = event;
      const why = cut(`${reason} (delivered ${attempts} times)`, REASON);
      return { on: "message.dead-lettered", notice: { ...base, type: event.type, about: subscription, reason: why } };
    }
    default:
      return undefined;
  }
}

const REASON = 2_000;

/** Whether the alert is about it. A run that failed its check is told of once, by the check. */
export function concerns(definition: AlertDefinition, keys: readonly AssetKey[] | undefined, notice: Notice): boolean {
  if (!definition.on.includes(ON[notice.type])) return false;
  if (notice.code === "check-failed" && definition.on.includes("check.failed")) return false;
  return keys === undefined || (notice.asset !== undefined && keys.includes(notice.asset));
}

const ON: Readonly<Record<Notice["type"], AlertOn>> = {
  "run.failed": "run.failed",
  "check.evaluated": "check.failed",
  "freshness.failed": "freshness",
  "freshness.restored": "freshness",
  "message.dead-lettered": "message.dead-lettered",
};

/** At most `max` characters, whole ones. */
export function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).toWellFormed()}…`;
}
