/**
 * Two seconds as a microphone hears them: a speaker says the wake word, something like it or something else, nearer or
 * farther, over noise; or nobody speaks. Calibration and test clips share neither a speaker nor a phrase but the wake word.
 */
import { gaussian, pick, type Random, seededRandom } from '../../shared/random.ts';
import type { Speak, Voice } from './speech.ts';

/** 196 frames of 10 ms, as windows of 25 ms and a transform of 512 points cut them. */
export const CLIP_SAMPLES = 31_840;

export interface Clip {
  /** -1 to 1, at 16 kHz. */
  readonly samples: Float32Array;
  /** Whether the wake word is said in it. */
  readonly isWake: boolean;
}

export type Split = 'calibration' | 'test';

const WAKE_WORD = 'hey jarvis';
const WAKE_SHARE = 0.5;
const SILENT_SHARE = 0.1;

const VOICES: Record<Split, readonly Voice[]> = { calibration: ['kal16', 'awb'], test: ['rms', 'slt'] };

/** Alternating: each split has half of what sounds alike and half of what does not. */
const OTHER_PHRASES = [
  ...[
    'hey travis',
    'hey marvin',
    'hey charles',
    'hey service',
    'hey janice',
    'hey harvest',
    'hey jasper',
    'a jar of this',
  ],
  ...['play some music', 'what time is it', 'turn off the lights', 'good morning', 'call my brother', 'stop the timer'],
  ...[
    'how is the weather',
    'see you tomorrow',
    'open the window',
    'that was nice',
    'read my messages',
    'add it to the list',
  ],
];

/** `count` clips of a split. The same seed gives the same clips; other counts give a prefix. */
export async function* spokenClips(split: Split, count: number, seed: number, speak: Speak): AsyncGenerator<Clip> {
  const random = seededRandom(2 * seed + (split === 'test' ? 1 : 0));
  const phrases = OTHER_PHRASES.filter((_, i) => (i % 2 === 0) === (split === 'calibration'));
  for (let i = 0; i < count; i++) {
    const draw = random();
    const isWake = draw < WAKE_SHARE;
    const samples = noise(random);
    const text = isWake ? WAKE_WORD : pick(random, phrases);
    const speech = await speak({ text, voice: pick(random, VOICES[split]), stretch: round(0.85 + 0.4 * random()) });
    if (draw < 1 - SILENT_SHARE) addSpeech(samples, speech, random);
    yield { samples, isWake };
  }
}

/** Noise at 40 to 70 dB under full scale. */
function noise(random: Random): Float32Array {
  const level = 10 ** (-2 - 1.5 * random());
  return Float32Array.from({ length: CLIP_SAMPLES }, () => level * gaussian(random));
}

/** Ends within the clip's last 0.3 s: an application asks when somebody has spoken. */
function addSpeech(samples: Float32Array, speech: Float32Array, random: Random): void {
  const gain = 10 ** (-1.2 * random());
  const end = CLIP_SAMPLES - Math.floor(random() * 4800);
  const start = end - speech.length;
  for (const [i, value] of speech.entries()) {
    const at = start + i;
    if (at >= 0) samples[at] = Math.max(-1, Math.min(1, (samples[at] as number) + gain * value));
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
