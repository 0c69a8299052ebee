import { PermanentError } from "../core/errors.ts";
import { shortHash } from "../core/hash.ts";
import type { Clock } from "../ports/clock.ts";
import { Code, codeOf, googleError } from "./grpc-errors.ts";
import { restCalls } from "./rest-calls.ts";

export interface CloudTasksOptions {
  readonly projectId: string;
  /** The queue's region. */
  readonly location: string;
  readonly queue: string;
  /** The account in whose name tasks call; it may do what they ask for, and the account that makes them may act as it. */
  readonly serviceAccount: string;
  /** `host:port` of a stand-in for the service, spoken to without credentials. */
  readonly emulatorHost?: string;
  /** Sleeps between the tries of a call. Default: real time. */
  readonly clock?: Pick<Clock, "sleep">;
}

export interface TaskCall {
  /** A method of a Google API, called by POST with a JSON body. */
  readonly url: string;
  readonly body: unknown;
  /** The OAuth scope that the method asks for. */
  readonly scope: string;
}

export interface CloudTasks {
  /**
   * Makes the call at `at` (ms) or a little later, again and again until it succeeds. A name that waits, or was used within
   * about the last hour, is ignored. Throws `PermanentError` for a time that is more than 30 days ahead.
   */
  create(name: string, call: TaskCall, at: number): Promise<void>;
  close(): Promise<void>;
}

/** The service says less than 720 hours; the rest is for clocks that differ. */
const MAX_AHEAD_MS = (720 * 60 - 1) * 60_000;
const MAX_ID = 500;

/** Named tasks of one queue. */
export function cloudTasks(options: CloudTasksOptions): CloudTasks {
  const { projectId, location, queue, serviceAccount: serviceAccountEmail, emulatorHost, clock } = options;
  const parent = `projects/${projectId}/locations/${location}/queues/${queue}`;
  const rest = restCalls({
    api: "https://cloudtasks.googleapis.com",
    ...(emulatorHost === undefined ? {} : { emulatorHost }),
    ...(clock === undefined ? {} : { clock }),
  });
  const remedies = {
    [Code.notFound]: "create the queue: deploy, or gcloud tasks queues create",
    [Code.permissionDenied]:
      "grant the account that runs this roles/cloudtasks.enqueuer, and roles/iam.serviceAccountUser on the account of the tasks",
    [Code.invalidArgument]: "the queue takes calls of 100 KB and times within 30 days",
  };

  return {
    async create(name, { url, body, scope }, at) {
      if (at - Date.now() > MAX_AHEAD_MS) {
        throw new PermanentError(`the task ${name} is more than 30 days ahead: let a sweep wake what sleeps so long`, {
          code: "bad-input",
        });
      }
      const task = {
        name: `${parent}/tasks/${taskId(name)}`,
        scheduleTime: new Date(at).toISOString(),
        httpRequest: {
          url,
          httpMethod: "POST",
          headers: { "content-type": "application/json" },
          body: Buffer.from(JSON.stringify(body)).toString("base64"),
          oauthToken: { serviceAccountEmail, scope },
        },
      };
      try {
        await rest.call({ method: "POST", path: `/v2/${parent}/tasks`, body: { task } });
      } catch (error) {
        if (codeOf(error) === Code.alreadyExists) return;
        throw googleError(error, {
          what: `Cloud Tasks, queue ${queue} in ${location} of project ${projectId}`,
          remedies,
        });
      }
    },
    close: rest.close,
  };
}

/** Begins with a hash, because names that begin alike are slow; what follows is for people, and cut where it is too long. */
function taskId(name: string): string {
  return `${shortHash([name])}-${name}`.slice(0, MAX_ID);
}
