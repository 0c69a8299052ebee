/** The calls that read and write the state. */
import type { Manifest } from "../manifest.ts";
import { gcloud } from "./item.ts";
import { stateText } from "./state.ts";
import type { StateCalls } from "./state.ts";
import { createBucket } from "./stores.ts";

/** The object's name in the deployment's bucket. */
export function stateName(environment: string): string {
  return `sluice/state/${environment}.json`;
}

export function stateCalls({ environment, deployment, buckets }: Manifest): StateCalls {
  const url = `gs://${deployment.bucket}/${stateName(environment.name)}`;
  return {
    url,
    describe: gcloud(environment, ["storage", "objects", "describe", url, "--format=json"]),
    read: (generation) => gcloud(environment, ["storage", "cat", `${url}#${generation}`]),
    write: (state, generation) => {
      const from = ["storage", "cp", "{file:state.json}", url, `--if-generation-match=${generation}`];
      const as = ["--content-type=application/json", "--cache-control=no-store", "--print-created-message"];
      return gcloud(environment, [...from, ...as], { files: { "state.json": stateText(state) } });
    },
    bootstrap: [
      gcloud(environment, ["services", "enable", "storage.googleapis.com", "serviceusage.googleapis.com"]),
      ...buckets.filter(({ name }) => name === deployment.bucket).map((bucket) => createBucket(environment, bucket)),
    ],
  };
}
