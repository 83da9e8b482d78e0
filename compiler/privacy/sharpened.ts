/**
 * What least squares leaves behind: a faint unrest on an even background, and strokes that are paler than they were. What is
 * hardly anything over the reconstruction's own background becomes the background, and the rest is made stronger. By how much of
 * either is chosen on held-out samples, by the likeness that is reported; neither where neither helps.
 */
import { type Attack, clamped, type Seen } from './attack.ts';
import type { Plane } from './plane.ts';
import { ssimTo } from './similarity.ts';

export interface Sharpening {
  /** Differences from the background that are taken for it, and taken off all others. */
  readonly threshold: number;
  readonly gain: number;
}

/** An attack and what it is chosen by. */
export interface Sharpened {
  readonly attack: Attack;
  /** Mean structural similarity of held-out samples. */
  readonly score: number;
}

const THRESHOLDS = [0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3] as const;
const GAINS = [1, 1.25, 1.5, 2, 3, 4] as const;
/** Where the search begins: nothing done, and much. */
const STARTS = [
  [0, 0],
  [6, 3],
] as const;
const LEVELS = 32;
/** Of all held-out samples together: more take longer, and choose the same. */
const PIXELS_MAX = 200_000;

/** The attack whose reconstructions of held-out samples are most like them, each sharpened as becomes it. */
export async function bestSharpened(attacks: readonly Attack[], heldOut: readonly Seen[]): Promise<Attack | undefined> {
  let best: Sharpened | undefined;
  for (const attack of attacks) {
    const other = await sharpened(attack, heldOut);
    if (!best || other.score > best.score) best = other;
  }
  return best?.attack;
}

export async function sharpened(attack: Attack, heldOut: readonly Seen[]): Promise<Sharpened> {
  const share = Math.min(1, PIXELS_MAX / Math.max(1, pixelsOf(heldOut)));
  const tried: { told: Plane; background: number; likeness: (plane: Plane) => number }[] = [];
  for (const { boundary, view } of heldOut) {
    const whole = clamped(await attack.reconstruct(boundary));
    const told = middle(whole, share);
    tried.push({ told, background: backgroundOf(whole), likeness: ssimTo(middle(view, share)) });
  }
  const { sharpening, score } = climbed((at) => {
    let sum = 0;
    for (const { told, background, likeness } of tried) sum += likeness(applied(told, background, at));
    return sum / Math.max(1, tried.length);
  });
  const reconstruct = async (boundary: Parameters<Attack['reconstruct']>[0]) => {
    return sharpen(clamped(await attack.reconstruct(boundary)), sharpening);
  };
  return { attack: { ...attack, name: nameOf(attack, sharpening), reconstruct }, score };
}

/** @param plane of values from 0 to 1 */
export function sharpen(plane: Plane, sharpening: Sharpening): Plane {
  return applied(plane, backgroundOf(plane), sharpening);
}

function applied(plane: Plane, background: number, { threshold, gain }: Sharpening): Plane {
  if (threshold === 0 && gain === 1) return plane;
  const data = plane.data.map((value) => {
    const over = Math.abs(value - background) - threshold;
    if (over <= 0) return background;
    return Math.min(1, Math.max(0, background + Math.sign(value - background) * over * gain));
  });
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

/** Step by step to what scores best, from each start. */
function climbed(scoreOf: (sharpening: Sharpening) => number): { sharpening: Sharpening; score: number } {
  const known = new Map<string, { sharpening: Sharpening; score: number; at: readonly [number, number] }>();
  const tryAt = ([t, g]: readonly [number, number]) => {
    const [threshold, gain] = [THRESHOLDS[t], GAINS[g]];
    if (threshold === undefined || gain === undefined) return [];
    const key = `${t} ${g}`;
    const sharpening = { threshold, gain };
    const found = known.get(key) ?? { sharpening, score: scoreOf(sharpening), at: [t, g] as const };
    known.set(key, found);
    return [found];
  };
  for (const start of STARTS) {
    let [best] = tryAt(start);
    for (let previous: typeof best; best && best !== previous; ) {
      previous = best;
      const [t, g]: readonly [number, number] = best.at;
      const around = [
        [t - 1, g],
        [t + 1, g],
        [t, g - 1],
        [t, g + 1],
        [t + 1, g + 1],
      ] as const;
      for (const found of around.flatMap(tryAt)) if (found.score > best.score) best = found;
    }
  }
  return [...known.values()].reduce((best, other) => (other.score > best.score ? other : best));
}

function nameOf({ name }: Attack, { threshold, gain }: Sharpening): string {
  return threshold === 0 && gain === 1 ? name : `${name}, sharpened`;
}

function pixelsOf(samples: readonly Seen[]): number {
  return samples.reduce((sum, { view }) => sum + view.data.length, 0);
}

/** Some of its rows, those in the middle. */
function middle(plane: Plane, share: number): Plane {
  if (share === 1) return plane;
  const rows = Math.max(1, Math.floor(plane.rows * share));
  const from = Math.floor((plane.rows - rows) / 2) * plane.columns;
  return { ...plane, rows, data: plane.data.subarray(from, from + rows * plane.columns) };
}
