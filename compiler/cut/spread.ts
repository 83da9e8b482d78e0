/** A first guess at where to cut, without measuring: see the docs of `spreadCuts` for what it does not know. */
import type { InspectedBoundary } from '../inspect.ts';

/** Segments of a chain that nobody chose the cuts of. */
const SEGMENTS = 4;

/**
 * Up to three boundaries, near a quarter, a half and three quarters of the multiply-accumulates, each the one of the fewest
 * tensors, and of those the one that carries least. It knows neither times nor links nor what boundaries compress to.
 */
export function spreadCuts(boundaries: readonly InspectedBoundary[]): string[][] {
  const depthOf = ({ macsBefore, parametersBefore }: InspectedBoundary) => macsBefore ?? parametersBefore;
  const cuts: InspectedBoundary[] = [];
  for (let i = 1; i < SEGMENTS; i++) {
    const [from, to] = [(i - 0.5) / SEGMENTS, (i + 0.5) / SEGMENTS];
    const [best] = boundaries.filter((one) => depthOf(one) >= from && depthOf(one) < to).sort(bySize);
    if (best) cuts.push(best);
  }
  const [any] = [...boundaries].sort(bySize);
  return (cuts.length > 0 || !any ? cuts : [any]).map(({ tensors }) => tensors.map(({ name }) => name));
}

function bySize(a: InspectedBoundary, b: InspectedBoundary): number {
  return a.tensors.length - b.tensors.length || (a.bytes ?? Number.MAX_VALUE) - (b.bytes ?? Number.MAX_VALUE);
}
