import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deploy } from "../../infra/deploy.ts";
import type { DeployEvent, DeployOptions, DeployResult } from "../../infra/deploy.ts";
import { LOCK_MS } from "../../infra/deploy/state-object.ts";
import { parseState } from "../../infra/plan/state.ts";
import type { State } from "../../infra/plan/state.ts";
import { BEGIN, thingsPlanner, toolCloud } from "../support/tool-cloud.ts";
import type { Thing, ToolCloud } from "../support/tool-cloud.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";

const WANTED: Readonly<Record<string, Thing>> = {
  account: { value: "1" },
  topic: { value: "1" },
  function: { value: "1", needs: ["account"] },
  subscription: { value: "1", needs: ["topic", "function"] },
};

interface Scene {
  readonly clock: VirtualClock;
  readonly cloud: ToolCloud;
}

function scene(): Scene {
  const clock = virtualClock();
  return { clock, cloud: toolCloud(clock) };
}

let processes = 0;

function start(
  { clock, cloud }: Scene,
  more: Partial<DeployOptions> = {},
): { run: Promise<DeployResult>; told: DeployEvent[] } {
  processes += 1;
  const told: DeployEvent[] = [];
  const run = deploy({
    planner: thingsPlanner(WANTED),
    caller: { tools: cloud.tools(), file: cloud.file, values: new Map(), clock, random: seededRandom(processes) },
    deployer: { holder: `ada@laptop${processes}`, token: `token${processes}` },
    programs: 8,
    wait: false,
    isDead: async () => false,
    dryRun: false,
    confirm: async () => true,
    tell: (event) => told.push(event),
    signal: new AbortController().signal,
    ...more,
  });
  run.catch(() => undefined);
  return { run, told };
}

async function play(at: Scene, more: Partial<DeployOptions> = {}): Promise<DeployResult> {
  return await at.clock.runUntil(start(at, more).run);
}

const stateOf = ({ cloud }: Scene): State => parseState(cloud.object.text, "state");
const changing = ({ cloud }: Scene): readonly string[] =>
  cloud.calls.filter((call) => /^gcloud (?:make|drop|write)/.test(call));

/** What an uninterrupted deployment leaves. */
function assertDeployed(at: Scene): void {
  assert.deepEqual(Object.fromEntries(at.cloud.things), { account: "1", topic: "1", function: "1", subscription: "1" });
  const hash = { hash: "1" };
  const resources = { "topic account": hash, "topic topic": hash, "topic function": hash, "topic subscription": hash };
  assert.deepEqual(stateOf(at), { ...BEGIN, resources });
}

