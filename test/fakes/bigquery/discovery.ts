/**
 * BigQuery's own description of its API, as it comes with gcloud: which methods there are, with which parameters, and which
 * fields a body may have. What it does not know, the service refuses. A machine without gcloud goes without this check.
 */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import type { Call } from "../http-fake.ts";
import { invalid } from "./wire.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
}

interface Method {
  readonly id: string;
  readonly path: string;
  readonly flatPath?: string;
  readonly httpMethod: string;
  readonly parameters?: Readonly<Record<string, Schema>>;
  readonly request?: Schema;
}

interface Resource {
  readonly methods?: Readonly<Record<string, Method>>;
  readonly resources?: Readonly<Record<string, Resource>>;
}

interface Description extends Resource {
  readonly parameters: Readonly<Record<string, Schema>>;
  readonly schemas: Readonly<Record<string, Schema>>;
}

/** Throws an `ApiError` for a request that the API does not have; `body` is the JSON of one that has some. */
export type RequestCheck = (call: Pick<Call, "method" | "path" | "query">, body?: unknown) => void;

/** Where gcloud lies is told by its own path. */
export function discoveryFile(): string | undefined {
  return (process.env["PATH"] ?? "").split(delimiter).flatMap((folder) => {
    const program = join(folder, "gcloud");
    if (!existsSync(program)) return [];
    const file = join(dirname(dirname(realpathSync(program))), "platform/bq/discovery_next/bigquery.json");
    return existsSync(file) ? [file] : [];
  })[0];
}

export function requestCheck(file: string): RequestCheck {
  const description = JSON.parse(readFileSync(file, "utf8")) as Description; // Google's own file, of this form
  const methods = methodsOf(description).map((method) => ({ method, pattern: patternOf(method) }));

  function check(value: unknown, { $ref, ...own }: Schema, at: string): void {
    const schema = $ref === undefined ? own : (description.schemas[$ref] ?? own);
    // A null stands for what is not there.
    if (value === null) return;
    if (schema.type === "object") {
      if (typeof value !== "object" || Array.isArray(value)) throw wrong(at, value);
      for (const [name, inner] of Object.entries(value as Readonly<Record<string, unknown>>)) {
        const known = schema.properties?.[name] ?? schema.additionalProperties;
        if (known === undefined)
          throw invalid(`Invalid JSON payload received. Unknown name "${name}" at '${at}': Cannot find field.`);
        check(inner, known, `${at}.${name}`);
      }
      return;
    }
    if (schema.type === "array") {
      if (!Array.isArray(value)) throw wrong(at, value);
      value.forEach((item, index) => check(item, schema.items ?? {}, `${at}[${index}]`));
      return;
    }
    if (!isOf(schema, value)) throw wrong(at, value);
  }

  return ({ method: verb, path, query }, body) => {
    const found = methods.find(({ method, pattern }) => method.httpMethod === verb && pattern.test(path))?.method;
    if (found === undefined) throw invalid(`The API has no ${verb} ${path}`);
    for (const [name, value] of query) {
      const known = found.parameters?.[name] ?? description.parameters[name];
      if (known === undefined)
        throw invalid(`Invalid JSON payload received. Unknown name "${name}": Cannot bind query parameter.`);
      if (known.enum !== undefined && !known.enum.includes(value)) throw wrong(name, value);
    }
    if (body !== undefined && found.request !== undefined) check(body, found.request, found.request.$ref ?? "body");
  };
}

function methodsOf({ methods = {}, resources = {} }: Resource): readonly Method[] {
  return [...Object.values(methods), ...Object.values(resources).flatMap(methodsOf)];
}

/** `projects/{+projectId}/jobs` below `/bigquery/v2/`. */
function patternOf({ path, flatPath = path }: Method): RegExp {
  return new RegExp(`^/bigquery/v2/${flatPath.replaceAll(/\{\+?\w+\}/g, "[^/]+")}$`);
}

function isOf({ type, format, enum: values }: Schema, value: unknown): boolean {
  if (values !== undefined) return typeof value === "string" && values.includes(value);
  if (format === "int64" || format === "uint64") return /^-?\d{1,20}$/.test(String(value));
  if (type === "integer") return Number.isInteger(value);
  return type === undefined || type === "any" || typeof value === type;
}

function wrong(at: string, value: unknown): Error {
  return invalid(`Invalid value at '${at}': ${JSON.stringify(value)}`);
}
