/** Names that Cloud Storage refuses, in its words. */
import { ApiError } from "../http-fake.ts";

export function checkBucketName(name: string): void {
  const parts = name.split(".");
  const legal =
    /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(name) &&
    parts.every((part) => part.length >= 1 && part.length <= 63) &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(name) &&
    !name.startsWith("goog") &&
    !name.includes("google");
  if (!legal) throw new ApiError(400, "invalid", `Invalid bucket name: '${name}'`);
}

export function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (name === "") throw new ApiError(400, "required", "Required object name is empty.");
  if (bytes > 1024) {
    const message = `The maximum object length is 1024 characters, but got a name with ${bytes} characters: '${name.slice(0, 128)}...'`;
    throw new ApiError(400, "invalid", message);
  }
  if (/[\r\n]/.test(name) || !name.isWellFormed()) {
    throw new ApiError(400, "invalid", `Disallowed unicode characters present in object name '${name}'`);
  }
  if (name === "." || name === ".." || name.startsWith(".well-known/acme-challenge/")) {
    throw new ApiError(400, "invalid", `Invalid object name: '${name}'`);
  }
}
