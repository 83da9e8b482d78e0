import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bucketsOf,
  type ContextTables,
  contextModel,
  countSymbols,
  decodeSymbols,
  encodeSymbols,
} from '../../../shared/codec/context-model.ts';
import { compactFrequency, expandFrequency } from '../../../shared/codec/frequencies.ts';
import { FREQUENCY_TOTAL, RangeDecoder, RangeEncoder } from '../../../shared/codec/range-coder.ts';
import { tandemError } from '../tandem-error.ts';

const NIBBLES = 16;
const NEIGHBOUR_STATES = 17;
const EVEN_STARTS = Uint8Array.from({ length: NIBBLES }, (_, b) => b * NIBBLES);
const THEMSELVES = Uint8Array.from({ length: NIBBLES }, (_, symbol) => symbol);
const NONE = new Uint8Array(0);
const FIRST_ENTRIES = NEIGHBOUR_STATES * NIBBLES;
const EXPANDABLE_MAX = 31 << 14;

function tablesOf(classes: readonly number[], firstEntries: number, secondEntries: number): ContextTables {
  return {
    classes: Uint8Array.from(classes),
    starts: secondEntries > 0 ? EVEN_STARTS : NONE,
    first: new Uint8Array(firstEntries).fill(16),
    second: new Uint8Array(secondEntries).fill(16),
  };
}

describe('8-bit frequencies', () => {
  test('grow with their code', () => {
    for (let code = 1; code < 256; code++) expect(expandFrequency(code)).toBeGreaterThan(expandFrequency(code - 1));
    expect(expandFrequency(0)).toBe(0);
    expect(expandFrequency(255)).toBe(EXPANDABLE_MAX);
  });

  test('stand for themselves: compacting what a code expands to gives the code', () => {
    for (let code = 0; code < 256; code++) expect(compactFrequency(expandFrequency(code))).toBe(code);
  });

  test('are at most a 16th below the count they stand for, and never above', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: EXPANDABLE_MAX }), (count) => {
        const expanded = expandFrequency(compactFrequency(count));
        expect(expanded).toBeLessThanOrEqual(count);
        expect(expanded).toBeGreaterThanOrEqual(count * (1 - 1 / 16));
      }),
    );
  });

  test('of a larger count are never smaller', () => {
    const count = fc.integer({ min: 0, max: 2 * EXPANDABLE_MAX });
    fc.assert(
      fc.property(count, count, (a, b) => {
        expect(compactFrequency(Math.min(a, b))).toBeLessThanOrEqual(compactFrequency(Math.max(a, b)));
      }),
    );
  });
});

