/**
 * How light a view is as a whole and how strong its contrast: a network may hardly keep either, and where they are told apart
 * from the shapes neither spoils the other. By ridge regression on the boundary's means.
 */
import { cholesky, choleskySolve } from '../linalg/cholesky.ts';
import { addRows, finishMoments, newMoments } from '../linalg/moments.ts';
import { addRidge, secondMoments } from '../linalg/ridge.ts';
import { best } from './attack.ts';
import type { Plane } from './plane.ts';

export interface Level {
  readonly mean: number;
  readonly deviation: number;
}

export interface LevelSample {
  /** Means of the boundary, as many for all samples. */
  readonly overall: Float32Array;
  readonly level: Level;
}

/** Up to those that tell the mean level whatever is seen: there are as many equations as samples. */
const RIDGES = [1e-3, 1e-2, 0.1, 1, 10, 1e3] as const;
/** Each part is told by what is fitted on the others. */
const PARTS = 5;
const DEVIATION_MIN = 1e-3;

export function levelOf({ data }: Plane): Level {
  let [sum, squares] = [0, 0];
  for (const value of data) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / Math.max(1, data.length);
  return { mean, deviation: Math.sqrt(Math.max(DEVIATION_MIN ** 2, squares / Math.max(1, data.length) - mean * mean)) };
}

/** The view without its level. */
export function levelled(view: Plane, { mean, deviation }: Level): Plane {
  return { ...view, data: view.data.map((value) => (value - mean) / deviation) };
}

export function withLevel(view: Plane, { mean, deviation }: Level): Plane {
  return { ...view, data: view.data.map((value) => value * deviation + mean) };
}

type Tell = (overall: Float32Array) => Level;

/** Levels of boundaries that were not seen, by the ridge that does best in cross-validation. */
export function fitLevels(samples: readonly LevelSample[]): Tell {
  const errorOf = (ridge: number) => {
    let error = 0;
    for (let part = 0; part < PARTS; part++) {
      const tell = fitted(
        samples.filter((_, i) => i % PARTS !== part),
        ridge,
      );
      for (const { overall, level } of samples.filter((_, i) => i % PARTS === part)) {
        const told = tell(overall);
        error += (told.mean - level.mean) ** 2 + (told.deviation - level.deviation) ** 2;
      }
    }
    return error;
  };
  return fitted(
    samples,
    best(RIDGES, (ridge) => -errorOf(ridge)),
  );
}

function fitted(samples: readonly LevelSample[], ridge: number): Tell {
  const columns = samples[0]?.overall.length ?? 0;
  const moments = newMoments(columns, 2);
  for (const { overall, level } of samples) addRows(moments, overall, Float32Array.of(level.mean, level.deviation));
  finishMoments(moments);
  const { count, sum, targetSum, cross } = moments;
  const gram = secondMoments(moments, true);
  addRidge(gram, columns, ridge);
  const weights = cross.map((value, at) => {
    const [column, target] = [Math.floor(at / 2), at % 2];
    return value / count - (((sum[column] as number) / count) * (targetSum[target] as number)) / count;
  });
  choleskySolve(cholesky(gram, columns), columns, weights, 2);
  return (overall) => {
    const [mean = 0, deviation = 0] = [0, 1].map((target) => {
      let value = (targetSum[target] as number) / count;
      for (let c = 0; c < columns; c++) {
        value += ((overall[c] as number) - (sum[c] as number) / count) * (weights[2 * c + target] as number);
      }
      return value;
    });
    return { mean, deviation: Math.max(DEVIATION_MIN, deviation) };
  };
}
