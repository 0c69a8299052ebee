/** A table's rows as an object of a bucket: newline-delimited JSON, as long as it fits into one. */
import { quoteTable } from "../../../lib/core/sql.ts";
import { ApiError } from "../http-fake.ts";
import type { Executed, RunEngine } from "./execute.ts";
import { invalid, list, maybeText, tableOf, type Json } from "./wire.ts";
import { checkDataset, findTable, nameOf, type World } from "./world.ts";

export async function executeExtract(world: World, extract: Json, run: RunEngine): Promise<Executed> {
  const source = tableOf(world, extract["sourceTable"], "sourceTable");
  checkDataset(world, source.dataset, world.location);
  const uris = list(extract["destinationUris"] ?? [extract["destinationUri"]]).map(String);
  const [uri = ""] = uris;
  if (uris.some((one) => !/^gs:\/\/[^/]+\/./.test(one)))
    throw invalid("Extract URI must be a Google Cloud Storage location");
  const found = await findTable(world, source);
  if (found === undefined) throw new ApiError(404, "notFound", `Not found: Table ${nameOf(world, source)}`);
  if (found.info.view === true)
    throw invalid(`${nameOf(world, source)} is not allowed for this operation: it is a VIEW`);
  const { writeObject } = world;
  const format = maybeText(extract["destinationFormat"]) ?? "CSV";
  if (
    writeObject === undefined ||
    format !== "NEWLINE_DELIMITED_JSON" ||
    uris.length > 1 ||
    source.partition !== undefined
  )
    throw new ApiError(
      501,
      "notImplemented",
      "The fake extracts a whole table into one object, as NEWLINE_DELIMITED_JSON",
    );
  const { jobId, rows = 0 } = await run({ kind: "query", sql: `SELECT * FROM ${quoteTable(source)}` });
  const lines: string[] = [];
  for await (const row of world.engine.rows(jobId)) lines.push(`${JSON.stringify(row)}\n`);
  await writeObject(uri.replace("*", "000000000000"), Buffer.from(lines.join("")));
  return { statistics: { extract: { destinationUriFileCounts: ["1"], inputBytes: String(rows * 8) } } };
}
