/** How found boxes are compared with those that should have been found. */
import type { Box } from './boxes.ts';

/** Boxes that share this much of what they cover together are the same. */
const OVERLAP_MIN = 0.5;

/** Intersection over union, in [0, 1]; 0 where either is empty. */
export function overlapOf(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (areaOf(a) + areaOf(b) - width * height);
}

/** How many of `wanted` are among `found`, by an overlap of at least a half; each found box stands for one, best pairs first. */
export function countMatches(wanted: readonly Box[], found: readonly Box[]): number {
  const pairs = wanted
    .flatMap((a, i) => found.map((b, j) => ({ i, j, overlap: overlapOf(a, b) })))
    .filter(({ overlap }) => overlap >= OVERLAP_MIN)
    .sort((p, q) => q.overlap - p.overlap);
  const [taken, matched] = [new Set<number>(), new Set<number>()];
  for (const { i, j } of pairs) {
    if (matched.has(i) || taken.has(j)) continue;
    matched.add(i);
    taken.add(j);
  }
  return matched.size;
}

function areaOf({ left, top, right, bottom }: Box): number {
  return (right - left) * (bottom - top);
}
