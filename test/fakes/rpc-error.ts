/** Errors as Google's newer APIs answer them: with the status word of gRPC. */
import { jsonReply } from "./http-fake.ts";
import type { Call, Reply } from "./http-fake.ts";

const HTTP_STATUS = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
} as const;

export class RpcError extends Error {
  readonly status: keyof typeof HTTP_STATUS;
  constructor(status: keyof typeof HTTP_STATUS, message: string) {
    super(message);
    this.status = status;
  }
}

/** The handler, whose `RpcError`s become answers. */
export function answeringRpc(handle: (call: Call) => Promise<Reply>): (call: Call) => Promise<Reply> {
  return async (call) => {
    try {
      return await handle(call);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const { status, message } = error;
      return jsonReply(HTTP_STATUS[status], { error: { code: HTTP_STATUS[status], message, status } });
    }
  };
}
