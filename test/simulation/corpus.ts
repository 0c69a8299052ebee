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
  {
    title: "an older process met the news of a new name; the next one came a day later and gave it up without asking",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, -200000],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 7, act: { do: "ask", asset: 0, day: 2 } },
        { at: 8, act: { do: "deploy", fate: 1287569333, only: 1 } },
        { at: 10, act: { do: "write", day: 1, part: "a" } },
      ],
      choices: [0, 0, 0, 0, 0, 1167278789, 0, 0, 996251639, 2955733917, 0, 0, 4249708623, 0, 1278370007],
    },
  },
  {
    title: "a single run wrote over a day that was made anew meanwhile, and nobody made that good",
    schedule: {
      project: "single run",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 4, act: { do: "write", day: 4, part: "a" } },
        {
          at: 11,
          act: {
            do: "backfill",
            which: 0,
            order: { action: "start", from: 1, to: 3, which: "all", singleRun: true },
          },
        },
        { at: 20, act: { do: "write", day: 3, part: "a" } },
      ],
      choices: [],
    },
  },
  {
    title: "a query that an attempt had made was taken for one of the upstream's newer version",
    schedule: {
      project: "single run",
      sensor: false,
      skews: [0, 0],
      mood: 4,
      sweepsLast: false,
      acts: [
        { at: 1, act: { do: "write", day: 4, part: "a" } },
        { at: 1, act: { do: "write", day: 2, part: "a" } },
        { at: 8, act: { do: "ask", asset: 1, day: 4 } },
        { at: 9, act: { do: "ask", asset: 0, day: 3 } },
        { at: 31, act: { do: "write", day: 4, part: "a" } },
      ],
      choices: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2342252549, 0, 0, 3443695971, 3529689691, 0, 2395716705],
    },
  },
  {
    title: "what waited for the end of a pause was tried at every moment while its asset could not be renamed yet",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, -200000],
      mood: 4,
      sweepsLast: false,
      acts: [
        { at: 4, act: { do: "pause", asset: 1, by: 1 } },
        { at: 6, act: { do: "write", day: 2, part: "a" } },
        { at: 15, act: { do: "write", day: 2, part: "a" } },
        { at: 16, act: { do: "resume", asset: 1, by: 1 } },
        { at: 18, act: { do: "deploy", fate: 2830098888, only: 1 } },
      ],
      choices: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3383755689, 4030156727, 0, 0, 0],
    },
  },
  {
    title: "a run that was canceled in its first attempt left its staging table behind",
    schedule: {
      project: "incremental",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 1, act: { do: "write", day: 1, part: "a" } },
        { at: 3, act: { do: "cancel", which: 55, by: 0 } },
      ],
      choices: [0, 474716741, 0],
    },
  },
  {
    title:
      "a run that an older deployment was at work on, under the name that its asset had, published after it was canceled",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 0, act: { do: "write", day: 1, part: "a" } },
        { at: 3, act: { do: "deploy", fate: 528563645, only: 1 } },
        { at: 3, act: { do: "cancel", which: 49, by: 1 } },
      ],
      choices: [0, 0],
    },
  },
  {
    title: "news that was folded into a person's request was refused together with it, under a pause",
    schedule: {
      project: "incremental checked",
      sensor: false,
      skews: [0, 0],
      mood: 4,
      sweepsLast: false,
      acts: [
        { at: 3, act: { do: "write", day: 2, part: "a" } },
        { at: 9, act: { do: "pause", asset: 0, by: 0 } },
        { at: 20, act: { do: "write", day: 2, part: "a" } },
        { at: 23, act: { do: "ask", asset: 0, day: 2 } },
      ],
      choices: [0, 174389529, 0, 0, 3726634261, 0, 0, 0, 0, 3435886945],
    },
  },
  {
    title:
      "a run that ended without a commit could not reach the store, and left the version that it had begun to nobody",
    schedule: {
      project: "stored",
      sensor: false,
      skews: [0, 0],
      mood: 3,
      sweepsLast: false,
      acts: [{ at: 9, act: { do: "ask", asset: 1, day: 3, wish: "force" } }],
      choices: [1955196693, 1132838699],
    },
  },
  {
    title: "news was told again before what the upstream shows had moved to its new name, and so concerned nobody",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 0,
      sweepsLast: false,
      acts: [
        { at: 22, act: { do: "write", day: 1, part: "a" } },
        { at: 27, act: { do: "deploy", fate: 679785400, only: 0 } },
      ],
      choices: [
        3876534941, 2808814601, 0, 2318688323, 0, 2411587221, 0, 3571795215, 0, 0, 3012180855, 0, 3876981279, 0, 0,
        4255253145,
      ],
    },
  },
  {
    title: "a partition moved to its new name between a commit and what is put away after it, which stayed for ever",
    schedule: {
      project: "renamed",
      sensor: false,
      skews: [0, 0],
      mood: 4,
      sweepsLast: false,
      acts: [
        { at: 16, act: { do: "deploy", fate: 1047465534, only: 0 } },
        { at: 21, act: { do: "write", day: 1, part: "a" } },
        { at: 22, act: { do: "remove", day: 1, part: "a" } },
      ],
      choices: [3476825777, 4199357555, 0, 0, 0, 1938800043, 2651525839, 2554756451],
    },
  },
];
