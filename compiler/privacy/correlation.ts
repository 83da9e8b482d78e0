/** Distance correlation of inputs and what is sent of them: place by place where the boundary has places, else of whole samples. */
import { flattened, joined, type Seen } from './attack.ts';
import { distanceCorrelation } from './distance-correlation.ts';
import { cellsAt, type FeatureBasis, featureMap, hasCells } from './features.ts';
import type { Matrices } from './matrices.ts';

/** Places whose distances are correlated. */
const PLACES = 300;

/** From 0 to 1; 0 where there are neither places nor samples of one size. */
export async function correlationOf(
  matrices: Matrices,
  basis: FeatureBasis | undefined,
  seen: readonly Seen[],
  random: () => number,
): Promise<number> {
  return (basis && (await placeCorrelation(matrices, basis, seen, random))) ?? sampleCorrelation(seen);
}

async function placeCorrelation(
  matrices: Matrices,
  basis: FeatureBasis,
  seen: readonly Seen[],
  random: () => number,
): Promise<number | undefined> {
  const [cells, features]: [Float32Array[], Float32Array[]] = [[], []];
  const share = Math.ceil(PLACES / Math.max(1, seen.length));
  for (const { boundary, view } of seen) {
    const map = await featureMap(matrices, basis, boundary);
    if (!hasCells(map, view)) return undefined;
    const places = Array.from({ length: share }, () => Math.floor(random() * map.rows * map.columns));
    cells.push(cellsAt(view, map, places).data);
    features.push(map.at(places).data);
  }
  const count = share * seen.length;
  return distanceCorrelation({ count, data: joined(cells) }, { count, data: joined(features) });
}

function sampleCorrelation(seen: readonly Seen[]): number {
  const views = joined(seen.map(({ view }) => view.data));
  const boundaries = seen.map(({ boundary }) => flattened(boundary));
  const isOneSize = seen.every(({ view }, i) => {
    return view.data.length === seen[0]?.view.data.length && boundaries[i]?.length === boundaries[0]?.length;
  });
  const count = seen.length;
  return isOneSize ? distanceCorrelation({ count, data: views }, { count, data: joined(boundaries) }) : 0;
}
