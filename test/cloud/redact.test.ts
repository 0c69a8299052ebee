import assert from "node:assert/strict";
import { test } from "node:test";
import { redactOutput, redactor } from "../../lib/cloud/redact.ts";

const SECRET = 'pa"ss\nword-0815';

test("what is hidden leaves in no form: as text, in JSON, as bytes", () => {
  const written: string[] = [];
  const stream = { write: (chunk: unknown) => written.push(String(chunk)) > 0 };
  const { hide, clean } = redactor();
  redactOutput(stream, clean);
  stream.write("before");
  hide(SECRET);
  hide("");
  stream.write(`a ${SECRET} b ${SECRET}`);
  stream.write(JSON.stringify({ message: SECRET, list: [`x${SECRET}`] }));
  stream.write(Buffer.from(SECRET));
  assert.deepEqual(written, [
    "before",
    "a [secret] b [secret]",
    '{"message":"[secret]","list":["x[secret]"]}',
    "[secret]",
  ]);
});
