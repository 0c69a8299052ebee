/** Deployed functions as processes: each runs the archive that it was deployed with, once something comes for it. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import type { FakeGcs } from "../../fake-gcs.ts";
import { supervisor, type Supervisor } from "../../../support/local-cloud/supervisor.ts";
import { jsonAt, textAt, type Json } from "../json.ts";

export interface LiveFunctions {
  /** By the service's full name. */
  find(service: string): Supervisor | undefined;
  /** By the function's own name. */
  readonly all: ReadonlyMap<string, Supervisor>;
  /** Deploys it, or with `undefined` takes it away. */
  changed(name: string, value: Json | undefined): Promise<void>;
  close(): Promise<void>;
}

/** `environment` is what is added to a function's own: where the services of this cloud answer. */
export function liveFunctions(
  gcs: FakeGcs,
  environment: (own: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
): LiveFunctions {
  const folder = mkdtempSync(join(tmpdir(), "fake-functions-"));
  const running = new Map<string, Supervisor>();
  const sources = new Map<string, string>();

  /** The folder with the unpacked archive; many functions share one. */
  function sourceOf(value: Json): string {
    const { bucket, object } = jsonAt(value, "buildConfig", "source", "storageSource");
    const [found] = gcs.objects(String(bucket), String(object)).filter(({ name }) => name === object);
    if (found === undefined) throw new Error(`the source gs://${String(bucket)}/${String(object)} is gone`);
    const key = `${found.bucket}/${found.name}#${found.generation}`;
    const known = sources.get(key);
    if (known !== undefined) return known;
    const unpacked = join(folder, String(sources.size));
    for (const [path, content] of Object.entries(unzipSync(readFileSync(found.path)))) {
      if (path.endsWith("/")) continue;
      const file = join(unpacked, path);
      if (!file.startsWith(`${unpacked}/`)) throw new Error(`the archive has a file outside of itself: ${path}`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    if (!existsSync(join(unpacked, "package.json")))
      throw new Error("Build failed: missing package.json in the source");
    sources.set(key, unpacked);
    return unpacked;
  }

  return {
    all: running,
    find: (service) => running.get(service.slice(service.lastIndexOf("/") + 1)),
    async changed(name, value) {
      const short = name.slice(name.lastIndexOf("/") + 1);
      const before = running.get(short);
      running.delete(short);
      if (value !== undefined) {
        // A function's own variables are texts.
        const own = jsonAt(value, "serviceConfig", "environmentVariables") as Readonly<Record<string, string>>;
        running.set(short, supervisor(sourceOf(value), environment(own), textAt(value, "buildConfig", "entryPoint")));
      }
      await before?.stop();
    },
    async close() {
      await Promise.all([...running.values()].map((each) => each.kill()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
