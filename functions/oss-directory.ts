/**
 * The public directory of open source projects (github.com/opensource-observer/oss-directory): a repository of YAML files, read
 * as one tarball, and made into tables. Two assets come out of one pass; the third follows them by SQL.
 */
import { bigqueryTable, check, eager, multiAsset, onSchedule, PermanentError, sql, sqlAsset } from "sluice";
import { parse } from "yaml";
import { z } from "zod";
import { tarballFiles } from "./_tarball.ts";

const project = z.object({
  name: z.string(),
  display_name: z.string(),
  description: z.string().optional(),
  websites: z.array(z.string()),
  github: z.array(z.string()),
  npm: z.array(z.string()),
  blockchain: z.array(
    z.object({
      address: z.string(),
      name: z.string().optional(),
      networks: z.array(z.string()),
      tags: z.array(z.string()),
    }),
  ),
});

const collection = z.object({
  name: z.string(),
  display_name: z.string(),
  description: z.string().optional(),
  projects: z.array(z.string()),
});

/** In the files a list of links is `[{ url: … }]`, and a missing list is an empty one. */
const links = z.array(z.object({ url: z.string() }).transform(({ url }) => url)).default([]);
const projectFile = project.extend({
  websites: links,
  github: links,
  npm: links,
  blockchain: project.shape.blockchain.default([]),
});

export const ossDirectory = multiAsset({
  name: "oss_directory",
  description: "Projects and collections of the oss-directory",
  assets: {
    projects: {
      key: "oss_directory/projects",
      schema: project,
      ioManager: bigqueryTable({ clusterBy: ["name"] }),
      checks: [check.unique("name"), check.rowCount({ min: 1 })],
    },
    collections: {
      key: "oss_directory/collections",
      schema: collection,
      ioManager: bigqueryTable(),
      checks: [check.unique("name"), check.rowCount({ min: 1 })],
    },
  },
  config: z.object({
    archive: z.url().default("https://codeload.github.com/opensource-observer/oss-directory/tar.gz/refs/heads/main"),
  }),
  automation: onSchedule("0 4 * * *"),
  // A web server is back sooner than a warehouse.
  retry: { maxRetries: 5, delaySeconds: 1 },
  async *materialize({ config, row, skipUnchanged, metadata, signal }) {
    for await (const { path, commit, text } of tarballFiles(config.archive, signal)) {
      if (commit !== undefined) {
        skipUnchanged(commit);
        metadata({ commit });
      }
      if (/^data\/projects\/.*\.yaml$/.test(path)) yield row.projects(read(projectFile, path, await text()));
      if (/^data\/collections\/.*\.yaml$/.test(path)) yield row.collections(read(collection, path, await text()));
    }
  },
});

export const repositories = sqlAsset({
  key: "oss_directory/repositories",
  description: "Every GitHub address of every project",
  schema: z.object({ project: z.string(), url: z.string(), owner: z.string(), repository: z.string().nullable() }),
  checks: [check.unique(["project", "url"]), check.notNull("owner", { severity: "warn" })],
  automation: eager(),
  sql: sql`
    SELECT DISTINCT name AS project, url,
      LOWER(REGEXP_EXTRACT(url, r'github\.com/([^/]+)')) AS owner,
      LOWER(REGEXP_EXTRACT(url, r'github\.com/[^/]+/([^/]+)')) AS repository
    FROM ${ossDirectory.outputs.projects}, UNNEST(github) AS url`,
});

/** A file that is not what it should be stops the run, and names itself; nothing is published then. */
function read<S extends z.ZodType>(schema: S, path: string, text: string): z.output<S> {
  try {
    return schema.parse(parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new PermanentError(`${path}: ${reason.replaceAll(/\s+/g, " ")}`, { code: "bad-input", cause: error });
  }
}
