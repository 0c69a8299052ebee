/**
 * What the deployed bundle leaves out of its packages. A cold start pays for every byte that is read and every class that is
 * made; what stands here is never used by a function, and is most of what it would load.
 */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Plugin } from "esbuild";
import { prunedProto } from "./prune-proto.ts";
import type { Described } from "./prune-proto.ts";

interface Omission {
  readonly path: RegExp;
  /** What takes the place of the file's text. */
  readonly contents: string | ((text: string) => string);
  readonly loader?: "json";
  readonly why: string;
}

const OMISSIONS: readonly Omission[] = [
  {
    path: /@google-cloud\/firestore-api\/build\/protos\/protos\.js$/,
    contents: "exports.google = { firestore: { v1: { Value: class Value {} } } };",
    why: "message classes of 1.4 MB: of all, the client, which reads protos.json, compares what it is given with one",
  },
  {
    path: /@google-cloud\/firestore-api\/build\/src\/v1\/firestore_admin_client\.js$/,
    contents: "exports.FirestoreAdminClient = class FirestoreAdminClient {};",
    why: "databases are administered by the deployment, not by functions",
  },
  {
    path: /@google-cloud\/firestore-api\/build\/protos\/protos\.json$/,
    contents: onlyCalled,
    loader: "json",
    why: "the descriptions of messages that functions do not send, which are turned into classes when the client is made",
  },
  {
    path: /google-gax\/build\/src\/locationService\.js$/,
    contents: "exports.LocationsClient = class LocationsClient { initialize() {} async close() {} };",
    why: "a client of another service, which Firestore's makes beside itself, with descriptions of its own",
  },
  {
    path: /google-gax\/build\/src\/iamService\.js$/,
    contents: "exports.IamClient = class IamClient {};",
    why: "a client of another service",
  },
  ...["iam_service", "locations", "operations"].map((name) => ({
    path: new RegExp(`google-gax/build/protos/${name}\\.js$`),
    contents: "",
    why: "message classes of services that functions do not call",
  })),
];

const LOCALES: Omission = {
  path: /zod\/v4\/locales\/index\.js$/,
  contents: 'export { default as en } from "./en.js";',
  why: "fifty languages, half of the package",
};

export interface SlimOptions {
  /** Keeps zod's messages in all languages, for authors who set one. */
  readonly locales: boolean;
}

const NAME = "sluice-slim";

/** Fails the build when something that it leaves out is not met any more, because a package has changed under it. */
export function slimPlugin({ locales }: SlimOptions): Plugin {
  return {
    name: NAME,
    setup(build) {
      const omissions = locales ? OMISSIONS : [...OMISSIONS, LOCALES];
      const met = new Set<Omission>();
      build.onStart(() => met.clear());
      for (const omission of omissions) {
        const { contents, loader = "js" } = omission;
        build.onLoad({ filter: omission.path }, async ({ path }) => {
          met.add(omission);
          const text = typeof contents === "string" ? contents : contents(await readFile(path, "utf8"));
          return { contents: text, loader, resolveDir: dirname(path) };
        });
      }
      build.onEnd(() => ({
        errors: omissions
          .filter((omission) => !met.has(omission))
          .map(({ path, why }) => ({ text: `nothing matches ${path.source} any more, which is left out (${why})` })),
      }));

      // Over REST, Firestore's client needs no gRPC, yet it loads all of google-gax for four small things.
      build.onResolve({ filter: /^google-gax$/ }, async ({ importer, resolveDir }) => {
        const found = await build.resolve("google-gax/fallback", { kind: "require-call", importer, resolveDir });
        if (found.errors.length > 0) return found;
        // Names end up in the bundle, which must not depend on where it was built.
        return { path: "google-gax", namespace: NAME, pluginData: dirname(found.path) };
      });
      build.onLoad({ filter: /.*/, namespace: NAME }, ({ pluginData }) => ({
        contents: REST_GAX,
        loader: "js",
        resolveDir: String(pluginData),
      }));
    },
  };
}

/** Of Firestore's methods, those that `lib/gcp` gets its client to call. */
const FIRESTORE_CALLS = ["BatchGetDocuments", "BeginTransaction", "Commit", "Rollback", "RunQuery"] as const;

function onlyCalled(text: string): string {
  // The package's description is what this type says of it.
  const described = JSON.parse(text) as Described;
  return JSON.stringify(prunedProto(described, "google.firestore.v1.Firestore", FIRESTORE_CALLS));
}

const REST_GAX = `
module.exports = {
  ...require("./fallback.js"),
  loggingUtils: require("google-logging-utils"),
  decodeAnyProtosInArray: require("./util.js").decodeAnyProtosInArray,
  Status: require("./status.js").Status,
  grpc: { credentials: { createInsecure: () => undefined } },
};`;
