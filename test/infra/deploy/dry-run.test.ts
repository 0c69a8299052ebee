import assert from "node:assert/strict";
import { test } from "node:test";
import { commandLines } from "../../../infra/deploy/dry-run.ts";
import type { Plan, Step } from "../../../infra/plan/step.ts";

const member = "serviceAccount:push@p.iam.gserviceaccount.com";
const step = (fields: Pick<Step, "id" | "kind" | "name" | "action" | "reason" | "calls">): Step => ({
  ...fields,
  needs: [],
  seconds: 1,
  records: {},
});
const PLAN: Plan = {
  environment: "prod",
  steps: [
    step({
      id: "topic asset.a",
      kind: "topic",
      name: "asset.a",
      action: "create",
      reason: "is not there yet",
      calls: [
        {
          tool: "gcloud",
          args: ["pubsub", "topics", "create", "asset.a", "--labels=app=sluice"],
          ifExists: [{ tool: "gcloud", args: ["pubsub", "topics", "update", "asset.a", "--update-labels=app=sluice"] }],
        },
      ],
    }),
    step({
      id: "subscription asset.a",
      kind: "subscription",
      name: "asset.a",
      action: "update",
      reason: "its definition has changed",
      calls: [
        {
          tool: "gcloud",
          args: [
            "pubsub",
            "subscriptions",
            "update",
            "asset.a",
            "--push-endpoint={url:asset-a}/a b",
            "--number={number:p}",
          ],
        },
        { tool: "bq", args: ["update", "--source={file:access.json}", "p:d"], files: { "access.json": "{}" } },
      ],
    }),
    step({
      id: "policy function asset-a",
      kind: "policy",
      name: "function asset-a",
      action: "create",
      reason: "is not there yet",
      calls: [
        {
          read: { tool: "gcloud", args: ["run", "services", "get-iam-policy", "asset-a"] },
          write: { tool: "gcloud", args: ["run", "services", "set-iam-policy", "asset-a", "{file:policy.json}"] },
          edit: {
            form: "iam",
            wanted: [{ role: "roles/run.invoker", member, condition: { title: "only a", expression: "true" } }],
            owned: [],
          },
        },
      ],
    }),
    step({
      id: "topic old",
      kind: "topic",
      name: "old",
      action: "delete",
      reason: "is no longer wanted",
      calls: [{ tool: "gcloud", args: ["pubsub", "topics", "delete", "old"], ifMissing: [] }],
    }),
  ],
  unchanged: [],
  withheld: [],
  foreign: [],
  records: {},
  notes: [],
  values: new Map([["number:p", "123"]]),
  seconds: 1,
};

test("a dry run is the commands as they would be, in their order, for a person's shell", async () => {
  const file = async (name: string): Promise<string> => `/tmp place/${name}`;
  const before = [{ tool: "gcloud", args: ["storage", "buckets", "create", "gs://b"], ifExists: [] } as const];
  const lines = await commandLines({ values: new Map(), file }, PLAN, before);
  assert.deepEqual(lines, [
    "# before anything else, for the state of the deployment",
    "gcloud storage buckets create gs://b",
    "# create topic asset.a: is not there yet",
    "gcloud pubsub topics create asset.a --labels=app=sluice",
    "#   if it is there already:",
    "#   gcloud pubsub topics update asset.a --update-labels=app=sluice",
    "# update subscription asset.a: its definition has changed",
    "gcloud pubsub subscriptions update asset.a '--push-endpoint={url:asset-a}/a b' --number=123",
    "bq update '--source=/tmp place/access.json' p:d",
    "# create policy function asset-a: is not there yet",
    "gcloud run services get-iam-policy asset-a > policy.json",
    `#   with roles/run.invoker for ${member} if only a`,
    "gcloud run services set-iam-policy asset-a policy.json",
    "# delete topic old: is no longer wanted",
    "gcloud pubsub topics delete old",
  ]);
});
