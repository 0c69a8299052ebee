import { asset, bigqueryTable, secret } from "sluice";
import { z } from "zod";

const post = z.object({ id: z.int(), title: z.string() });

export const posts = asset({
  key: "forum/posts",
  schema: post,
  ioManager: bigqueryTable(),
  resources: { forum: secret("forum_address") },
  async *materialize({ row, checkpoint, signal }, { forum }) {
    for (let page = Number(checkpoint.last ?? 1); ; page++) {
      const response = await fetch(`${forum}/posts?page=${page}`, { signal });
      const found = z.array(post).parse(await response.json());
      if (found.length === 0) return;
      for (const each of found) yield row(each);
      await checkpoint.save(page + 1);
    }
  },
});
