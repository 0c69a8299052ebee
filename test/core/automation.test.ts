import assert from "node:assert/strict";
import { test } from "node:test";
import { followsUpstreams, eager, onCron, onInterval, onSchedule, scheduledRunKey } from "../../lib/core/automation.ts";
import { lastTick, nextTick } from "../../lib/core/cron.ts";
import { daily } from "../../lib/core/partitions.ts";

const at = Date.UTC(2024, 4, 2, 0, 0, 7);

test("a schedule that ticks with the partitions stands for its window, whenever the message comes", () => {
  const asset = { partitions: daily(), automation: onInterval("daily") };
  assert.equal(scheduledRunKey(asset, "2024-05-01", at), "schedule:2024-05-01");
  assert.equal(scheduledRunKey(asset, "2024-05-01", at + 3_600_000), "schedule:2024-05-01");
});

test("any other schedule stands for its tick, so that each tick runs, and a double publish does not", () => {
  const hourly = { partitions: daily(), automation: onSchedule("0 * * * *") };
  const first = scheduledRunKey(hourly, "2024-05-01", at);
  assert.equal(scheduledRunKey(hourly, "2024-05-01", at + 40_000), first);
  assert.notEqual(scheduledRunKey(hourly, "2024-05-01", at + 3_600_000), first);
  const whole = { automation: onSchedule("0 0 * * *") };
  assert.notEqual(scheduledRunKey(whole, "", at), scheduledRunKey(whole, "", at + 86_400_000));
});

test("a cron line is read when it is defined", () => {
  assert.throws(() => onSchedule("61 * * * *"), {
    message: 'the cron line "61 * * * *" cannot be read: Invalid value for minute: 61',
    remedy: "write five fields such as 0 6 * * *",
  });
  assert.throws(() => onCron("0 6 * * *", "Europe/Berlim"), {
    message: 'the time zone "Europe/Berlim" is not known',
    remedy: "write an IANA name such as Europe/Berlin, or UTC",
  });
  assert.equal(followsUpstreams(eager()), true);
  assert.equal(followsUpstreams(onInterval("daily")), false);
});

test("ticks follow the zone, through summer time", () => {
  const noon = Date.UTC(2024, 6, 1, 12);
  assert.equal(lastTick("0 6 * * *", "Europe/Berlin", noon), Date.UTC(2024, 6, 1, 4));
  assert.equal(lastTick("0 6 * * *", "Europe/Berlin", Date.UTC(2024, 0, 1, 12)), Date.UTC(2024, 0, 1, 5));
  assert.equal(lastTick("0 12 * * *", "UTC", noon), noon);
  assert.equal(nextTick("0 12 * * *", "UTC", noon), noon + 86_400_000);
});
