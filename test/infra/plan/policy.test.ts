/** Policies, changed: ours as wanted, and whatever is others' as it was. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { editedPolicy } from "../../../infra/plan/policy.ts";
import type { PolicyEdit } from "../../../infra/plan/step.ts";

const OURS = "serviceAccount:fn-a@p.iam.gserviceaccount.com";
const OTHER = "serviceAccount:fn-b@p.iam.gserviceaccount.com";
const ADA = "user:ada@example.com";
const none = new Map<string, string>();
const iam = (wanted: PolicyEdit["wanted"], owned = [OURS, OTHER]): PolicyEdit => ({ form: "iam", wanted, owned });
const condition = { title: "below in/", expression: 'resource.name.startsWith("in/")' };

interface Written {
  readonly version: number;
  readonly etag?: string;
  readonly bindings: readonly { role: string; members: string[]; condition?: object }[];
}

function edited(policy: unknown, edit: PolicyEdit): { changed: boolean; policy: Written } {
  const { changed, text } = editedPolicy(JSON.stringify(policy), edit, none);
  // What the edit has written.
  return { changed, policy: JSON.parse(text) as Written };
}

describe("IAM", () => {
  test("what is wanted is added, what is ours and not wanted goes, and others' stays with its conditions", () => {
    const before = {
      etag: "BwX=",
      version: 1,
      bindings: [
        { role: "roles/a", members: [ADA, OURS] },
        { role: "roles/b", members: [ADA], condition },
        { role: "roles/c", members: [OURS, OTHER] },
      ],
    };
    const { changed, policy } = edited(
      before,
      iam([
        { role: "roles/c", member: OURS },
        { role: "roles/b", member: OURS, condition },
      ]),
    );
    assert.ok(changed);
    assert.deepEqual(policy, {
      etag: "BwX=",
      version: 3,
      bindings: [
        { role: "roles/a", members: [ADA] },
        { role: "roles/b", members: [ADA, OURS], condition },
        { role: "roles/c", members: [OURS] },
      ],
    });
  });

  test("the same role with and without a condition are two", () => {
    const before = { bindings: [{ role: "roles/a", members: [OURS] }] };
    const { policy } = edited(before, iam([{ role: "roles/a", member: OURS, condition }]));
    assert.deepEqual(policy.bindings, [{ role: "roles/a", members: [OURS], condition }]);
    assert.equal(policy.version, 3);
  });

  test("an account that was deleted and made again is granted anew, and its ghost goes", () => {
    const ghost = `deleted:${OURS}?uid=117`;
    const { policy } = edited(
      { bindings: [{ role: "roles/a", members: [ghost, ADA] }] },
      iam([{ role: "roles/a", member: OURS }]),
    );
    assert.deepEqual(policy.bindings, [{ role: "roles/a", members: [ADA, OURS] }]);
  });

  test("agents of Google's services are granted, and never taken out", () => {
    const agent = "serviceAccount:service-{number:p}@gcp-sa-pubsub.iam.gserviceaccount.com";
    const { text } = editedPolicy("", iam([{ role: "roles/a", member: agent }]), new Map([["number:p", "17"]]));
    assert.match(text, /service-17@gcp-sa-pubsub/);
    assert.equal(editedPolicy(text, iam([]), none).changed, false);
    assert.throws(
      () => editedPolicy("", iam([{ role: "roles/a", member: agent }]), none),
      /nothing is known of number:p/,
    );
  });

  test("editing twice changes nothing the second time, and others' grants are always kept", () => {
    const member = fc.constantFrom(OURS, OTHER, ADA, "group:g@example.com", `deleted:${OTHER}?uid=9`);
    const role = fc.constantFrom("roles/a", "roles/b", "roles/c");
    const when = fc.constantFrom(undefined, condition, { title: "x", expression: "x" });
    const bindings = fc.array(
      fc
        .record({ role, members: fc.uniqueArray(member, { minLength: 1 }), condition: when })
        .map(({ condition: if_, ...rest }) => ({
          ...rest,
          ...(if_ === undefined ? {} : { condition: if_ }),
        })),
      { maxLength: 6 },
    );
    const wanted = fc.array(
      fc.record({ role, member: fc.constantFrom(OURS, OTHER), condition: when }).map(({ condition: if_, ...rest }) => ({
        ...rest,
        ...(if_ === undefined ? {} : { condition: if_ }),
      })),
      { maxLength: 5 },
    );
    const flat = (policy: {
      bindings: readonly { role: string; members: readonly string[]; condition?: object }[];
    }): string[] =>
      policy.bindings.flatMap((one) =>
        one.members.map((who) => `${one.role} ${who} ${JSON.stringify(one.condition ?? null)}`),
      );
    fc.assert(
      fc.property(bindings, wanted, (before, grants) => {
        const { policy } = edited({ bindings: before }, iam(grants));
        assert.equal(editedPolicy(JSON.stringify(policy), iam(grants), none).changed, false);
        const isTheirs = (line: string): boolean => line.includes(ADA) || line.includes("group:");
        assert.deepEqual(flat(policy).filter(isTheirs), flat({ bindings: before }).filter(isTheirs));
        const own = new Set(
          flat(policy)
            .filter((line) => !isTheirs(line))
            .map((line) => line.replace(/"title":"[^"]*",?/, "")),
        );
        assert.equal(
          own.size,
          new Set(grants.map((one) => `${one.role} ${one.member} ${one.condition?.expression ?? ""}`)).size,
        );
      }),
    );
  });

  test("what is no policy is not written over", () => {
    assert.throws(() => editedPolicy("ERROR", iam([]), none), /this is no policy: ERROR/);
    assert.throws(() => editedPolicy('{"bindings":7}', iam([]), none), /no policy of IAM/);
    assert.throws(() => editedPolicy("[]", { ...iam([]), form: "dataset" }, none), /no dataset/);
  });
});

describe("datasets", () => {
  const email = OURS.slice("serviceAccount:".length);
  const edit = (role: string): PolicyEdit => ({ form: "dataset", wanted: [{ role, member: OURS }], owned: [OURS] });
  const specials = [
    { role: "WRITER", specialGroup: "projectWriters" },
    { view: { projectId: "p", datasetId: "d", tableId: "v" } },
  ];

  test("BigQuery's own names of roles are understood", () => {
    const there = { etag: "e", access: [...specials, { role: "WRITER", userByEmail: email }] };
    assert.equal(editedPolicy(JSON.stringify(there), edit("roles/bigquery.dataEditor"), none).changed, false);
    const { changed, text, etag, removed } = editedPolicy(
      JSON.stringify(there),
      edit("roles/bigquery.dataViewer"),
      none,
    );
    assert.deepEqual([changed, etag, removed], [true, "e", [`roles/bigquery.dataEditor for ${OURS}`]]);
    assert.deepEqual(JSON.parse(text), {
      access: [...specials, { role: "roles/bigquery.dataViewer", userByEmail: email }],
    });
  });
});
