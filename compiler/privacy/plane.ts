/**
 * What an attack is to find out about an input, as a plane of grey: a picture's luminance, a sound's spectrogram. One view for
 * every kind of input, so that a reconstruction can be looked at and compared by the measures that pictures have.
 */
import type { PictureSteps, Plan } from '../../shared/plan.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { asFloat32, float32, type Tensors } from '../../shared/tensor.ts';
import type { InputView, Plane } from '../recipe.ts';

export type { InputView, Plane } from '../recipe.ts';

/** ITU-R BT.601, as SSIM is mostly taken of. */
const LUMINANCE = { red: 0.299, green: 0.587, blue: 0.114 } as const;

/**
 * Luminance of pictures; of anything else its first float tensor, its range brought to 0 to 1.
 * @param inputs to tell the range by
 */
export function defaultView(
  { preprocess, boundaries }: Pick<Plan, 'preprocess' | 'boundaries'>,
  inputs: readonly Tensors[],
): InputView {
  const name = boundaries[0]?.tensors.find(({ dtype }) => dtype === 'float32')?.name ?? '';
  return preprocess ? luminanceView(preprocess, name) : tensorView(name, inputs);
}

function luminanceView({ channels, mean, std }: PictureSteps, name: string): InputView {
  const { red, green, blue } = LUMINANCE;
  const weights = channels === 'rgb' ? [red, green, blue] : [blue, green, red];
  return {
    name: 'luminance',
    see(input) {
      const tensor = input[name] as Tensors[string];
      const [rows = 1, columns = 1] = tensor.shape.slice(2);
      const [values, size] = [asFloat32(tensor), rows * columns];
      const data = new Float32Array(size);
      for (const [c, weight] of weights.entries()) {
        for (let i = 0; i < size; i++) {
          data[i] =
            (data[i] as number) +
            weight * ((values[c * size + i] as number) * (std[c] as number) + (mean[c] as number));
        }
      }
      return { rows, columns, data };
    },
    unsee({ rows, columns, data }, original) {
      const size = rows * columns;
      const values = new Float32Array(3 * size);
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < size; i++) {
          const level = Math.min(1, Math.max(0, data[i] as number));
          values[c * size + i] = (level - (mean[c] as number)) / (std[c] as number);
        }
      }
      return { ...original, [name]: float32([1, 3, rows, columns], values) };
    },
  };
}

/** Its last axis across, all others down. */
function tensorView(name: string, inputs: readonly Tensors[]): InputView {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const input of inputs) {
    for (const value of valuesOf(input, name)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  const range = high > low ? high - low : 1;
  return {
    name: `values of ${name}`,
    see(input) {
      const columns = input[name]?.shape.at(-1) ?? 1;
      const data = valuesOf(input, name).map((value) => (value - low) / range);
      return { rows: data.length / Math.max(1, columns), columns, data };
    },
    unsee({ data }, original) {
      const { shape } = original[name] as Tensors[string];
      const values = data.map((value) => value * range + low);
      return { ...original, [name]: float32(shape, values) };
    },
  };
}

function valuesOf(input: Tensors, name: string): Float32Array {
  return asFloat32(input[name] as Tensors[string]);
}

/** Grey pixels, row 0 on top. */
export function planePicture({ rows, columns, data }: Plane): Picture {
  const pixels = new Uint8ClampedArray(rows * columns * 4);
  for (let i = 0; i < rows * columns; i++) {
    pixels.fill((data[i] as number) * 255, i * 4, i * 4 + 3);
    pixels[i * 4 + 3] = 255;
  }
  return { width: columns, height: rows, data: pixels };
}
