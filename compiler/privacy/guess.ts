/**
 * The best guess at an input that does not look at what was sent: what a reconstruction has to beat. A blank page is
 * already much like a page with a line on it.
 */
import { best } from './attack.ts';
import type { Plane } from './plane.ts';
import { ssim } from './similarity.ts';

/** A plane of the size asked for. */
export type Guess = (size: Pick<Plane, 'rows' | 'columns'>) => Plane;

const LEVELS = 16;
/** Planes of the training samples that guesses are tried on. */
const TRIED_MAX = 32;

/** The mean of each row, or one even level: whichever is more like the training samples, by structural similarity. */
export function bestGuess(training: readonly Plane[]): Guess {
  const tried = training.slice(0, TRIED_MAX);
  const like = (guess: Guess) => tried.reduce((sum, plane) => sum + ssim(plane, guess(plane)), 0);
  const levels = Array.from({ length: LEVELS }, (_, i) => evenly((i + 0.5) / LEVELS));
  return best([meanRows(training), ...levels], like);
}

function evenly(level: number): Guess {
  return ({ rows, columns }) => ({ rows, columns, data: new Float32Array(rows * columns).fill(level) });
}

/** Columns are where the content lies, and are of any number; rows are the same in all. */
function meanRows(training: readonly Plane[]): Guess {
  const rowsMax = Math.max(0, ...training.map(({ rows }) => rows));
  const [sums, counts] = [new Float64Array(rowsMax), new Float64Array(rowsMax)];
  for (const { columns, data } of training) {
    for (const [i, value] of data.entries()) {
      const row = Math.floor(i / columns);
      sums[row] = (sums[row] as number) + value;
      counts[row] = (counts[row] as number) + 1;
    }
  }
  return ({ rows, columns }) => {
    const data = Float32Array.from({ length: rows * columns }, (_, i) => {
      const row = Math.floor(i / columns);
      return (sums[row] ?? 0) / Math.max(1, counts[row] ?? 0);
    });
    return { rows, columns, data };
  };
}
