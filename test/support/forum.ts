import { bigqueryTable, check, multiAsset, secret } from "sluice";
import { z } from "zod";

const thread = z.object({ id: z.int(), title: z.string() });
const dump = z.array(thread.extend({ replies: z.array(z.string()) }));

export const forum = multiAsset({
  name: "forum",
  resources: { address: secret("forum_address") },
  assets: {
    threads: { key: "forum/threads", schema: thread, ioManager: bigqueryTable(), checks: [check.unique("id")] },
    replies: { key: "forum/replies", schema: z.object({ id: z.int(), text: z.string() }), ioManager: bigqueryTable() },
  },
  async *materialize({ row, skipUnchanged, signal }, { address }) {
    const response = await fetch(`${address}/dump.json`, { signal });
    skipUnchanged(response.headers.get("etag"));
    for (const { id, title, replies } of dump.parse(await response.json())) {
      yield row.threads({ id, title });
      for (const text of replies) yield row.replies({ id, text });
    }
  },
});
