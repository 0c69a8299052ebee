import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { alertPayload, webhookBody } from "../../lib/core/alert-payload.ts";
import type { AlertContext } from "../../lib/core/alert-payload.ts";
import type { Sending } from "../../lib/core/alert-group.ts";
import type { Notice } from "../../lib/core/documents.ts";

const notice: Notice = {
  event: "e1",
  type: "run.failed",
  at: Date.UTC(2024, 4, 2, 3, 4, 5),
  asset: "crm/accounts",
  partition: "2024-05-01",
  run: "00112233445566ff",
  code: "retries-exhausted",
  reason: "the <crm> said 503 & <!channel> ```rm``` @everyone (tried 4 times)",
};
const sending: Sending = { id: "aaaabbbbccccdddd", first: notice, last: notice, count: 1, attempt: 1, at: 0 };
const context: AlertContext = {
  alert: "failures",
  subject: "crm/accounts",
  environment: "prod",
  consoleUrl: "https://sluice.example.org",
};
const local: AlertContext = { ...context, environment: "", consoleUrl: "" };
const parsed = (text: string): unknown => JSON.parse(text) as unknown;

describe("golden", () => {
  const payload = alertPayload(sending, context);

  test("json", () => {
    assert.deepEqual(parsed(webhookBody("json", payload)), {
      version: 1,
      id: "aaaabbbbccccdddd",
      alert: "failures",
      environment: "prod",
      type: "run.failed",
      title: "crm/accounts 2024-05-01 failed",
      subject: "crm/accounts",
      asset: "crm/accounts",
      partition: "2024-05-01",
      run: "00112233445566ff",
      code: "retries-exhausted",
      reason: "the <crm> said 503 & <!channel> ```rm``` @everyone (tried 4 times)",
      count: 1,
      firstAt: "2024-05-02T03:04:05.000Z",
      at: "2024-05-02T03:04:05.000Z",
      link: "https://sluice.example.org/runs/00112233445566ff",
      command: "npx sluice events --run 00112233445566ff",
    });
  });

  test("slack", () => {
    const reason = "the &lt;crm&gt; said 503 &amp; &lt;!channel&gt; '''rm''' @everyone (tried 4 times)";
    assert.deepEqual(parsed(webhookBody("slack", payload)), {
      text: `crm/accounts 2024-05-01 failed: ${reason.replaceAll("'''", "```")}`,
      blocks: [
        { type: "header", text: { type: "plain_text", text: "crm/accounts 2024-05-01 failed", emoji: false } },
        { type: "section", text: { type: "mrkdwn", text: `\`\`\`${reason}\`\`\`` } },
        {
          type: "context",
          elements: [
            {
              type: "mrkdwn",
              text: "*environment* prod   *partition* 2024-05-01   *run* 00112233445566ff   *code* retries-exhausted   *at* 2024-05-02T03:04:05.000Z",
            },
          ],
        },
        {
          type: "section",
          text: { type: "mrkdwn", text: "<https://sluice.example.org/runs/00112233445566ff|Open in the console>" },
        },
      ],
    });
  });

  test("discord", () => {
    assert.deepEqual(parsed(webhookBody("discord", payload)), {
      embeds: [
        {
          title: "crm/accounts 2024-05-01 failed",
          url: "https://sluice.example.org/runs/00112233445566ff",
          description: "```\nthe <crm> said 503 & <!channel> '''rm''' @everyone (tried 4 times)\n```",
          color: 0xd9363e,
          fields: [
            { name: "environment", value: "prod", inline: true },
            { name: "partition", value: "2024-05-01", inline: true },
            { name: "run", value: "00112233445566ff", inline: true },
            { name: "code", value: "retries-exhausted", inline: true },
            { name: "at", value: "2024-05-02T03:04:05.000Z", inline: true },
          ],
          footer: { text: "Sluice alert failures" },
          timestamp: "2024-05-02T03:04:05.000Z",
        },
      ],
      allowed_mentions: { parse: [] },
    });
  });
});