describe("a deployment", () => {
  test("makes what is wanted, in order, records it, and gives the lock back", async () => {
    const at = scene();
    const { outcome } = await play(at);
    assert.equal(outcome, "done");
    assertDeployed(at);
    const made = at.cloud.calls.filter((call) => call.startsWith("gcloud make")).map((call) => call.split(" ")[2]);
    assert.deepEqual(made, ["account", "topic", "function", "subscription"]);
  });

  test("changes nothing the second time, and takes no lock for it", async () => {
    const at = scene();
    await play(at);
    const before = [changing(at).length, at.cloud.object.generation];
    const { outcome } = await play(at, { confirm: () => assert.fail("there is nothing to ask") });
    assert.equal(outcome, "unchanged");
    assert.deepEqual([changing(at).length, at.cloud.object.generation], before);
  });

  test("changes only what differs", async () => {
    const at = scene();
    await play(at);
    const before = changing(at).length;
    await play(at, { planner: thingsPlanner({ ...WANTED, topic: { value: "2" } }) });
    const since = changing(at)
      .slice(before)
      .filter((call) => !call.startsWith("gcloud write"));
    assert.deepEqual(since, ["gcloud make topic 2"]);
    assert.equal(stateOf(at).resources["topic topic"]?.hash, "2");
  });

  test("writes nothing and takes no lock in a dry run, nor when it is declined", async () => {
    const at = scene();
    assert.equal(
      (await play(at, { dryRun: true, confirm: () => assert.fail("a dry run asks nothing") })).outcome,
      "planned",
    );
    assert.equal((await play(at, { confirm: async () => false })).outcome, "declined");
    assert.deepEqual(changing(at), []);
  });

  test("of many steps writes its state a few times only", async () => {
    const at = scene();
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`f${index}`, { value: "1" }]));
    const began = at.clock.now();
    await play(at, { planner: thingsPlanner(many) });
    const seconds = (at.clock.now() - began) / 1_000;
    const writes = at.cloud.calls.filter((call) => call.startsWith("gcloud write")).length;
    assert.equal(at.cloud.things.size, 200);
    // 60 in a minute.
    assert.ok(seconds >= 180 && seconds < 260, `${seconds} s`);
    assert.ok(writes >= 5 && writes <= seconds / 10 + 2, `${writes} writes`);
  });

  test("says which step failed, why, and how to try it, and finishes what does not need it", async () => {
    const at = scene();
    at.cloud.trouble = (words) =>
      words.startsWith("gcloud make function") ? { when: "before", stderr: "INVALID_ARGUMENT: bad memory" } : undefined;
    const result = await play(at);
    assert.ok(result.outcome === "failed");
    const [failed] = result.steps.failed;
    assert.deepEqual(
      [failed?.step.id, failed?.fault.reason, failed?.command],
      ["topic function", "INVALID_ARGUMENT: bad memory", "gcloud make function 1"],
    );
    assert.deepEqual(
      result.steps.blocked.map(({ id }) => id),
      ["topic subscription"],
    );
    assert.deepEqual([...at.cloud.things.keys()], ["account", "topic"]);
    assert.equal(stateOf(at).lock, undefined);
    at.cloud.trouble = () => undefined;
    assert.equal((await play(at)).outcome, "done");
    assertDeployed(at);
  });

  test("ends at once where nobody is signed in, and says what to do", async () => {
    const at = scene();
    const stderr = "You do not currently have an active account selected.";
    at.cloud.trouble = () => ({ when: "before", stderr });
    await assert.rejects(play(at), /gcloud auth login/);
    at.cloud.trouble = (words) => (words.startsWith("gcloud make") ? { when: "before", stderr } : undefined);
    await assert.rejects(play(at), /gcloud auth login/);
    assert.equal(stateOf(at).lock, undefined);
  });

  test("stops after the steps under way, with what they did recorded", async () => {
    const at = scene();
    const stop = new AbortController();
    const { run } = start(at, {
      signal: stop.signal,
      tell(event) {
        if (event.type === "started" && event.step.name === "topic") stop.abort(new Error("interrupted"));
      },
    });
    const result = await at.clock.runUntil(run);
    assert.ok(result.outcome === "stopped");
    assert.deepEqual(
      result.steps.left.map(({ name }) => name),
      ["function", "subscription"],
    );
    assert.deepEqual(Object.keys(stateOf(at).resources), ["topic account", "topic topic"]);
    assert.equal(stateOf(at).lock, undefined);
    await play(at);
    assertDeployed(at);
  });
});

describe("a deployment that is cut off", () => {
  test("at any call, before or after its effect, is carried on by the next one to the same end", async () => {
    const whole = scene();
    await play(whole);
    const total = whole.cloud.calls.length;
    assert.ok(total >= 8);
    for (let cut = 1; cut <= total; cut++)
      for (const effect of [false, true]) {
        const at = scene();
        at.cloud.trouble = (_, count) => (count === cut ? { when: "dead", effect } : undefined);
        const death = at.cloud.death();
        start(at);
        await at.clock.runUntil(death);
        at.cloud.trouble = () => undefined;
        const again = start(at, { isDead: async () => true });
        await at.clock.runUntil(again.run);
        assertDeployed(at);
      }
  });

  test("leaves a lock that runs out, for whoever waits", async () => {
    const at = scene();
    at.cloud.trouble = (words) =>
      words.startsWith("gcloud make function") ? { when: "dead", effect: true } : undefined;
    const death = at.cloud.death();
    start(at);
    await at.clock.runUntil(death);
    at.cloud.trouble = () => undefined;
    await assert.rejects(play(at), /ada@laptop\d+ has been deploying for 1 min.*runs out in \d+ min.*--wait/);
    const began = at.clock.now();
    const { run, told } = start(at, { wait: true });
    assert.equal((await at.clock.runUntil(run)).outcome, "done");
    assert.ok(at.clock.now() - began <= LOCK_MS + 30_000);
    assert.ok(told.some(({ type }) => type === "locked"));
    assert.equal(told.filter(({ type }) => type === "stolen").length, 1);
    assertDeployed(at);
  });

  test("at several places one after the other still ends well", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const at = scene();
      const random = seededRandom(seed);
      for (let round = 0; round < 4; round++) {
        const cut = at.cloud.calls.length + 1 + Math.floor(random.next() * 9);
        const effect = random.next() < 0.5;
        at.cloud.trouble = (_, count) => (count === cut ? { when: "dead", effect } : undefined);
        start(at, { isDead: async () => true });
        await at.clock.advance(120_000);
        at.cloud.kill();
      }
      at.cloud.trouble = () => undefined;
      await at.clock.runUntil(start(at, { isDead: async () => true }).run);
      assertDeployed(at);
    }
  });
});

