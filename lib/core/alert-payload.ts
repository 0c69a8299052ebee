/** What an alert says, in the forms that its receivers take and within their limits. */
import { cut } from "./alert.ts";
import type { WebhookFormat } from "./alert.ts";
import type { Sending } from "./alert-group.ts";
import type { Notice } from "./documents.ts";

export interface AlertContext {
  /** The alert's name. */
  readonly alert: string;
  /** The asset, job, sensor or subscription. */
  readonly subject: string;
  /** Of the deployment; empty on one machine. */
  readonly environment: string;
  /** The console's address, without a slash at its end; empty where there is none. */
  readonly consoleUrl: string;
}

/** Sluice's own form, and what all others are made of. */
export interface AlertPayload {
  readonly version: 1;
  /** The same for every delivery of this message: whoever has seen it may pass over it. */
  readonly id: string;
  readonly alert: string;
  readonly environment?: string;
  readonly type: "run.failed" | "check.failed" | "freshness.failed" | "freshness.restored" | "message.dead-lettered";
  readonly title: string;
  readonly subject: string;
  readonly asset?: string;
  readonly partition?: string;
  readonly run?: string;
  readonly check?: string;
  readonly code?: string;
  /** Of the last one. */
  readonly reason: string;
  /** How often it happened, between `firstAt` and `at`. ISO 8601, UTC. */
  readonly count: number;
  readonly firstAt: string;
  readonly at: string;
  readonly link?: string;
  /** Shows more of it. */
  readonly command: string;
}

export function alertPayload(sending: Sending, context: AlertContext): AlertPayload {
  const { first, last, count, id } = sending;
  const { alert, subject, environment, consoleUrl } = context;
  const { asset, partition, run, code, reason } = last;
  const link = consoleUrl === "" ? undefined : linkOf(consoleUrl, last);
  return {
    version: 1,
    id,
    alert,
    ...(environment === "" ? {} : { environment }),
    type: last.type === "check.evaluated" ? "check.failed" : last.type,
    title: `${titleOf(last, subject)}${count > 1 ? `, ${count} times` : ""}`,
    subject,
    ...(asset === undefined ? {} : { asset }),
    ...(partition === undefined ? {} : { partition }),
    ...(run === undefined ? {} : { run }),
    ...(last.type === "check.evaluated" ? { check: last.about ?? "" } : {}),
    ...(code === undefined ? {} : { code }),
    reason,
    count,
    firstAt: new Date(first.at).toISOString(),
    at: new Date(last.at).toISOString(),
    ...(link === undefined ? {} : { link }),
    command: commandOf(last),
  };
}

function titleOf({ type, partition, about }: Notice, subject: string): string {
  const what = partition === undefined ? subject : `${subject} ${partition}`;
  switch (type) {
    case "run.failed":
      return `${what} failed`;
    case "check.evaluated":
      return `${what} failed the check ${about ?? ""}`;
    case "freshness.failed":
      return `${subject} is late`;
    case "freshness.restored":
      return `${subject} is fresh again`;
    case "message.dead-lettered":
      return `a message for ${subject} was laid aside`;
  }
}

function linkOf(base: string, { run, asset, type }: Notice): string {
  if (run !== undefined) return `${base}/runs/${encodeURIComponent(run)}`;
  if (asset !== undefined) return `${base}/assets/${asset.split("/").map(encodeURIComponent).join("/")}`;
  return type === "message.dead-lettered" ? `${base}/dead-letters` : base;
}

function commandOf({ run, asset, type }: Notice): string {
  if (type === "message.dead-lettered") return "npx sluice dead-letters";
  if (run !== undefined) return `npx sluice events --run ${run}`;
  return asset === undefined ? "npx sluice events" : `npx sluice why ${asset}`;
}

/** The body of a POST, JSON. */
export function webhookBody(format: WebhookFormat, payload: AlertPayload): string {
  if (format === "json") return JSON.stringify(payload);
  return JSON.stringify(format === "slack" ? slackMessage(payload) : discordMessage(payload));
}

/** Slack takes 150 characters of a header, and 3,000 of a section; escaped ones count as what they become. */
const SLACK = Object.freeze({ header: 150, section: 3_000, text: 3_000 });

function slackMessage(payload: AlertPayload): unknown {
  const { title, reason, command, link } = payload;
  const facts = factsOf(payload).map(([name, value]) => `*${name}* ${slackText(value, 300)}`);
  const more =
    link === undefined ? `\`${slackText(command, 500)}\`` : `<${slackText(link, 1_000)}|Open in the console>`;
  return {
    text: slackText(`${title}: ${reason}`, SLACK.text),
    blocks: [
      { type: "header", text: { type: "plain_text", text: cut(title, SLACK.header), emoji: false } },
      {
        type: "section",
        text: { type: "mrkdwn", text: `\`\`\`${slackText(fenced(reason), SLACK.section - 6)}\`\`\`` },
      },
      { type: "context", elements: [{ type: "mrkdwn", text: cut(facts.join("   "), SLACK.section) }] },
      { type: "section", text: { type: "mrkdwn", text: more } },
    ],
  };
}

/** Nothing in it is a mention, a link or a command. */
function slackText(text: string, max: number): string {
  const escape = (part: string): string =>
    part.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const whole = escape(text);
  if (whole.length <= max) return whole;
  let length = 0;
  let fits = "";
  for (const character of text) {
    const next = escape(character);
    if (length + next.length > max - 1) break;
    length += next.length;
    fits += next;
  }
  return `${fits}…`;
}

/** Discord takes 256 characters of a title, 4,096 of a description, 1,024 of a field, and 6,000 in all. */
const DISCORD = Object.freeze({ title: 256, description: 3_000, field: 300 });
const RED = 0xd9_36_3e;
const GREEN = 0x2e_a0_43;

function discordMessage(payload: AlertPayload): unknown {
  const { title, reason, command, link, type, at, alert } = payload;
  const fields = factsOf(payload).map(([name, value]) => ({ name, value: cut(value, DISCORD.field), inline: true }));
  const more = { name: "more", value: `\`${cut(command.replaceAll("`", "'"), DISCORD.field)}\``, inline: false };
  return {
    embeds: [
      {
        title: cut(title, DISCORD.title),
        ...(link === undefined ? {} : { url: link }),
        description: `\`\`\`\n${cut(fenced(reason), DISCORD.description)}\n\`\`\``,
        color: type === "freshness.restored" ? GREEN : RED,
        fields: link === undefined ? [...fields, more] : fields,
        footer: { text: cut(`Sluice alert ${alert}`, DISCORD.field) },
        timestamp: at,
      },
    ],
    // Whatever a reason says, nobody is called by it.
    allowed_mentions: { parse: [] },
  };
}

/** Never empty, and never the end of the block that it is in. */
function fenced(text: string): string {
  return text.trim() === "" ? "no reason was given" : text.replaceAll("```", "'''");
}

function factsOf(payload: AlertPayload): [string, string][] {
  const { environment, partition, run, code, count, firstAt, at } = payload;
  const facts: [string, string | undefined][] = [
    ["environment", environment],
    ["partition", partition],
    ["run", run],
    ["code", code],
    ["since", count > 1 ? firstAt : undefined],
    ["at", at],
  ];
  return facts.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value]]));
}
