/**
 * What there is to hear of a clip, as a picture: the level of bands over time. And back: a clip that sounds so, its phases
 * found by going there and back (Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984).
 */
import type { InputView, Plane } from '../../compiler/recipe.ts';
import { seededRandom } from '../../shared/random.ts';
import { asFloat32, float32, type Tensors } from '../../shared/tensor.ts';

/** At 16 kHz: transforms of 32 ms every 10 ms, as the model's own. */
const WINDOW = 512;
const HOP = 160;
const BINS = WINDOW / 2 + 1;
const BANDS = 64;
/** Decibels under full scale that are black and white. */
const LOW_DB = -90;
const HIGH_DB = 10;
const ITERATIONS = 16;
const HANN = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));

const COSINES = Float64Array.from({ length: WINDOW }, (_, i) => Math.cos((2 * Math.PI * i) / WINDOW));
const SINES = Float64Array.from({ length: WINDOW }, (_, i) => Math.sin((2 * Math.PI * i) / WINDOW));

const REVERSED = reversedBits();

/** Band b is bins EDGES[b] to EDGES[b + 1]: narrow below, wide above, none empty. */
const EDGES = bandEdges();

export const spectrogramView: InputView = {
  name: 'level of 64 bands over time',
  see: ({ audio }) => spectrogram(asFloat32(audio as Tensors[string])),
  unsee(plane, original) {
    const { shape, data } = original['audio'] as Tensors[string];
    return { ...original, audio: float32(shape, soundOf(plane, data.length)) };
  },
  compare: (original, reconstruction) => ({ spectralDistanceDb: spectralDistanceDb(original, reconstruction) }),
};

/** @param samples -1 to 1 at 16 kHz */
export function spectrogram(samples: Float32Array): Plane {
  const columns = framesOf(samples.length);
  const data = new Float32Array(BANDS * columns);
  for (let frame = 0; frame < columns; frame++) {
    const { re, im } = transformed(samples, frame);
    for (let band = 0; band < BANDS; band++) {
      let power = 0;
      const [from, to] = [EDGES[band] as number, EDGES[band + 1] as number];
      for (let bin = from; bin < to; bin++) power += (re[bin] as number) ** 2 + (im[bin] as number) ** 2;
      const level = 10 * Math.log10(power / (to - from) / WINDOW + 1e-12);
      // Low bands are at the bottom.
      data[(BANDS - 1 - band) * columns + frame] = Math.min(1, Math.max(0, (level - LOW_DB) / (HIGH_DB - LOW_DB)));
    }
  }
  return { rows: BANDS, columns, data };
}

/** Root mean square of the differences, in decibels. */
export function spectralDistanceDb(a: Plane, b: Plane): number {
  let sum = 0;
  for (const [i, value] of a.data.entries()) sum += (value - (b.data[i] as number)) ** 2;
  return Math.sqrt(sum / a.data.length) * (HIGH_DB - LOW_DB);
}

/** @param length of the clip that the plane is of */
export function soundOf({ columns, data }: Plane, length: number): Float32Array {
  const magnitudes = Array.from({ length: columns }, (_, frame) => {
    const bins = new Float64Array(BINS);
    for (let band = 0; band < BANDS; band++) {
      const level = LOW_DB + (data[(BANDS - 1 - band) * columns + frame] as number) * (HIGH_DB - LOW_DB);
      bins.fill(Math.sqrt(WINDOW) * 10 ** (level / 20), EDGES[band] as number, EDGES[band + 1] as number);
    }
    return bins;
  });
  const random = seededRandom(1);
  let sound: Float32Array = Float32Array.from({ length }, () => random() - 0.5);
  for (let i = 0; i < ITERATIONS; i++) sound = withMagnitudes(sound, magnitudes);
  return sound;
}

/** The sound's own phases with other magnitudes, its windows added up again. */
function withMagnitudes(sound: Float32Array, magnitudes: readonly Float64Array[]): Float32Array {
  const [sum, weight] = [new Float64Array(sound.length), new Float64Array(sound.length)];
  const add = (frame: number, values: Float64Array, sign: number) => {
    const from = frame * HOP;
    const count = Math.min(WINDOW, sound.length - from);
    for (let i = 0; i < count; i++) {
      const share = HANN[i] as number;
      sum[from + i] = (sum[from + i] as number) + sign * ((values[i] as number) / WINDOW) * share;
      weight[from + i] = (weight[from + i] as number) + share * share;
    }
  };
  const [re, im] = [new Float64Array(WINDOW), new Float64Array(WINDOW)];
  // Two windows are the real and the imaginary part of one transform.
  for (let frame = 0; frame < magnitudes.length; frame += 2) {
    windowed(re, sound, frame);
    windowed(im, sound, frame + 1);
    transform(re, im);
    const first = magnitudes[frame] as Float64Array;
    changeMagnitudes(re, im, first, magnitudes[frame + 1] ?? first);
    transform(re, im);
    add(frame, re, 1);
    // What was turned back is the conjugate.
    if (frame + 1 < magnitudes.length) add(frame + 1, im, -1);
  }
  return Float32Array.from(sum, (value, i) => value / Math.max(1e-3, weight[i] as number));
}

