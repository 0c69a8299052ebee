/** The Pub/Sub emulator over REST: what a deployment makes there, and what people publish. */
export interface PubsubRest {
  createTopic(name: string): Promise<void>;
  /** As a deployment makes it, but without a retry policy, with which the emulator stalls. Without an endpoint it is pulled. */
  subscribe(subscription: {
    readonly name: string;
    readonly topic: string;
    readonly endpoint?: string;
    readonly deadLetters?: { readonly topic: string; readonly maxAttempts: number };
  }): Promise<void>;
  /** The result is the message's id. */
  publish(topic: string, data: string | Uint8Array, attributes?: Readonly<Record<string, string>>): Promise<string>;
  /** Takes what lies in a pull subscription: up to 100 messages, acknowledged. */
  pull(subscription: string): Promise<readonly PulledMessage[]>;
}

export interface PulledMessage {
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export function pubsubRest(host: string, project: string): PubsubRest {
  const base = `http://${host}/v1/projects/${project}`;

  async function call(method: string, path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`${base}/${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`Pub/Sub ${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text) as unknown;
  }
  const topicPath = (name: string): string => `projects/${project}/topics/${name}`;

  return {
    createTopic: async (name) => void (await call("PUT", `topics/${name}`, {})),
    async subscribe({ name, topic, endpoint, deadLetters }) {
      const policy = deadLetters && {
        deadLetterTopic: topicPath(deadLetters.topic),
        maxDeliveryAttempts: deadLetters.maxAttempts,
      };
      await call("PUT", `subscriptions/${name}`, {
        topic: topicPath(topic),
        ackDeadlineSeconds: 600,
        ...(endpoint !== undefined && { pushConfig: { pushEndpoint: endpoint } }),
        ...(policy !== undefined && { deadLetterPolicy: policy }),
      });
    },
    async publish(topic, data, attributes = {}) {
      const message = { data: Buffer.from(data).toString("base64"), attributes };
      // What the service answers to a message that it has taken.
      const { messageIds } = (await call("POST", `topics/${topic}:publish`, { messages: [message] })) as {
        readonly messageIds: readonly string[];
      };
      return messageIds[0] ?? "";
    },
    async pull(subscription) {
      const path = `subscriptions/${subscription}`;
      // What the service answers; nothing is left out but empty lists.
      const { receivedMessages = [] } = (await call("POST", `${path}:pull`, {
        maxMessages: 100,
        returnImmediately: true,
      })) as {
        readonly receivedMessages?: readonly {
          readonly ackId: string;
          readonly message: { readonly data?: string; readonly attributes?: Readonly<Record<string, string>> };
        }[];
      };
      if (receivedMessages.length > 0) {
        await call("POST", `${path}:acknowledge`, { ackIds: receivedMessages.map(({ ackId }) => ackId) });
      }
      return receivedMessages.map(({ message: { data = "", attributes = {} } }) => ({
        data: Buffer.from(data, "base64").toString(),
        attributes,
      }));
    },
  };
}
