import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editDistance, scoreText } from '../../../models/ocr-line/metric.ts';

/** Levenshtein's distance as it is defined. */
function definedDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return definedDistance(restA, restB);
  return 1 + Math.min(definedDistance(restA, b), definedDistance(a, restB), definedDistance(restA, restB));
}

describe('the edit distance', () => {
  test('is what its definition says', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(definedDistance(a, b));
      }),
      { numRuns: 300 },
    );
  });

  test('counts insertions, deletions and substitutions', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
    expect(editDistance('abc', '')).toBe(3);
    expect(editDistance('same', 'same')).toBe(0);
  });
});

describe('the score of text lines', () => {
  test('counts errors over the characters of all lines, and lines without any', () => {
    const pairs = [
      { truth: 'abcdefgh', predicted: 'abcdefgh' },
      { truth: 'ab', predicted: 'b' },
    ];
    expect(scoreText(pairs)).toEqual({ cer: 0.1, exactMatch: 0.5 });
  });

  test('of errors may pass 1, where more was read than is there', () => {
    expect(scoreText([{ truth: 'a', predicted: 'bcd' }])).toEqual({ cer: 3, exactMatch: 0 });
  });

  test('of nothing is 0', () => {
    expect(scoreText([])).toEqual({ cer: 0, exactMatch: 0 });
  });
});
