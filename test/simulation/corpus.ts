/** Schedules that once failed, cut down, each with what was wrong. What was repaired stays repaired. */
import type { Schedule } from "./schedule.ts";

export interface Past {
  /** What was wrong. */
  readonly title: string;
  readonly schedule: Schedule;
}

export const corpus: readonly Past[] = [
  {
    title: "a file that was not listed yet ended its run for good",
    schedule: {
      project: "overwrite marker",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "write", day: 1, part: "a" } },
        { at: 0, act: { do: "write", day: 1, part: "b" } },
        { at: 0, act: { do: "write", day: 1, part: "marker" } },
        { at: 1, act: { do: "write", day: 2, part: "a" } },
        { at: 10, act: { do: "write", day: 2, part: "marker", unsettledMs: 200 } },
      ],
      choices: [],
    },
  },
  {
    title: "a stranger's job under the intent's id was taken for the publish",
    schedule: {
      project: "overwrite count",
      sensor: false,
      skews: [0, 0],
      mood: 4,
      sweepsLast: false,
      acts: [
        { at: 2, act: { do: "write", day: 2, part: "b", unsettledMs: 200 } },
        { at: 3, act: { do: "ask", asset: 0, day: 2 } },
        { at: 4, act: { do: "write", day: 2, part: "a" } },
      ],
      choices: [0, 1305024063, 0, 0, 0, 0, 0, 3315851305, 1281404159],
    },
  },
  {
    title: "a run ended, for an upstream that was blocked meanwhile, while its own publish was still open",
    schedule: {
      project: "by day",
      sensor: false,
      skews: [0, 0],
      mood: 1,
      sweepsLast: false,
      acts: [
        { at: 8, act: { do: "ask", asset: 0, day: 1, wish: "force" } },
        { at: 12, act: { do: "write", day: 1, part: "a" } },
        { at: 21, act: { do: "write", day: 1, part: "a", bad: true } },
      ],
      choices: [0, 0, 0, 0, 0, 2562921375, 0, 0, 0, 2606972227, 860680267, 0, 0, 0, 0, 0, 0, 0, 874348123],
    },
  },
  {
    title: "a run that ended before it had staged left what its dead attempt had staged",
    schedule: {
      project: "by day",
      sensor: false,
      skews: [0, 0],
      mood: 1,
      sweepsLast: false,
      acts: [
        { at: 13, act: { do: "write", day: 2, part: "a" } },
        { at: 19, act: { do: "write", day: 2, part: "a", unsettledMs: 200 } },
      ],
      choices: [
        0, 0, 1994594045, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3027248833, 0, 0, 2627145089, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 1408480575,
      ],
    },
  },
  {
    title: "a dead attempt's last request took the staging away, and the run failed for want of it",
    schedule: {
      project: "overwrite count",
      sensor: false,
      skews: [0, 200000],
      mood: 2,
      sweepsLast: false,
      acts: [
        { at: 4, act: { do: "write", day: 1, part: "b" } },
        { at: 7, act: { do: "write", day: 1, part: "a" } },
        { at: 16, act: { do: "remove", day: 1, part: "b" } },
      ],
      choices: [
        2816362587, 0, 0, 3770684833, 3843892745, 2183047735, 1766953391, 3610307137, 0, 3475239523, 3470070185, 0, 0,
        3272089081,
      ],
    },
  },
  {
    title: "a partition was opened again while its clean-up went on deleting",
    schedule: {
      project: "incremental clean-up",
      sensor: true,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "write", day: 1, part: "a" } },
        { at: 0, act: { do: "write", day: 1, part: "b" } },
        { at: 0, act: { do: "write", day: 2, part: "a" } },
        { at: 0, act: { do: "write", day: 2, part: "b" } },
        { at: 0, act: { do: "write", day: 3, part: "a" } },
        { at: 0, act: { do: "write", day: 3, part: "b" } },
        { at: 37, act: { do: "ask", asset: 0, day: 1, wish: "unseal" } },
      ],
      choices: [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1408685879, 3832390423, 3447514913, 1109319521,
      ],
    },
  },
  {
    title: "a publish failed for good, because another partition's run had added a column to the table meanwhile",
    schedule: {
      project: "incremental extend",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 1, act: { do: "write", day: 1, part: "a" } },
        { at: 11, act: { do: "write", day: 3, part: "a", wide: true } },
      ],
      choices: [
        2911996317, 3108692415, 0, 0, 0, 3477977145, 0, 663805593, 2922935295, 3319230969, 36167905, 232927689,
        3691870075, 349152447,
      ],
    },
  },
  {
    title: "two deployments ran one run, each under its own name, and an ended holder was moved to the new name",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "deploy", fate: 729687351, only: 1 } },
        { at: 3, act: { do: "write", day: 2, part: "a" } },
      ],
      choices: [58103021, 649048865, 2785422363],
    },
  },
  {
    title: "a run under the old name and one under the new name both ended the same run",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "write", day: 1, part: "a" } },
        { at: 1, act: { do: "deploy", fate: 801676293, only: 0 } },
        { at: 5, act: { do: "write", day: 1, part: "a" } },
      ],
      choices: [0, 2532754659, 0, 0],
    },
  },
  {
    title: "an older deployment took the news of a name that it did not know, and nobody else was told",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 3,
      sweepsLast: false,
      acts: [
        { at: 16, act: { do: "deploy", fate: 1269121193, only: 0 } },
        { at: 24, act: { do: "write", day: 2, part: "a" } },
      ],
      choices: [0, 0, 0, 0, 4274447489, 0, 0, 933180913],
    },
  },
  {
    title: "a request that was put off twice, by a clock that is behind, was taken for a repetition",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, -200000],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 3, act: { do: "write", day: 1, part: "a" } },
        { at: 4, act: { do: "write", day: 3, part: "a" } },
        { at: 26, act: { do: "deploy", fate: 2918165139, only: 1 } },
        { at: 27, act: { do: "write", day: 1, part: "a" } },
      ],
      choices: [0, 1102086221, 0, 0, 0, 0, 892501483],
    },
  },
  {
    title: "an older deployment made a downstream of a renamed asset from nothing",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 200000],
      mood: 2,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "deploy", fate: 2037891215, only: 0 } },
        { at: 8, act: { do: "write", day: 3, part: "a" } },
      ],
      choices: [0, 0, 0, 0, 1780375249, 0, 3079556427, 0, 0, 0, 0, 0, 0, 0, 522462819, 0, 0, 1659391213, 1495279037],
    },
  },
  {
    title: "a dead run was rolled forward after a rename, and its leftovers were looked for under the old name",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 10, act: { do: "write", day: 1, part: "a" } },
        { at: 16, act: { do: "write", day: 2, part: "a" } },
        { at: 23, act: { do: "deploy", fate: 3170239290, only: 0 } },
        { at: 32, act: { do: "remove", day: 1, part: "a" } },
        { at: 32, act: { do: "ask", asset: 0, day: 1, wish: "force" } },
      ],
      choices: [
        171090411, 240436281, 3295230241, 2822425677, 0, 0, 0, 0, 0, 280006961, 870329861, 0, 0, 0, 2834492631, 0, 0, 0,
        393045735, 0, 0, 0, 0,
      ],
    },
  },
  {
    title: "late rows of a multi-asset's older run were published after newer ones had been refused",
    schedule: {
      project: "several",
      sensor: false,
      skews: [0, 0],
      mood: 3,
      sweepsLast: false,
      acts: [
        { at: 8, act: { do: "write", day: 2, part: "a" } },
        { at: 28, act: { do: "write", day: 2, part: "a", bad: true } },
      ],
      choices: [0, 0, 0, 2594810041, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3938972569],
    },
  },
  {
    title: "a holder that had lost its claim dropped the staging just before its successor gave it one more column",
    schedule: {
      project: "incremental extend",
      sensor: false,
      skews: [0, 200000],
      mood: 2,
      sweepsLast: false,
      acts: [
        { at: 10, act: { do: "write", day: 2, part: "a", wide: true } },
        { at: 16, act: { do: "write", day: 2, part: "a" } },
        { at: 24, act: { do: "write", day: 2, part: "a", wide: true } },
      ],
      choices: [
        1526009001, 1646920261, 0, 0, 1337684781, 0, 3790819979, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1437399919, 0, 309451409,
        2169659511, 0, 0, 2354267957,
      ],
    },
  },
];
