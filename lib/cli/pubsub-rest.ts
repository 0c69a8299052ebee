/** Pub/Sub's REST publish path, as far as publishing goes, so that gcloud and client libraries can trigger assets. */
import { Hono } from "hono";
import type { Context } from "hono";
import { z } from "zod";
import { messageOf } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { OutgoingBytes } from "./workbench.ts";

export interface PublishTarget {
  topics(): readonly string[];
  publish(topic: string, message: OutgoingBytes): Promise<string>;
}

const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;
const bodySchema = z.object({
  messages: z
    .array(
      z
        .object({
          data: z.string().regex(base64, "data is not base64").default(""),
          attributes: z.record(z.string(), z.string()).nullish(),
        })
        .refine(
          ({ data, attributes }) => data !== "" || Object.keys(attributes ?? {}).length > 0,
          "a message must have data or at least one attribute",
        ),
    )
    .min(1, "there are no messages")
    .max(1_000, "there are more than 1,000 messages"),
});

/** `POST /v1/projects/<any>/topics/<topic>:publish`. Errors have the form that Google's APIs give them. */
export function pubsubRoutes({ topics, publish }: PublishTarget): Hono {
  const app = new Hono();
  app.post("/v1/projects/:project/topics/:action", async (c) => {
    const { project, action } = c.req.param();
    if (!action.endsWith(":publish")) return refuse(c, 404, "NOT_FOUND", `there is no method ${action}`);
    const topic = action.slice(0, -":publish".length);
    const known = topics();
    if (!known.includes(topic)) {
      const hint = didYouMean(topic, known);
      const resource = `projects/${project}/topics/${topic}`;
      return refuse(
        c,
        404,
        "NOT_FOUND",
        `Resource not found (resource=${resource})${hint === undefined ? "" : `; ${hint}`}`,
      );
    }
    const body: unknown = await c.req.json().catch(() => undefined);
    const parsed = bodySchema.safeParse(body);
    if (!parsed.success) {
      return refuse(c, 400, "INVALID_ARGUMENT", parsed.error.issues[0]?.message ?? "the body is no publish request");
    }
    const messageIds: string[] = [];
    try {
      for (const { data, attributes } of parsed.data.messages) {
        messageIds.push(await publish(topic, { data, attributes: attributes ?? {} }));
      }
    } catch (error) {
      return refuse(c, 400, "INVALID_ARGUMENT", messageOf(error));
    }
    return c.json({ messageIds });
  });
  return app;
}

function refuse(c: Context, code: 400 | 404, status: string, message: string): Response {
  return c.json({ error: { code, message, status } }, code);
}
