/** Messages to addresses of other people's services. */
export interface WebhookAnswer {
  readonly status: number;
  /** How long the receiver asks to be left alone, in ms. */
  readonly retryAfterMs?: number;
}

export interface Webhooks {
  /**
   * Posts JSON and reads the status alone; redirections are not followed. Rejects with a `PermanentError` (`bad-address`) for
   * what is no http(s) address, and with a `RetryableError` where no answer comes. No message has the address, which is a secret.
   */
  post(
    address: string,
    request: {
      readonly body: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<WebhookAnswer>;
}
