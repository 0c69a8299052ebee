import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attemptStep } from "../../../infra/deploy/perform.ts";
import type { Tried } from "../../../infra/deploy/run-steps.ts";
import type { ToolResult } from "../../../infra/gcloud.ts";
import type { Call, PolicyCall, Step, ToolCall } from "../../../infra/plan/step.ts";

const gcloud = (args: string, more: Partial<ToolCall> = {}): ToolCall => ({
  tool: "gcloud",
  args: args.split(" "),
  ...more,
});
const MISSING = "NOT_FOUND: it is not there";
const EXISTS = "ALREADY_EXISTS: it is there";

interface Played {
  readonly tried: Tried;
  /** Commands, with the text of their files in place of the paths. */
  readonly ran: readonly string[];
  readonly values: ReadonlyMap<string, string>;
}

/** `answers`: an error, or what is printed, by the command's beginning; anything else prints nothing. */
async function play(
  calls: readonly Call[],
  answers: Readonly<Record<string, { error?: string; prints?: string }>> = {},
  from = 0,
): Promise<Played> {
  const step: Step = {
    id: "topic t",
    kind: "topic",
    name: "t",
    action: "create",
    reason: "",
    needs: [],
    calls,
    seconds: 1,
    records: {},
  };
  const files = new Map<string, string>();
  const ran: string[] = [];
  const values = new Map([["url:known", "https://known"]]);
  const tools = {
    async run({ tool, args }: { readonly tool: string; readonly args: readonly string[] }): Promise<ToolResult> {
      const words = args.map((arg) => files.get(arg) ?? arg).join(" ");
      ran.push(`${tool} ${words}`);
      const [, { error, prints = "" } = {}] = Object.entries(answers).find(([begin]) => words.startsWith(begin)) ?? [];
      return error === undefined
        ? { code: 0, stdout: prints, stderr: "" }
        : { code: 1, stdout: "", stderr: `ERROR: (gcloud.x) ${error}` };
    },
  };
  const file = async (name: string, text: string): Promise<string> => {
    const path = `/files/${name}`;
    files.set(path, text);
    return path;
  };
  return { tried: await attemptStep({ tools, values, file }, step, from), ran, values };
}

describe("a step", () => {
  test("runs its calls one after the other, from the one it is told to", async () => {
    const calls = [gcloud("a"), gcloud("b"), gcloud("c")];
    assert.deepEqual((await play(calls)).ran, ["gcloud a", "gcloud b", "gcloud c"]);
    assert.deepEqual((await play(calls, {}, 2)).ran, ["gcloud c"]);
  });

  test("stops at the call that fails, and says which one that was", async () => {
    const { tried, ran } = await play([gcloud("a"), gcloud("b it's"), gcloud("c")], {
      b: { error: "UNAVAILABLE: later" },
    });
    assert.deepEqual(ran, ["gcloud a", "gcloud b it's"]);
    assert.deepEqual(tried, {
      kind: "fault",
      at: 1,
      fault: { kind: "unavailable", reason: "UNAVAILABLE: later" },
      command: "gcloud b 'it'\\''s'",
    });
  });

  test("takes other calls where something is there already, or is not there", async () => {
    const call = gcloud("create", { ifExists: [gcloud("update"), gcloud("more", { ifMissing: [] })] });
    const { tried, ran } = await play([call, gcloud("next")], { create: { error: EXISTS }, more: { error: MISSING } });
    assert.deepEqual([tried.kind, ran], ["done", ["gcloud create", "gcloud update", "gcloud more", "gcloud next"]]);
    assert.equal(
      (await play([gcloud("delete", { ifMissing: [] })], { delete: { error: MISSING } })).tried.kind,
      "done",
    );
    assert.equal((await play([gcloud("delete")], { delete: { error: MISSING } })).tried.kind, "fault");
    assert.equal(
      (await play([gcloud("create", { ifMissing: [] })], { create: { error: EXISTS } })).tried.kind,
      "fault",
    );
  });

  test("fills placeholders with what is known, also from the calls before, and in files", async () => {
    const { ran, values } = await play(
      [
        gcloud("deploy", { gives: { "url:new": "serviceConfig.uri" } }),
        gcloud("use {url:known} {url:new} {file:a.json}", { files: { "a.json": "to {url:new}" } }),
      ],
      { deploy: { prints: '{"serviceConfig":{"uri":"https://new"}}' } },
    );
    assert.equal(ran[1], "gcloud use https://known https://new to https://new");
    assert.equal(values.get("url:new"), "https://new");
  });

  test("runs nothing with a placeholder that nobody knows", async () => {
    const { tried, ran } = await play([gcloud("use {url:other}")]);
    assert.deepEqual(ran, []);
    assert.ok(tried.kind === "fault");
    assert.match(tried.fault.reason, /url:other is not known: deploy with --refresh/);
  });

  test("fails where an answer is not what it should be", async () => {
    for (const prints of ["", "no JSON", "{}", '{"uri":{}}']) {
      const { tried } = await play([gcloud("deploy", { gives: { "url:new": "uri" } })], { deploy: { prints } });
      assert.ok(tried.kind === "fault" && tried.fault.kind === "failed", prints);
    }
  });

  test("ends everything where nobody is signed in", async () => {
    await assert.rejects(play([gcloud("a")], { a: { error: "UNAUTHENTICATED: no" } }), /gcloud auth login/);
  });
});

describe("a policy", () => {
  const member = "serviceAccount:a@p.iam.gserviceaccount.com";
  const call: PolicyCall = {
    read: gcloud("read"),
    write: gcloud("write {file:policy.json} --etag={etag:policy}"),
    edit: { form: "iam", wanted: [{ role: "roles/x.y", member }], owned: [member] },
  };
  const other = { role: "roles/other", members: ["user:somebody@example.org"] };
  const policy = (...bindings: readonly object[]): { prints: string } => ({
    prints: JSON.stringify({ etag: "BwX=", version: 1, bindings }),
  });

  test("is read, changed and written back with its etag; what is others' stays", async () => {
    const { tried, ran } = await play([call], { read: policy(other) });
    assert.equal(tried.kind, "done");
    const [, text = "", etag] = /^gcloud write ([^]*) --etag=(.*)$/.exec(ran[1] ?? "") ?? [];
    assert.equal(etag, "BwX=");
    const written: unknown = JSON.parse(text);
    assert.deepEqual(written, {
      etag: "BwX=",
      version: 1,
      bindings: [other, { role: "roles/x.y", members: [member] }],
    });
  });

  test("is not written where it is as wanted", async () => {
    const { tried, ran } = await play([call], { read: policy(other, { role: "roles/x.y", members: [member] }) });
    assert.deepEqual([tried.kind, ran], ["done", ["gcloud read"]]);
  });

  test("that somebody else has changed meanwhile is a conflict: the next try reads it again", async () => {
    for (const error of ["HTTPError 412: conditionNotMet", "ABORTED: There were concurrent policy changes"]) {
      const { tried } = await play([gcloud("a"), call], { read: policy(other), write: { error } });
      assert.ok(tried.kind === "fault" && tried.fault.kind === "conflict" && tried.at === 1, error);
    }
  });

  test("that is no policy is told, and nothing is written", async () => {
    const { tried, ran } = await play([call], { read: { prints: "<html>" } });
    assert.ok(tried.kind === "fault" && tried.fault.kind === "failed");
    assert.deepEqual(ran, ["gcloud read"]);
  });
});