/** Of the spectra of two real windows, a and b of a + ib; leaves the conjugate, whose transform is the inverse's conjugate. */
function changeMagnitudes(re: Float64Array, im: Float64Array, first: Float64Array, second: Float64Array): void {
  for (let at = 0; at < BINS; at++) {
    const other = (WINDOW - at) % WINDOW;
    const reSum = ((re[at] as number) + (re[other] as number)) / 2;
    const reDifference = ((re[at] as number) - (re[other] as number)) / 2;
    const imSum = ((im[at] as number) + (im[other] as number)) / 2;
    const imDifference = ((im[at] as number) - (im[other] as number)) / 2;
    // a is reSum + i imDifference, b is imSum - i reDifference.
    const a = (first[at] as number) / Math.max(1e-12, Math.sqrt(reSum * reSum + imDifference * imDifference));
    const b = (second[at] as number) / Math.max(1e-12, Math.sqrt(imSum * imSum + reDifference * reDifference));
    re[at] = a * reSum + b * reDifference;
    im[at] = -(a * imDifference + b * imSum);
    re[other] = a * reSum - b * reDifference;
    im[other] = -(b * imSum - a * imDifference);
  }
}

/** A frame's samples under the window; silence behind the end. */
function windowed(to: Float64Array, sound: Float32Array, frame: number): void {
  const from = frame * HOP;
  const count = Math.max(0, Math.min(WINDOW, sound.length - from));
  for (let i = 0; i < count; i++) to[i] = (HANN[i] as number) * (sound[from + i] as number);
  to.fill(0, count);
}

function framesOf(length: number): number {
  return Math.max(1, Math.floor((length - WINDOW) / HOP) + 1);
}

function transformed(samples: Float32Array, frame: number): { re: Float64Array; im: Float64Array } {
  const [re, im] = [new Float64Array(WINDOW), new Float64Array(WINDOW)];
  windowed(re, samples, frame);
  transform(re, im);
  return { re, im };
}

/** In place, of WINDOW points, a power of two (Cooley and Tukey, 1965). */
function transform(re: Float64Array, im: Float64Array): void {
  for (let i = 0; i < WINDOW; i++) {
    const j = REVERSED[i] as number;
    if (i >= j) continue;
    const x = re[i] as number;
    const y = im[i] as number;
    re[i] = re[j] as number;
    im[i] = im[j] as number;
    re[j] = x;
    im[j] = y;
  }
  for (let half = 1; half < WINDOW; half *= 2) {
    const step = WINDOW / (2 * half);
    for (let start = 0; start < WINDOW; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const cos = COSINES[k * step] as number;
        const sin = SINES[k * step] as number;
        const at = start + k;
        const x = re[at + half] as number;
        const y = im[at + half] as number;
        const turnedRe = x * cos + y * sin;
        const turnedIm = y * cos - x * sin;
        re[at + half] = (re[at] as number) - turnedRe;
        im[at + half] = (im[at] as number) - turnedIm;
        re[at] = (re[at] as number) + turnedRe;
        im[at] = (im[at] as number) + turnedIm;
      }
    }
  }
}

/** Of the places in a window, their bits in reverse order. */
function reversedBits(): Uint16Array {
  const bits = Math.log2(WINDOW);
  return Uint16Array.from({ length: WINDOW }, (_, i) => {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) if (i & (1 << bit)) reversed |= 1 << (bits - 1 - bit);
    return reversed;
  });
}

/** As the mel scale has it, but for low bands, which are a bin wide at least. */
function bandEdges(): number[] {
  const mel = (hertz: number) => 1127 * Math.log(1 + hertz / 700);
  const hertz = (value: number) => 700 * (Math.exp(value / 1127) - 1);
  const edges = [1];
  for (let band = 1; band <= BANDS; band++) {
    const bin = Math.round(hertz((mel(8000) * band) / BANDS) / (16_000 / WINDOW));
    edges.push(Math.max((edges.at(-1) as number) + 1, Math.min(BINS, bin)));
  }
  edges[BANDS] = BINS;
  return edges;
}
