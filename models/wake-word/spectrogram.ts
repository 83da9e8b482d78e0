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
  for (const [frame, wanted] of magnitudes.entries()) {
    const { re, im } = transformed(sound, frame);
    for (let at = 0; at < WINDOW; at++) {
      const level = wanted[Math.min(at, WINDOW - at)] as number;
      const [x, y] = [re[at] as number, im[at] as number];
      const factor = level / Math.max(1e-12, Math.sqrt(x * x + y * y));
      re[at] = x * factor;
      // The inverse is the transform of the conjugate.
      im[at] = -y * factor;
    }
    transform(re, im);
    for (let i = 0; i < WINDOW && frame * HOP + i < sound.length; i++) {
      const at = frame * HOP + i;
      sum[at] = (sum[at] as number) + ((re[i] as number) / WINDOW) * (HANN[i] as number);
      weight[at] = (weight[at] as number) + (HANN[i] as number) ** 2;
    }
  }
  return Float32Array.from(sum, (value, i) => value / Math.max(1e-3, weight[i] as number));
}

function framesOf(length: number): number {
  return Math.max(1, Math.floor((length - WINDOW) / HOP) + 1);
}

function transformed(samples: Float32Array, frame: number): { re: Float64Array; im: Float64Array } {
  const re = Float64Array.from({ length: WINDOW }, (_, i) => (HANN[i] as number) * (samples[frame * HOP + i] ?? 0));
  const im = new Float64Array(WINDOW);
  transform(re, im);
  return { re, im };
}

/** In place, of WINDOW points, a power of two (Cooley and Tukey, 1965). */
function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j] as number, re[i] as number];
      [im[i], im[j]] = [im[j] as number, im[i] as number];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const [cos, sin] = [COSINES[(k * WINDOW) / size] as number, -(SINES[(k * WINDOW) / size] as number)];
      for (let at = k; at < n; at += size) {
        const other = at + size / 2;
        const [x, y] = [re[other] as number, im[other] as number];
        const [turnedRe, turnedIm] = [x * cos - y * sin, x * sin + y * cos];
        re[other] = (re[at] as number) - turnedRe;
        im[other] = (im[at] as number) - turnedIm;
        re[at] = (re[at] as number) + turnedRe;
        im[at] = (im[at] as number) + turnedIm;
      }
    }
  }
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
