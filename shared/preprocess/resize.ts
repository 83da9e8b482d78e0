/**
 * Resampling of pictures in plain TypeScript, so that browser, server and compiler see the same pixels to the bit:
 * canvas implementations all differ. Separable triangle filter, widened by the scale when shrinking (what Pillow calls
 * BILINEAR with antialiasing), in float, rounded once at the end.
 */

/** 8-bit RGBA, row-major, as ImageData has it. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** width * height * 4 bytes. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** For each output pixel: the first input pixel that counts, and the weights from there on; the weights sum to 1. */
interface Kernel {
  readonly starts: Int32Array;
  readonly weights: readonly Float32Array[];
}

/** Scales `picture` to exactly `width` x `height`. Transparent pixels are laid over white; the result is opaque. */
export function resizePicture(picture: Picture, width: number, height: number): Picture {
  const columns = triangleKernel(picture.width, width);
  const rows = triangleKernel(picture.height, height);
  const narrow = resizeRows(picture, columns, width);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const start = rows.starts[y] as number;
    const weights = rows.weights[y] as Float32Array;
    for (let x = 0; x < width; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let i = 0; i < weights.length; i++) {
        const weight = weights[i] as number;
        const at = ((start + i) * width + x) * 3;
        red += weight * (narrow[at] as number);
        green += weight * (narrow[at + 1] as number);
        blue += weight * (narrow[at + 2] as number);
      }
      const at = (y * width + x) * 4;
      data[at] = red;
      data[at + 1] = green;
      data[at + 2] = blue;
      data[at + 3] = 255;
    }
  }
  return { width, height, data };
}

/** Horizontal pass: every input row at the new width, as float RGB. */
function resizeRows(picture: Picture, columns: Kernel, width: number): Float32Array {
  const { data, height } = picture;
  const result = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = y * picture.width * 4;
    for (let x = 0; x < width; x++) {
      const start = columns.starts[x] as number;
      const weights = columns.weights[x] as Float32Array;
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let i = 0; i < weights.length; i++) {
        const at = row + (start + i) * 4;
        const weight = weights[i] as number;
        const ink = (weight * (data[at + 3] as number)) / 255;
        const paper = (weight - ink) * 255;
        red += ink * (data[at] as number) + paper;
        green += ink * (data[at + 1] as number) + paper;
        blue += ink * (data[at + 2] as number) + paper;
      }
      const at = (y * width + x) * 3;
      result[at] = red;
      result[at + 1] = green;
      result[at + 2] = blue;
    }
  }
  return result;
}

function triangleKernel(from: number, to: number): Kernel {
  const scale = from / to;
  const radius = Math.max(1, scale);
  const starts = new Int32Array(to);
  const weights: Float32Array[] = [];
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(center - radius));
    const last = Math.min(from - 1, Math.floor(center + radius));
    const row = new Float32Array(last - first + 1);
    let sum = 0;
    for (let j = first; j <= last; j++) {
      const weight = Math.max(0, 1 - Math.abs(j - center) / radius);
      row[j - first] = weight;
      sum += weight;
    }
    for (let j = 0; j < row.length; j++) row[j] = (row[j] as number) / sum;
    starts[i] = first;
    weights.push(row);
  }
  return { starts, weights };
}
