/** Cuts a failing schedule down: fewer acts, and calm wherever a disturbance is not needed. */
import type { Schedule } from "./schedule.ts";

/**
 * `fails` says whether a schedule still shows what is looked for. The result does, and no smaller one of those that were tried,
 * `most` of them.
 */
export async function shrink(
  schedule: Schedule,
  fails: (candidate: Schedule) => Promise<boolean>,
  most = 600,
): Promise<Schedule> {
  let best = schedule;
  let tries = 0;
  const attempt = async (candidate: Schedule): Promise<boolean> => {
    if (tries++ >= most || !(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let before: Schedule | undefined; before !== best && tries < most;) {
    before = best;
    for (let keep = best.choices.length >> 1; keep >= 0 && keep < best.choices.length;) {
      if (!(await attempt({ ...best, choices: best.choices.slice(0, keep) })))
        keep += Math.max(1, (best.choices.length - keep) >> 1);
      else keep = best.choices.length >> 1;
    }
    for (let at = best.acts.length - 1; at >= 0; at--) await attempt({ ...best, acts: best.acts.toSpliced(at, 1) });
    for (let size = Math.max(1, best.choices.length >> 1); size >= 1; size >>= 1) {
      for (let at = 0; at < best.choices.length; at += size) {
        if (best.choices.slice(at, at + size).every((choice) => choice === 0)) continue;
        await attempt({
          ...best,
          choices: best.choices.map((choice, index) => (index >= at && index < at + size ? 0 : choice)),
        });
      }
    }
    if (best.skews.some((skew) => skew !== 0)) await attempt({ ...best, skews: [0, 0] });
    if (best.sensor) await attempt({ ...best, sensor: false });
    if (best.sweepsLast) await attempt({ ...best, sweepsLast: false });
  }
  return best;
}

/** What there is to read of it: how many acts, and how many steps that are not calm. */
export function sizeOf({ acts, choices }: Schedule): { readonly acts: number; readonly disturbances: number } {
  return { acts: acts.length, disturbances: choices.filter((choice) => choice !== 0).length };
}
