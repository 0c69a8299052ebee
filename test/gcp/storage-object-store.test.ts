import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { objectStoreConformance } from "../ports/object-store-conformance.ts";
import { gcsOn } from "./gcs-subject.ts";

// In a process of its own, so that the memory that the suite measures is the adapter's alone.
const script = fileURLToPath(new URL("../fakes/gcs/serve.ts", import.meta.url));
const fake = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
const firstLine = once(createInterface({ input: fake.stdout }), "line");
after(async () => {
  const ended = once(fake, "exit");
  fake.stdin.end();
  await ended;
});
let buckets = 0;

objectStoreConformance({
  name: "gcs",
  async open() {
    const [url] = (await firstLine) as [string];
    const bucket = `test-bucket-${buckets++}`;
    await fetch(`${url}/storage/v1/b?project=test`, { method: "POST", body: JSON.stringify({ name: bucket }) });
    return { store: gcsOn(url, { blockBytes: 8 * 1024 * 1024 }), bucket };
  },
  deviations: {
    "line-breaks": "Cloud Storage takes no line breaks in names",
    "dot-names": "Cloud Storage takes neither . nor .. as a whole name",
  },
});
