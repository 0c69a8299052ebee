/** The import table: which room of the house may import what. `architecture.test.ts` walks the tree with it. */
import { posix } from "node:path";
import { importsOf, type Import } from "./imports.ts";
import { tokensOf } from "./tokens.ts";

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly remedy: string;
}

interface Room {
  /** Rooms whose files may be imported; its own is always among them. */
  readonly rooms: readonly string[] | "all";
  /** npm packages; a name that ends in `/` stands for a whole scope; `all` for every declared dependency. */
  readonly packages: readonly string[] | "all";
  readonly node: boolean;
  /** Only `import type`. */
  readonly typesOnly?: true;
  /** Rooms that may be reached by `import(…)` alone, so that they load only when they are needed. */
  readonly lazy?: readonly string[];
  /** Whether `import(…)` may take something else than a literal. */
  readonly computed?: true;
  readonly remedy: string;
}

/** The files of infra/ that only compute. */
const PURE_INFRA = [
  "infra/compile",
  "infra/environments",
  "infra/iam",
  "infra/manifest",
  "infra/names",
  "infra/plan",
] as const;
const PURE_INFRA_ROOM: Room = {
  rooms: ["lib/core", ...PURE_INFRA],
  packages: ["zod"],
  node: false,
  remedy:
    "Keep it pure: take what it needs as a value, and leave the machine to infra/gcloud.ts and deploy, or to lib/cli.",
};

export const HOUSE: Readonly<Record<string, Room>> = {
  "lib/core": {
    rooms: [],
    packages: ["zod", "re2js", "luxon", "croner", "@noble/hashes", "fastest-levenshtein"],
    node: false,
    remedy: "Core holds pure rules: take the value as an argument, or move what does I/O behind a port in lib/ports.",
  },
  "lib/ports": {
    rooms: ["lib/core"],
    packages: [],
    node: false,
    typesOnly: true,
    remedy:
      "A port is an interface: `import type` from lib/core, and leave code to an adapter in lib/local or lib/gcp.",
  },
  "lib/runtime": {
    rooms: ["lib/core", "lib/ports"],
    packages: ["zod", "hyparquet", "hyparquet-writer", "hysnappy"],
    node: false,
    remedy: "The runtime reaches the world through lib/ports only: add what is missing to a port, or hand it in.",
  },
  "lib/factories": {
    rooms: ["lib/core", "lib/ports"],
    packages: ["zod"],
    node: false,
    remedy: "A factory composes definitions of lib/core over lib/ports: use a port, or move the rule into lib/core.",
  },
  "lib/local": {
    rooms: ["lib/core", "lib/ports", "lib/local/system-clock", "lib/local/http-webhooks"],
    packages: ["@duckdb/node-api", "chokidar", "re2js", "zod"],
    node: true,
    remedy: "An adapter knows core, ports and its own SDK; whatever joins several of them belongs into lib/cli.",
  },
  /** Needed on one machine and in the cloud alike. */
  "lib/local/system-clock": {
    rooms: ["lib/ports"],
    packages: [],
    node: true,
    remedy: "The machine's clock and chance need nothing but Node.",
  },
  "lib/local/http-webhooks": {
    rooms: ["lib/core", "lib/ports"],
    packages: [],
    node: true,
    remedy: "A webhook is a POST, on one machine and in the cloud alike: it needs nothing but Node.",
  },
  "lib/gcp": {
    rooms: ["lib/core", "lib/ports"],
    packages: ["@google-cloud/", "google-auth-library", "zod"],
    node: true,
    remedy: "An adapter knows core, ports and its own SDK; whatever joins several of them belongs into lib/cli.",
  },
  "lib/console": {
    rooms: ["lib/core", "lib/ports", "lib/runtime"],
    packages: ["hono", "zod"],
    node: false,
    remedy: "The console shows what core, ports and runtime offer: let lib/cli hand in the rest.",
  },
  "lib/testing": {
    rooms: ["lib/core", "lib/ports", "lib/runtime", "lib/factories"],
    packages: ["zod"],
    node: false,
    remedy: "The testing helpers run in memory: build them from core, ports, runtime and factories.",
  },
  "lib/index.ts": {
    rooms: ["lib/core", "lib/factories", "lib/testing"],
    packages: [],
    node: false,
    remedy: "lib/index.ts is the authors' API and nothing else: export from lib/core, lib/factories or lib/testing.",
  },
  "lib/cli": {
    rooms: "all",
    packages: "all",
    node: true,
    lazy: ["lib/gcp", "@google-cloud/", "google-auth-library"],
    computed: true,
    remedy: "Load the cloud where it is used: `const { … } = await import(…)`, so that local work never loads its SDK.",
  },
  "lib/cloud": {
    rooms: [
      "lib/core",
      "lib/ports",
      "lib/runtime",
      "lib/factories",
      "lib/gcp",
      "lib/local/system-clock",
      "lib/local/http-webhooks",
    ],
    packages: ["@google-cloud/functions-framework", "zod"],
    node: true,
    computed: true,
    remedy:
      "The entry of deployed functions: it joins the runtime and the adapters of lib/gcp, which load their SDKs when used.",
  },
  infra: {
    rooms: ["lib/core", "lib/ports"],
    packages: ["zod", "esbuild", "fflate"],
    node: true,
    remedy:
      "infra/ turns definitions into plans: import from lib/core, take the clock as lib/ports has it, and let lib/cli hand in the rest.",
  },
  ...Object.fromEntries(PURE_INFRA.map((file) => [file, PURE_INFRA_ROOM])),
  functions: {
    rooms: [],
    packages: "all",
    node: false,
    remedy:
      'An author\'s file imports from "sluice", npm packages and its siblings in functions/; the rest comes as a resource.',
  },
};

