import { gcs, ioManager } from "sluice";

export const jsonLines = ioManager({
  name: "json-lines",
  resources: { files: gcs.write("gs://team-files/rows") },
  async write({ asset, version }, rows, { files }) {
    async function* lines() {
      for await (const row of rows) yield new TextEncoder().encode(`${JSON.stringify(row)}\n`);
    }
    return await files.write(`rows/${asset}/${version}.jsonl`, lines());
  },
  async *read(_context, handles, { files }) {
    for (const { name, generation } of handles) {
      const text = await new Response(ReadableStream.from(files.read(name, generation))).text();
      for (const line of text.split("\n").slice(0, -1)) yield JSON.parse(line);
    }
  },
  async remove({ asset, version }, _handle, { files }) {
    for await (const old of files.list(`rows/${asset}/${version}`)) await files.delete(old.name, old.generation);
  },
});