describe("a deployment that meets faults", () => {
  test("at random, before or after an effect, ends as one that met none", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const at = scene();
      const random = seededRandom(seed);
      const texts = [
        "status=[429], code=[Too Many Requests]",
        "status=[503], code=[Service Unavailable]",
        "ABORTED: There were concurrent policy changes.",
      ];
      at.cloud.trouble = () => {
        if (random.next() > 0.3) return undefined;
        const stderr = texts[Math.floor(random.next() * texts.length)] ?? "";
        return { when: random.next() < 0.5 ? "before" : "after", stderr };
      };
      assert.equal((await play(at)).outcome, "done");
      at.cloud.trouble = () => undefined;
      assertDeployed(at);
    }
  });
});

describe("two deployments at once", () => {
  test("one makes it, and the other stops with a line or finds all done, however they interleave", async () => {
    for (const lead of [0, 500, 1_500, 2_500, 3_500, 4_500, 6_500, 8_500]) {
      const at = scene();
      const first = start(at);
      await at.clock.advance(lead);
      const second = start(at);
      const ends = await at.clock.runUntil(Promise.allSettled([first.run, second.run]));
      const words = ends.map((end) => (end.status === "fulfilled" ? end.value.outcome : String(end.reason)));
      assert.equal(words.filter((word) => word === "done").length, 1, words.join());
      assert.match(words.find((word) => word !== "done") ?? "", /^unchanged$|ada@laptop\d+ has been deploying/);
      assertDeployed(at);
      for (const name of Object.keys(WANTED))
        assert.equal(at.cloud.calls.filter((call) => call === `gcloud make ${name} 1`).length, 1);
    }
  });

  test("both end well where they wait for each other", async () => {
    const at = scene();
    const runs = [start(at, { wait: true }).run, start(at, { wait: true }).run];
    const ends = await at.clock.runUntil(Promise.all(runs));
    assert.deepEqual(ends.map(({ outcome }) => outcome).sort(), ["done", "unchanged"]);
    assertDeployed(at);
  });

  test("ask again where the plan has changed meanwhile, and not where it is the same", async () => {
    const at = scene();
    const asked: number[] = [];
    let overtaken = false;
    const { run } = start(at, {
      async confirm({ steps }) {
        asked.push(steps.length);
        if (!overtaken) {
          overtaken = true;
          // Somebody deploys a part of it while the question stands.
          at.cloud.things.set("topic", "1");
          at.cloud.object.text = JSON.stringify({ ...BEGIN, resources: { "topic topic": { hash: "1" } } });
          at.cloud.object.generation += 1;
        }
        return true;
      },
    });
    assert.equal((await at.clock.runUntil(run)).outcome, "done");
    assert.deepEqual(asked, [4, 3]);
    assertDeployed(at);
  });

  test("a deployer whose lock was taken from it begins nothing more", async () => {
    const at = scene();
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, { value: "1" }]));
    const thief = { holder: "bob@desk", token: "bob", since: at.clock.now(), expires: at.clock.now() + LOCK_MS };
    const { run } = start(at, {
      planner: thingsPlanner(many),
      tell(event) {
        if (event.type !== "done" || event.step.name !== "f20") return;
        at.cloud.object.text = JSON.stringify({ ...stateOf(at), lock: thief });
        at.cloud.object.generation += 1;
      },
    });
    const result = await at.clock.runUntil(run);
    assert.ok(result.outcome === "stopped");
    assert.match(result.unwritten ?? "", /another deployment has taken gs:/);
    assert.ok(result.steps.left.length > 0);
    assert.deepEqual(stateOf(at).lock, thief);
  });
});
