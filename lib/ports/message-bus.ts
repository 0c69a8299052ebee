/** Topics with push subscriptions: at least once, in no order. Receivers are wired up outside of this port. */
export interface OutgoingMessage {
  /** JSON. */
  readonly data: unknown;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface MessageBus {
  /** Resolves with the message id once the message cannot be lost any more. A topic without subscriptions drops it, as Pub/Sub does. */
  publish(topic: string, message: OutgoingMessage): Promise<string>;
  /** Delivers the message to `topic` at `at` (ms), or a little later. A name that is waiting, or was used in the last hour, is ignored: the first wins. Names: letters, digits, `-`, `_`, at most 500. */
  schedule(name: string, topic: string, message: OutgoingMessage, at: number): Promise<void>;
}
