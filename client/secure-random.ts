/** Uniform numbers that nobody can guess, from the platform's generator: what noise that protects somebody is made of. */
import type { Random } from '../shared/random.ts';

/** The part of Web Crypto that is used; an old engine may have none. */
interface RandomSource {
  getRandomValues(words: Uint32Array<ArrayBuffer>): unknown;
}

/** Words fetched at a time: a call costs more than the words do. */
const WORDS = 4096;

/** 53 bits each, in [0, 1). Where there is no generator it throws when it is asked: no noise is better than one to be guessed. */
export function secureRandom(source: RandomSource | undefined): Random {
  const words = new Uint32Array(WORDS);
  let at = WORDS;
  return () => {
    if (at === WORDS) {
      if (!source) throw new Error('noise needs crypto.getRandomValues, which is not here');
      source.getRandomValues(words);
      at = 0;
    }
    const high = (words[at++] as number) >>> 5;
    const low = (words[at++] as number) >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  };
}