test("where there is no console, the exact command is said", () => {
  const { partition: _, run: __, ...rest } = notice;
  const { asset: ___, ...letter } = rest;
  const cases: readonly (readonly [Notice, string, string])[] = [
    [notice, "crm/accounts 2024-05-01 failed", "npx sluice events --run 00112233445566ff"],
    [
      { ...notice, type: "check.evaluated", about: "unique_id" },
      "crm/accounts 2024-05-01 failed the check unique_id",
      "npx sluice events --run 00112233445566ff",
    ],
    [{ ...rest, type: "freshness.failed" }, "crm/accounts is late", "npx sluice why crm/accounts"],
    [{ ...rest, type: "freshness.restored" }, "crm/accounts is fresh again", "npx sluice why crm/accounts"],
    [
      { ...letter, type: "message.dead-lettered" },
      "a message for crm/accounts was laid aside",
      "npx sluice dead-letters",
    ],
  ];
  for (const [last, title, command] of cases) {
    const payload = alertPayload({ ...sending, first: last, last }, local);
    assert.deepEqual([payload.title, payload.command, payload.link], [title, command, undefined]);
    for (const format of ["slack", "discord"] as const) assert.ok(webhookBody(format, payload).includes(command));
  }
});

test("several are told with their number and their first time", () => {
  const payload = alertPayload({ ...sending, first: { ...notice, at: Date.UTC(2024, 4, 1) }, count: 12 }, context);
  assert.deepEqual(
    [payload.title, payload.count, payload.firstAt],
    ["crm/accounts 2024-05-01 failed, 12 times", 12, "2024-05-01T00:00:00.000Z"],
  );
  assert.ok(webhookBody("slack", payload).includes("*since* 2024-05-01T00:00:00.000Z"));
});

test("whatever a reason is, messages keep the limits of their receivers, and mention nobody", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 9_000 }),
    fc.constantFrom(
      "<".repeat(2_000),
      "&".repeat(2_000),
      "```".repeat(700),
      "",
      "\u{1F600}".repeat(1_000),
      "<!channel> @everyone",
    ),
  );
  fc.assert(
    fc.property(text, text, text, fc.boolean(), (reason, subject, code, linked) => {
      const last = {
        ...notice,
        reason: reason.slice(0, 2_000),
        code: code.slice(0, 200),
        partition: subject.slice(0, 200),
      };
      const payload = alertPayload(
        { ...sending, last },
        { ...(linked ? context : local), subject: subject.slice(0, 250) },
      );
      const slack = parsed(webhookBody("slack", payload)) as SlackMessage; // the form that the golden test fixes
      const [header, body, facts] = slack.blocks;
      assert.ok((header?.text?.text.length ?? 0) <= 150 && (header?.text?.text.length ?? 0) > 0);
      assert.ok((body?.text?.text.length ?? 0) <= 3_000 && slack.text.length <= 3_000);
      assert.ok((facts?.elements?.[0]?.text.length ?? 0) <= 3_000);
      const written = slack.blocks
        .slice(1, 3)
        .map((block) => block.text?.text ?? block.elements?.[0]?.text ?? "")
        .join("");
      assert.doesNotMatch(`${slack.text}${written}`, /[<>]/, "nothing is a mention or a link");
      const discord = parsed(webhookBody("discord", payload)) as DiscordMessage; // as above
      const [embed] = discord.embeds;
      assert.ok(embed !== undefined && embed.title.length <= 256 && embed.description.length <= 4_096);
      for (const { value } of embed.fields) assert.ok(value.length <= 1_024);
      const sum = embed.title.length + embed.description.length + embed.footer.text.length;
      assert.ok(embed.fields.reduce((all, { name, value }) => all + name.length + value.length, sum) <= 6_000);
      assert.equal(embed.description.split("```").length, 3, "the reason does not leave its block");
      assert.deepEqual(discord.allowed_mentions, { parse: [] });
    }),
    { numRuns: 300 },
  );
});

interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly {
    readonly text?: { readonly text: string };
    readonly elements?: readonly { readonly text: string }[];
  }[];
}

interface DiscordMessage {
  readonly embeds: readonly {
    readonly title: string;
    readonly description: string;
    readonly fields: readonly { readonly name: string; readonly value: string }[];
    readonly footer: { readonly text: string };
  }[];
  readonly allowed_mentions: unknown;
}
