import { describe, expect, test } from 'vitest';
import { pinnedForm, recipeDigest, recipeText } from '../../../compiler/compress/segment-recipe.ts';

const structure = { macsShare: 0.7, removed: [3], factors: {} };

describe("a segment's recipe", () => {
  test('is told in a few words', () => {
    expect(recipeText({ layers: {} })).toBe('float32');
    expect(recipeText({ layers: { a: 'w4', b: 'int8', c: 'w4', d: 'float32' } })).toBe('w4 x 2, int8 x 1');
    expect(recipeText({ layers: { a: 'w8' }, structure })).toBe('70 % of the work, w8 x 1');
  });

  test('has a digest that tells what changes the file, and nothing else', () => {
    const digest = recipeDigest({ layers: { a: 'w4', b: 'w8' } });
    expect(recipeDigest({ layers: { b: 'w8', a: 'w4', c: 'float32' } })).toBe(digest);
    expect(recipeDigest({ layers: { a: 'w8', b: 'w8' } })).not.toBe(digest);
    expect(recipeDigest({ layers: { a: 'w4', b: 'w8' }, structure })).not.toBe(digest);
    expect(recipeDigest({ layers: { a: 'w4', b: 'w8' }, equalized: true })).not.toBe(digest);
    expect(recipeDigest({ layers: { a: 'w4', b: 'w8' }, equalized: false })).toBe(digest);
    expect(recipeDigest({ layers: { a: 'w4', b: 'w8' }, half: true })).not.toBe(digest);
  });

  test('has pins by name and by pattern, of which the last counts', () => {
    const pins = [
      { match: '*', form: 'w8' },
      { match: 'p2o.Conv.*', form: 'int8' },
      { match: 'p2o.Conv.7', form: 'float32' },
    ] as const;
    expect(pinnedForm(pins, 'p2o.Conv.7')).toBe('float32');
    expect(pinnedForm(pins, 'p2o.Conv.70')).toBe('int8');
    expect(pinnedForm(pins, 'p2oxConv.70')).toBe('w8');
    expect(pinnedForm([], 'a')).toBeUndefined();
  });
});
