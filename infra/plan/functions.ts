/** Functions, the archive that they are all made of, and in gcloud's standard form the subscriptions of their triggers. */
import { canonicalJson, hash } from "../../lib/core/hash.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import { HASH_LABEL } from "../manifest.ts";
import type { Manifest } from "../manifest.ts";
import { APIS, flags, gcloud, idOf, jsonFile, labelsText, policyName } from "./item.ts";
import type { Item } from "./item.ts";
import { deliveryFacts, deliveryFlags } from "./messages.ts";
import { neededForWork } from "./policies.ts";
import type { Step } from "./step.ts";

type Function = Manifest["functions"][number];

export interface Code {
  /** By the unit's id (`asset gitcoin/passport_scores`): the hash of all bytes that its function can load. */
  readonly hashes: ReadonlyMap<string, string>;
  /** Likewise, of what is the author's own in it: for telling later whether that is what was deployed. */
  readonly own?: ReadonlyMap<string, string>;
  /** The source archive's SHA-256, in hexadecimal. Its bytes may differ without a function's having changed. */
  readonly archive: string;
}

/** A label's value has 63 characters at most. */
const MAX_LABEL = 63;

export function functionItems(manifest: Manifest, code: Code): Item[] {
  const forWork = neededForWork(manifest);
  return manifest.functions.flatMap((made) => {
    // With a trigger of its own, it is sent messages from the first moment on.
    const before = made.trigger === undefined ? [] : forWork(made.serviceAccount);
    const item = functionItem(manifest, made, code, before);
    return made.trigger === undefined ? [item] : [item, triggerItem(manifest, made, item)];
  });
}

export function sourceId(archive: string): string {
  return idOf("source", archive);
}

function sourceUrl({ deployment }: Manifest, archive: string): string {
  return `gs://${deployment.bucket}/sluice/source/${archive}.zip`;
}

/** Once for all functions. It is written even if it is there: one that is about to be too old becomes new by that. */
export function sourceStep(manifest: Manifest, archive: string): Step {
  return {
    id: sourceId(archive),
    kind: "source",
    name: archive,
    action: "create",
    reason: "functions are made of it",
    needs: [idOf("bucket", manifest.deployment.bucket)],
    calls: [gcloud(manifest.environment, ["storage", "cp", `{archive:${archive}}`, sourceUrl(manifest, archive)])],
    seconds: 5,
    records: {},
  };
}

/** What a unit such as `asset gitcoin/passport_scores` does. */
const FUNCTIONS: Readonly<Record<Function["kind"], (unit: string) => string>> = {
  asset: (unit) => `materializes the ${unit}`,
  job: (unit) => `runs the ${unit}`,
  sensor: (unit) => `evaluates the ${unit}`,
  bucket: (unit) => `says which assets an object of the ${unit} is for`,
  reconcile: () => "wakes what is due, and looks at deadlines and watched buckets",
};

function functionItem(
  manifest: Manifest,
  made: Function,
  { hashes, own, archive }: Code,
  before: readonly string[],
): Item {
  const { environment, build } = manifest;
  const { name, unit, labels, secrets: _, ...config } = made;
  const code = hashes.get(unit);
  if (code === undefined)
    throw new PermanentError(`nothing was built for ${unit}: build and compile the same definitions`);
  const text = hash(code, canonicalJson({ ...config, name, labels, build })).slice(0, MAX_LABEL);
  const trigger = triggerFlags(made);
  const verb = ["functions", "deploy", name, "--gen2", `--region=${environment.region}`, "--format=json"];
  const call = gcloud(
    environment,
    [
      ...verb,
      ...flags({
        source: sourceUrl(manifest, archive),
        runtime: made.runtime,
        "entry-point": made.entryPoint,
        memory: made.memory,
        cpu: made.cpu,
        timeout: `${made.timeoutSeconds}s`,
        concurrency: made.concurrency,
        "min-instances": made.minInstances,
        "max-instances": made.maxInstances,
        "service-account": made.serviceAccount,
        "build-service-account": `projects/${environment.project}/serviceAccounts/${build.account}`,
        "ingress-settings": made.ingress,
        "env-vars-file": "{file:env.yaml}",
        "update-labels": labelsText({ ...labels, [HASH_LABEL]: text }),
      }),
      "--no-allow-unauthenticated",
      ...trigger,
    ],
    {
      // JSON is YAML.
      files: jsonFile("env.yaml", made.env),
      gives: {
        [`url:${name}`]: "serviceConfig.uri",
        ...(made.trigger === undefined ? {} : { [`trigger:${name}`]: "eventTrigger.trigger" }),
      },
    },
  );
  const account = idOf("account", nameOfEmail(made.serviceAccount));
  return {
    id: idOf("function", name),
    kind: "function",
    name,
    about: FUNCTIONS[made.kind](unit),
    form: text,
    needs: [
      APIS,
      account,
      idOf("account", nameOfEmail(build.account)),
      idOf("policy", policyName("project", environment.project)),
      ...(made.trigger?.kind === "topic" ? [idOf("topic", made.trigger.topic)] : []),
      ...(made.trigger === undefined ? [] : [idOf("account", nameOfEmail(made.trigger.account))]),
      ...before,
    ],
    on: [account],
    create: [call],
    update: [call],
    facts: { hash: text, state: "ACTIVE", ingress: "ALLOW_INTERNAL_ONLY", account: made.serviceAccount },
    complete: true,
    account: made.serviceAccount,
    ...(own?.get(unit) === undefined ? {} : { code: own.get(unit) ?? "" }),
  };
}

function triggerFlags({ trigger }: Function): string[] {
  if (trigger === undefined) return ["--trigger-http"];
  const from =
    trigger.kind === "topic"
      ? { "trigger-topic": trigger.topic }
      : {
          "trigger-event-filters": `type=${trigger.filters.type},bucket=${trigger.filters.bucket}`,
          "trigger-location": trigger.location,
        };
  return [...flags({ ...from, "trigger-service-account": trigger.account }), "--retry"];
}

/** What Eventarc has made keeps messages for a day, and is in a hurry: it is set like our own. */
function triggerItem({ environment, delivery }: Manifest, { name }: Function, on: Item): Item {
  const verb = ["pubsub", "subscriptions", "update", `{trigger-subscription:${name}}`];
  const calls = [
    gcloud(environment, ["eventarc", "triggers", "describe", `{trigger:${name}}`, "--format=json"], {
      gives: { [`trigger-subscription:${name}`]: "transport.pubsub.subscription" },
    }),
    gcloud(environment, [...verb, ...deliveryFlags(delivery)]),
  ];
  return {
    id: idOf("trigger", name),
    kind: "trigger",
    name,
    about: "keeps messages as our own subscriptions do",
    form: delivery,
    needs: [on.id, idOf("topic", delivery.deadLetterTopic)],
    on: [on.id],
    create: calls,
    update: calls,
    facts: deliveryFacts(environment.project, delivery),
    complete: true,
  };
}

/** Of an account of this project. */
export function nameOfEmail(email: string): string {
  return email.slice(0, email.indexOf("@"));
}