/** The one file that may start other programs, because its whole task is to run gcloud. */
const SPAWNER = "infra/gcloud.ts";

/** The room of a file: the longest entry that is the file itself, its name without the ending, or a folder above it. */
export function roomOf(file: string): string | undefined {
  return Object.keys(HOUSE)
    .filter((room) => file === room || file === `${room}.ts` || file.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** Where one file breaks the import table. `dependencies` are the packages that package.json declares for running. */
export function importViolations(file: string, source: string, dependencies: readonly string[]): Violation[] {
  const name = roomOf(file);
  const room = name === undefined ? undefined : HOUSE[name];
  if (name === undefined || room === undefined) {
    const remedy = `Put it into one of ${Object.keys(HOUSE).join(", ")}, or give the new room a line in test/support/house.ts.`;
    return [{ file, line: 1, rule: "the file is in no room of the house", remedy }];
  }
  return importsOf(tokensOf(source)).flatMap((found) => {
    const rule = brokenBy(file, name, room, found, dependencies);
    return rule === undefined ? [] : [{ file, line: found.line, rule, remedy: room.remedy }];
  });
}

/** The rule that one import breaks, in words, or undefined. */
function brokenBy(
  file: string,
  name: string,
  room: Room,
  found: Import,
  dependencies: readonly string[],
): string | undefined {
  const { specifier, kind } = found;
  if (specifier === undefined) return room.computed ? undefined : `${name} may not import a computed path`;
  if (room.typesOnly && kind !== "type") return `${name} may only \`import type\`, not load "${specifier}"`;

  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(file), specifier);
    const other = roomOf(target);
    if (other === undefined) return `${name} may not import "${specifier}", which is outside of the house`;
    if (room.lazy?.includes(other) && kind === "static")
      return `${name} may load ${other} only by \`await import("${specifier}")\``;
    const own = name === other || (name === "infra" && other.startsWith("infra/"));
    return own || room.rooms === "all" || room.rooms.includes(other) ? undefined : `${name} may not import ${other}`;
  }
  if (specifier.startsWith("node:")) {
    if (!room.node) return `${name} may not import "${specifier}"`;
    const spawns = specifier === "node:child_process" && name.startsWith("infra") && file !== SPAWNER;
    return spawns ? `only ${SPAWNER} may start other programs` : undefined;
  }
  const packageName = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (packageName === "sluice")
    return name === "functions" ? undefined : `${name} may not import Sluice by its own name`;
  const covers = (entry: string): boolean =>
    entry.endsWith("/") ? packageName.startsWith(entry) : packageName === entry;
  if (room.lazy?.some(covers) && kind === "static")
    return `${name} may load ${packageName} only by \`await import(…)\``;
  if (room.packages !== "all" && !room.packages.some(covers))
    return `${name} may not import the package "${packageName}"`;
  return dependencies.includes(packageName)
    ? undefined
    : `"${packageName}" is not among the dependencies of package.json`;
}
