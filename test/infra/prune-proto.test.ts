import assert from "node:assert/strict";
import { test } from "node:test";
import { prunedProto } from "../../infra/prune-proto.ts";
import type { Described } from "../../infra/prune-proto.ts";

const message = (types: readonly string[], nested?: Described["nested"]): Described => ({
  fields: Object.fromEntries(types.map((type, index) => [`f${index}`, { type, id: index + 1 }])),
  ...(nested === undefined ? {} : { nested }),
});
const method = (requestType: string, responseType: string) => ({ requestType, responseType, options: { path: "/v1" } });

/** Two packages; in `a.v1`, names are as a compiler leaves them: as short as they may be. */
const ROOT: Described = {
  nested: {
    a: {
      nested: {
        v1: {
          nested: {
            Store: {
              methods: {
                Get: method("GetRequest", "Row"),
                Put: method("PutRequest", "b.Empty"),
                List: method("ListRequest", "Row"),
              },
            },
            GetRequest: message(["string", "Mode"], { Mode: { values: { FAST: 0 } }, Unused: message(["Huge"]) }),
            PutRequest: message(["Row"]),
            ListRequest: message(["Huge"]),
            Row: message(["Row", "b.Time", "bytes"]),
            Huge: message(["b.Other"]),
          },
        },
        admin: { nested: { Mode: { values: { OFF: 0 } } } },
      },
    },
    b: { nested: { Time: message(["int64"]), Empty: message([]), Other: message([]), http: { fields: {} } } },
  },
};

const paths = ({ nested = {} }: Described, at = ""): readonly string[] =>
  Object.entries(nested).flatMap(([name, child]) => [`${at}${name}`, ...paths(child, `${at}${name}.`)]);

test("what the methods send and receive is left, however deep, and nothing else", () => {
  const get = prunedProto(ROOT, "a.v1.Store", ["Get"]);
  assert.deepEqual(
    paths(get).toSorted(),
    ["a", "a.v1", "a.v1.GetRequest", "a.v1.GetRequest.Mode", "a.v1.Row", "a.v1.Store", "b", "b.Time"].toSorted(),
  );
  assert.deepEqual(Object.keys(get.nested?.["a"]?.nested?.["v1"]?.nested?.["Store"]?.methods ?? {}), ["Get"]);
  // What is left is as it was.
  assert.deepEqual(get.nested?.["b"]?.nested?.["Time"], ROOT.nested?.["b"]?.nested?.["Time"]);
  const put = paths(prunedProto(ROOT, "a.v1.Store", ["Put"]));
  assert.ok(put.includes("b.Empty") && put.includes("a.v1.Row") && !put.includes("a.v1.GetRequest"));
});

test("a method, or a type, that is not described is an error with its name", () => {
  assert.throws(() => prunedProto(ROOT, "a.v1.Store", ["Drop"]), /a\.v1\.Store has no method Drop/);
  const torn: Described = { nested: { S: { methods: { Get: method("Gone", "Gone") } } } };
  assert.throws(() => prunedProto(torn, "S", ["Get"]), /no type Gone, which S names/);
});
