/**
 * What least squares leaves behind: a faint unrest on an even background, and strokes that are paler than they were. What is
 * hardly anything over the reconstruction's own background becomes the background, and the rest is made stronger. By how much of
 * either is chosen on held-out samples, by the likeness that is reported; neither where neither helps.
 */
import { type Attack, best, clamped, type Score } from './attack.ts';
import type { Plane } from './plane.ts';
import { ssimTo } from './similarity.ts';

export interface Sharpening {
  /** Differences from the background that are taken for it, and taken off all others. */
  readonly threshold: number;
  readonly gain: number;
}

const THRESHOLDS = [0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3] as const;
const GAINS = [1, 1.25, 1.5, 2, 3, 4] as const;

/** One of each. */
type Step = readonly [threshold: number, gain: number];

/** From nothing to much: what attacks are judged after, and where the search for the best begins. */
const COARSE: readonly Step[] = [
  [0, 0],
  [3, 0],
  [5, 1],
  [7, 2],
  [9, 3],
];
const LEVELS = 32;
/** Of all held-out samples together: more take longer, and choose the same. */
const PIXELS_MAX = 200_000;
/** The same for ridges, of which there are many. */
const SCORE_PIXELS_MAX = 60_000;

/**
 * The attack whose reconstructions of held-out samples are most like them, sharpened as becomes it; undefined where there is none.
 * @param views of the held-out samples
 */
export function bestSharpened(attacks: readonly Attack[], views: readonly Plane[]): Attack | undefined {
  if (attacks.length === 0) return undefined;
  const trial = newTrial(views, PIXELS_MAX);
  const tried = attacks.map((attack) => ({ attack, likenessAt: trial(attack.heldOut) }));
  const { attack, likenessAt } = best(tried, (one) => coarse(one.likenessAt).likeness);
  const sharpening = climbed(likenessAt);
  if (sharpening.threshold === 0 && sharpening.gain === 1) return attack;
  return {
    ...{ name: `${attack.name}, sharpened`, ridge: attack.ridge },
    heldOut: attack.heldOut.map((plane) => sharpen(clamped(plane), sharpening)),
    reconstruct: async (boundary) => sharpen(clamped(await attack.reconstruct(boundary)), sharpening),
  };
}

/** How like some views is what was told of them, sharpened roughly as becomes it. */
export function sharpenedScore(views: readonly Plane[]): Score {
  const trial = newTrial(views, SCORE_PIXELS_MAX);
  return (told) => coarse(trial(told)).likeness;
}

/** @param plane of values from 0 to 1 */
export function sharpen(plane: Plane, sharpening: Sharpening): Plane {
  return applied(plane, backgroundOf(plane), sharpening);
}

function applied(plane: Plane, background: number, { threshold, gain }: Sharpening): Plane {
  if (threshold === 0 && gain === 1) return plane;
  const data = new Float32Array(plane.data.length);
  for (let i = 0; i < data.length; i++) {
    const difference = (plane.data[i] as number) - background;
    const over = Math.max(0, Math.abs(difference) - threshold) * gain;
    data[i] = Math.min(1, Math.max(0, difference < 0 ? background - over : background + over));
  }
  return { ...plane, data };
}

/** The level that most of the plane is near. */
function backgroundOf({ data }: Plane): number {
  const counts = new Float64Array(LEVELS);
  for (const value of data) {
    const level = Math.min(LEVELS - 1, Math.floor(value * LEVELS));
    counts[level] = (counts[level] as number) + 1;
  }
  const most = counts.indexOf(Math.max(...counts));
  let [sum, count] = [0, 0];
  for (const value of data) {
    if (Math.abs(value * LEVELS - most - 0.5) > 1) continue;
    sum += value;
    count++;
  }
  return sum / Math.max(1, count);
}

type LikenessAt = (step: Step) => number;

/** For what is told of some views: the mean likeness after each step that is asked for. */
function newTrial(views: readonly Plane[], pixelsMax: number): (told: readonly Plane[]) => LikenessAt {
  const pixels = views.reduce((sum, { data }) => sum + data.length, 0);
  const share = Math.min(1, pixelsMax / Math.max(1, pixels));
  const likenesses = views.map((view) => ssimTo(middle(view, share)));
  return (told) => {
    const seen = told.map((plane, i) => {
      const whole = clamped(plane);
      return { part: middle(whole, share), background: backgroundOf(whole), likeness: likenesses[i] };
    });
    const known = new Map<string, number>();
    return (step) => {
      const key = step.join();
      const value = known.get(key) ?? meanLikeness(seen, sharpeningAt(step) as Sharpening);
      known.set(key, value);
      return value;
    };
  };
}

function meanLikeness(
  seen: readonly { part: Plane; background: number; likeness: ((plane: Plane) => number) | undefined }[],
  sharpening: Sharpening,
): number {
  let sum = 0;
  for (const { part, background, likeness } of seen) sum += likeness?.(applied(part, background, sharpening)) ?? 0;
  return sum / Math.max(1, seen.length);
}

function coarse(likenessAt: LikenessAt): { step: Step; likeness: number } {
  const step = best(COARSE, likenessAt);
  return { step, likeness: likenessAt(step) };
}

/** Step by step to what is most alike. */
function climbed(likenessAt: LikenessAt): Sharpening {
  let { step } = coarse(likenessAt);
  for (;;) {
    const [threshold, gain] = step;
    const around: Step[] = [
      step,
      [threshold - 1, gain],
      [threshold + 1, gain],
      [threshold, gain - 1],
      [threshold, gain + 1],
      [threshold + 1, gain + 1],
    ];
    const next = best(
      around.filter((one) => sharpeningAt(one) !== undefined),
      likenessAt,
    );
    if (next === step) return sharpeningAt(step) as Sharpening;
    step = next;
  }
}

function sharpeningAt([t, g]: Step): Sharpening | undefined {
  const [threshold, gain] = [THRESHOLDS[t], GAINS[g]];
  return threshold === undefined || gain === undefined ? undefined : { threshold, gain };
}

/** Some of its rows, those in the middle. */
function middle(plane: Plane, share: number): Plane {
  if (share === 1) return plane;
  const rows = Math.max(1, Math.floor(plane.rows * share));
  const from = Math.floor((plane.rows - rows) / 2) * plane.columns;
  return { ...plane, rows, data: plane.data.subarray(from, from + rows * plane.columns) };
}
