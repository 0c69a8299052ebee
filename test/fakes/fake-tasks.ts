/**
 * A fake of Cloud Tasks: its REST, as the unmodified client speaks it, for queues of one project. It refuses what the service
 * refuses, and calls the target of a task at its time, again and again until that answers with a success.
 */
import type { Clock } from "../../lib/ports/clock.ts";
import { bytesOf, jsonReply, parseJson, startHttpFake } from "./http-fake.ts";
import type { Call, HttpFake, Reply } from "./http-fake.ts";
import { RpcError, answeringRpc } from "./rpc-error.ts";

export interface FakeTasks extends HttpFake {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Makes the calls whose time has come, and waits for their answers. */
  deliver(): Promise<void>;
  /** The queues that are there. */
  queues(): readonly string[];
  /** When the next task is due (ms). */
  nextAt(): number | undefined;
}

export interface FakeTasksOptions {
  readonly clock: Pick<Clock, "now">;
  /** `projects/P/locations/L/queues/Q`, each. */
  readonly queues: readonly string[];
}

interface Task {
  readonly name: string;
  at: number;
  attempts: number;
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A name that was used is free again after so long. */
const NAME_MEMORY_MS = 3_600_000;
const MAX_AHEAD_MS = 720 * 3_600_000;
const MAX_TASK_BYTES = 100 * 1024;
/** The queue's default retry: from 0.1 s, doubling, to an hour at most. */
const retryDelay = (attempts: number): number => Math.min(100 * 2 ** (attempts - 1), 3_600_000);

export async function startFakeTasks({ clock, queues }: FakeTasksOptions): Promise<FakeTasks> {
  const known = new Set(queues);
  const waiting = new Map<string, Task>();
  const usedAt = new Map<string, number>();
  let unnamed = 0;

  async function create(call: Call, parent: string): Promise<Reply> {
    const bytes = await bytesOf(call);
    const task = objectOf(parseJson(bytes.toString())["task"], "Task is required.");
    if (!known.has(parent)) throw new RpcError("NOT_FOUND", "Requested entity was not found.");
    if (bytes.length > MAX_TASK_BYTES) throw invalid("Task size too large");
    const name = task["name"] === undefined ? `${parent}/tasks/${++unnamed}` : textOf(task["name"]);
    const id = name.startsWith(`${parent}/tasks/`) ? name.slice(`${parent}/tasks/`.length) : undefined;
    if (id === undefined) throw invalid(`The queue name from request ('${parent}') must be the same as the task's`);
    if (!/^[A-Za-z0-9_-]{1,500}$/.test(id)) {
      throw invalid("Task ID must contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores (_).");
    }
    const now = clock.now();
    const at = task["scheduleTime"] === undefined ? now : Date.parse(textOf(task["scheduleTime"]));
    if (Number.isNaN(at)) throw invalid("Invalid value at 'task.schedule_time'");
    if (at - now > MAX_AHEAD_MS) {
      throw invalid("The Task.scheduleTime must not be more than 720h0m0s in the future.");
    }
    const request = objectOf(task["httpRequest"], "Task.payload_type is required.");
    const url = textOf(request["url"]);
    if (!/^https?:\/\/[^/]+/.test(url) || url.length > 2083)
      throw invalid("HttpRequest.url must start with http(s)://");
    const token = objectOf(request["oauthToken"] ?? {}, "Invalid OAuthToken.");
    const email = token["serviceAccountEmail"];
    if (request["oauthToken"] !== undefined && (typeof email !== "string" || !/^[^@\s]+@[^@\s]+$/.test(email))) {
      throw invalid("OAuthToken.service_account_email must be an email address.");
    }
    const used = usedAt.get(name);
    if (waiting.has(name) || (used !== undefined && now - used < NAME_MEMORY_MS)) {
      throw new RpcError(
        "ALREADY_EXISTS",
        used === undefined
          ? "Requested entity already exists"
          : "The task cannot be created because a task with this name existed too recently.",
      );
    }
    waiting.set(name, {
      name,
      at: Math.max(at, now),
      attempts: 0,
      url,
      method: "POST",
      headers: {
        ...stringsOf(request["headers"]),
        ...(typeof email === "string" ? { authorization: `Bearer token-of-${email}` } : {}),
      },
      body: Buffer.from(textOf(request["body"]), "base64"),
    });
    return jsonReply(200, { name, scheduleTime: new Date(Math.max(at, now)).toISOString(), view: "BASIC" });
  }

  const fake = await startHttpFake(
    answeringRpc(async (call) => {
      const location = /^\/v2\/(projects\/[^/]+\/locations\/[^/]+)\/queues$/.exec(call.path)?.[1];
      if (call.method === "POST" && location !== undefined) {
        const name = textOf(parseJson((await bytesOf(call)).toString())["name"]);
        if (!new RegExp(`^${location}/queues/[A-Za-z0-9-]{1,100}$`).test(name)) throw invalid("Queue ID is not legal");
        if (known.has(name)) throw new RpcError("ALREADY_EXISTS", "Queue already exists");
        known.add(name);
        return jsonReply(200, { name, state: "RUNNING" });
      }
      const queue = /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/queues\/[^/]+)$/.exec(call.path)?.[1];
      if (call.method === "DELETE" && queue !== undefined) {
        if (!known.delete(queue)) throw new RpcError("NOT_FOUND", "Requested entity was not found.");
        for (const name of waiting.keys()) if (name.startsWith(`${queue}/`)) waiting.delete(name);
        return jsonReply(200, {});
      }
      const parent = /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/queues\/[^/]+)\/tasks$/.exec(call.path)?.[1];
      if (call.method !== "POST" || parent === undefined) throw new RpcError("NOT_FOUND", "Not Found");
      return await create(call, decodeURIComponent(parent));
    }),
  );

  async function attempt(task: Task): Promise<void> {
    task.attempts += 1;
    const answer = await fetch(task.url, {
      method: task.method,
      headers: {
        ...task.headers,
        "user-agent": "Google-Cloud-Tasks",
        "x-cloudtasks-taskname": task.name.split("/").at(-1) ?? "",
        "x-cloudtasks-taskretrycount": String(task.attempts - 1),
      },
      body: new Uint8Array(task.body),
    }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) {
      waiting.delete(task.name);
      usedAt.set(task.name, clock.now());
    } else task.at = clock.now() + retryDelay(task.attempts);
  }

  return {
    ...fake,
    host: new URL(fake.url).host,
    queues: () => [...known],
    nextAt: () =>
      [...waiting.values()].reduce<number | undefined>((first, { at }) => Math.min(first ?? at, at), undefined),
    async deliver() {
      const due = [...waiting.values()].filter(({ at }) => at <= clock.now()).sort((a, b) => a.at - b.at);
      for (const task of due) await attempt(task);
    },
  };
}

function invalid(message: string): RpcError {
  return new RpcError("INVALID_ARGUMENT", message);
}

function objectOf(value: unknown, message: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw invalid(message);
  // A JSON object has text keys and values of any kind.
  return value as Readonly<Record<string, unknown>>;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function stringsOf(value: unknown): Record<string, string> {
  const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
  return Object.fromEntries(entries.map(([key, inner]) => [key, String(inner)]));
}
