/**
 * Audio made from a seed: syllables of a voice (a buzz at a speaker's pitch through the resonances of a vowel; Klatt,
 * "Software for a cascade/parallel formant synthesizer", 1980, much reduced), pauses, and noise under it all.
 */
import { gaussian, pick, type Random, seededRandom } from '../../shared/random.ts';

export const SAMPLE_RATE = 16_000;

/** First three resonances of some vowels, in hertz (Peterson and Barney, 1952, men). */
const VOWELS = [
  [270, 2290, 3010],
  [530, 1840, 2480],
  [730, 1090, 2440],
  [570, 840, 2410],
  [300, 870, 2240],
] as const;

export interface Clip {
  /** -1 to 1, at 16 kHz. */
  readonly samples: Float32Array;
  /** Whether somebody speaks, by sample. */
  readonly isVoice: Uint8Array;
}

/** @param seconds length of the clip */
export function voiceClip(seed: number, seconds: number): Clip {
  const random = seededRandom(seed);
  const length = Math.round(seconds * SAMPLE_RATE);
  const samples = new Float32Array(length);
  const isVoice = new Uint8Array(length);
  const noise = 0.002 * 10 ** (2 * random() - 1);
  for (let i = 0; i < length; i++) samples[i] = noise * gaussian(random);
  for (let at = 0; at < length; ) {
    const duration = Math.round((0.12 + 0.25 * random()) * SAMPLE_RATE);
    if (random() < 0.65) addSyllable(samples, isVoice, at, duration, random);
    at += duration;
  }
  return { samples, isVoice };
}

function addSyllable(
  samples: Float32Array,
  isVoice: Uint8Array,
  start: number,
  duration: number,
  random: Random,
): void {
  const pitch = 90 + 140 * random();
  const loudness = 0.08 + 0.3 * random();
  const resonators = pick(random, VOWELS).map((hertz, i) => resonator(hertz, 60 + 40 * i));
  let phase = 0;
  for (let i = 0; i < duration && start + i < samples.length; i++) {
    // Rising and falling, in loudness and in pitch.
    const share = i / duration;
    const envelope = Math.sin(Math.PI * share) ** 0.5;
    phase += (pitch * (1.1 - 0.25 * share)) / SAMPLE_RATE;
    const pulse = phase >= 1 ? 1 : 0;
    phase %= 1;
    const excitation = pulse + 0.01 * gaussian(random);
    const value = resonators.reduce((input, filter) => filter(input), excitation);
    samples[start + i] = Math.max(-1, Math.min(1, (samples[start + i] as number) + loudness * envelope * value));
    isVoice[start + i] = 1;
  }
}

/** A second-order resonance of unit gain at 0 Hz. */
function resonator(hertz: number, bandwidth: number): (input: number) => number {
  const radius = Math.exp((-Math.PI * bandwidth) / SAMPLE_RATE);
  const b = 2 * radius * Math.cos((2 * Math.PI * hertz) / SAMPLE_RATE);
  const c = -radius * radius;
  const gain = 1 - b - c;
  let [last, before] = [0, 0];
  return (input) => {
    const output = gain * input + b * last + c * before;
    before = last;
    last = output;
    return output;
  };
}
