/** Boundaries that a network could have made of planes of noise: mixed channels, each bent. */
import type { Seen } from '../../../compiler/privacy/attack.ts';
import type { Plane } from '../../../compiler/recipe.ts';
import type { TensorSpec } from '../../../shared/plan.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';
import { float32 } from '../../../shared/tensor.ts';

export const SPEC: TensorSpec = { name: 'h', dtype: 'float32', shape: [1, 8, 4, 'width/2'] };

/** Planes of 8 x width whose cells of 2 x 2 are mixed into 8 channels a place, and then bent. */
export function samples(count: number, seed: number, bend: (value: number) => number, widths = [16, 24]): Seen[] {
  const mixing = seededRandom(99);
  const mix = Float32Array.from({ length: 8 * 4 }, () => gaussian(mixing));
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, s): Seen => {
    const columns = widths[s % widths.length] as number;
    const view: Plane = { rows: 8, columns, data: Float32Array.from({ length: 8 * columns }, () => random()) };
    const [rows, across] = [4, columns / 2];
    const data = new Float32Array(8 * rows * across);
    for (let c = 0; c < 8; c++) {
      for (let place = 0; place < rows * across; place++) {
        const [row, column] = [Math.floor(place / across), place % across];
        let sum = 0;
        for (let i = 0; i < 4; i++) {
          const pixel = view.data[(2 * row + (i >> 1)) * columns + 2 * column + (i & 1)] as number;
          sum += (mix[c * 4 + i] as number) * (pixel - 0.5);
        }
        data[c * rows * across + place] = bend(sum);
      }
    }
    return { view, boundary: { h: float32([1, 8, rows, across], data) } };
  });
}