describe('a context model', () => {
  test('gives every context the whole total, and every nibble a share of it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: FIRST_ENTRIES, maxLength: FIRST_ENTRIES }), (first) => {
        const model = contextModel({ classes: Uint8Array.of(0), starts: NONE, first, second: NONE }, 4);
        for (let context = 0; context < NEIGHBOUR_STATES; context++) {
          const cumulative = model.first.cumulated.subarray(context * (NIBBLES + 1), (context + 1) * (NIBBLES + 1));
          expect([cumulative[0], cumulative[NIBBLES]]).toEqual([0, FREQUENCY_TOTAL]);
          expect(cumulative).toEqual(Uint16Array.from(new Set(cumulative)).sort());
        }
      }),
    );
  });

  test('shares out in proportion to the counts, and gives what rounding leaves to the most frequent', () => {
    const tables = tablesOf([0], FIRST_ENTRIES, 0);
    tables.first.fill(0, 0, NIBBLES);
    tables.first.set([1, 0, 6]);
    const first = contextModel(tables, 4).first.cumulated;
    const shares = Array.from({ length: NIBBLES }, (_, n) => (first[n + 1] as number) - (first[n] as number));
    // Each nibble has 1 for free; a seventh of the other 16368 is 2338.3.
    expect(shares).toEqual([2339, 1, 14031, ...new Array<number>(13).fill(1)]);
  });

  test.each([
    ['one class too few', tablesOf([0, 1], FIRST_ENTRIES, 0)],
    ['one class too many', tablesOf([0, 0], 2 * FIRST_ENTRIES, 0)],
    ['one entry too few', tablesOf([0], FIRST_ENTRIES - 1, 0)],
    ['no entries', tablesOf([0], 0, 0)],
    ['a second table that is short', tablesOf([0], FIRST_ENTRIES, NIBBLES * NIBBLES - 1)],
    ['a second table that is long', tablesOf([0], FIRST_ENTRIES, NIBBLES * NIBBLES + 1)],
  ])('refuses tables with %s', (_, tables) => {
    expect(() => contextModel(tables, tables.second.length > 0 ? 8 : 4)).toThrow(tandemError('BAD_PLAN'));
  });

  test('codes 8-bit symbols of several channels and rows back to themselves', () => {
    const geometry = { channels: 2, rows: 3, columns: 5 };
    const varied = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37) % 200);
    const model = contextModel(
      {
        classes: Uint8Array.of(1, 0),
        starts: EVEN_STARTS,
        first: varied(2 * FIRST_ENTRIES),
        second: varied(NIBBLES * NIBBLES),
      },
      8,
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 30 }), (symbols) => {
        const encoder = new RangeEncoder(200);
        encodeSymbols(symbols, geometry, model, encoder);
        const decoder = new RangeDecoder(encoder.finish());
        const decoded = new Uint8Array(30);
        decodeSymbols(decoded, geometry, model, decoder);
        decoder.finish();
        expect(decoded).toEqual(symbols);
      }),
    );
  });
});

describe('the context of a symbol', () => {
  /** Of two channels of 2 x 2 symbols, of classes 0 and 1. */
  function contextsOf(symbols: readonly number[], bucketOf: Uint8Array): number[] {
    const contexts: number[] = [];
    const told: number[] = [];
    const geometry = { channels: 2, rows: 2, columns: 2 };
    const model = { classes: Uint8Array.of(0, 1), bucketOf, buckets: NIBBLES };
    countSymbols(Uint8Array.from(symbols), geometry, model, (context, symbol) => {
      contexts.push(context);
      told.push(symbol);
    });
    expect(told).toEqual(symbols);
    return contexts;
  }

  test('is the left neighbour, the one above, or the mean of both, within the channel', () => {
    const [none, other] = [NIBBLES, NEIGHBOUR_STATES];
    expect(contextsOf([1, 2, 5, 9, 15, 0, 0, 0], THEMSELVES)).toEqual([
      ...[none, 1, 1, 4],
      ...[other + none, other + 15, other + 15, other],
    ]);
  });

  test('looks at the buckets of symbols only', () => {
    expect(contextsOf([0x1f, 0x2f, 0x4f, 0, 0, 0, 0, 0], bucketsOf(EVEN_STARTS, 256)).slice(0, 4)).toEqual([
      NIBBLES,
      1,
      1,
      3,
    ]);
  });

  // The compiler counts with one loop, the coder codes with others: tables made of the counts must fit the coding.
  test('is the same when counting as when coding', () => {
    const geometry = { channels: 2, rows: 4, columns: 30 };
    const classes = Uint8Array.of(1, 0);
    // Each symbol follows from its neighbours, so with tables of its own counts a symbol costs next to nothing.
    const symbols = Uint8Array.from({ length: 240 }, (_, i) => ((i % 30) + Math.floor(i / 120) * 3) % NIBBLES);
    const first = new Uint8Array(2 * FIRST_ENTRIES);
    countSymbols(symbols, geometry, { classes, bucketOf: THEMSELVES, buckets: NIBBLES }, (context, symbol) => {
      first[context * NIBBLES + symbol] = 255;
    });
    const encoder = new RangeEncoder(1000);
    encodeSymbols(symbols, geometry, contextModel({ classes, starts: NONE, first, second: NONE }, 4), encoder);
    expect(encoder.finish().length).toBeLessThan(40);
  });
});
