/** Environments and manifests for tests of infra/. */
import assert from "node:assert/strict";
import { compile } from "../../infra/compile.ts";
import type { Compiled, FirestoreSchema } from "../../infra/compile.ts";
import { parseEnvironments } from "../../infra/environments.ts";
import type { Environment } from "../../infra/environments.ts";
import type { Binding } from "../../infra/manifest.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { COMPOSITE_INDEXES, FIELD_OVERRIDES } from "../../lib/gcp/firestore-indexes.ts";

export const FIRESTORE: FirestoreSchema = { indexes: COMPOSITE_INDEXES, fields: FIELD_OVERRIDES };

const BASE = { project: "own-project", region: "europe-west1", location: "EU" };

export function environment(fields: Readonly<Record<string, unknown>> = {}, name = "prod"): Environment {
  const value = { version: 1, environments: { [name]: { ...BASE, ...fields } } };
  return parseEnvironments(value, "environments.json").find(name);
}

/** `files` are exports by the file. Fails for definitions with problems. */
export function definitionsOf(files: Readonly<Record<string, Readonly<Record<string, unknown>>>>): Definitions {
  const modules = Object.entries(files).map(([file, exports]) => ({ file: `functions/${file}`, exports }));
  const { definitions, problems } = collectDefinitions(modules);
  assert.deepEqual(problems.map(messageOf), []);
  return definitions;
}

export function compiled(
  definitions: Definitions,
  fields: Readonly<Record<string, unknown>> = {},
  others: readonly Environment[] = [],
): Compiled {
  return compile({ definitions, environment: environment(fields), firestore: FIRESTORE, others });
}

export function refusals(...options: Parameters<typeof compiled>): readonly string[] {
  return compiled(...options).problems.map(messageOf);
}

/** `fn-a roles/x.y bucket:name [below prefix]` */
export function bindingLine({ member, role, resource, condition }: Binding): string {
  const who = member.replace(/^serviceAccount:/, "").replace("@own-project.iam.gserviceaccount.com", "");
  const what = `${resource.kind}:${resource.project === undefined ? "" : `${resource.project}.`}${resource.name}`;
  return `${who} ${role.replace(/^roles\//, "")} ${what}${condition === undefined ? "" : ` [${condition.title}]`}`;
}
