import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ChannelMap, wayBack, wayForth } from '../../../shared/codec/channel-map.ts';
import { simdMultiply } from '../../../shared/codec/simd-multiply.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const maps = fc
  .record({ channels: fc.integer({ min: 1, max: 11 }), components: fc.integer({ min: 1, max: 11 }), seed: fc.nat() })
  .map(({ channels, components, seed }): ChannelMap => {
    const random = seededRandom(seed);
    const numbers = (length: number) => Float64Array.from({ length }, () => gaussian(random));
    const [rows, back] = [numbers(components * channels), numbers(components * channels)];
    return { channels, components, mean: numbers(channels), rows, back };
  });

const WAYS = {
  'in plain JavaScript': () => null,
  'with WebAssembly where there is any': simdMultiply,
};

describe.each(Object.entries(WAYS))('a channel map %s', (_, multiplier) => {
  test('multiplies what is above the means with its rows', () => {
    fc.assert(
      fc.property(maps, fc.integer({ min: 0, max: 7 }), fc.nat(), (map, columns, seed) => {
        const { channels, components, mean, rows } = map;
        const random = seededRandom(seed);
        const values = Float32Array.from({ length: channels * columns }, () => gaussian(random));
        const found = wayForth(map, multiplier)(values);
        expect(found).toHaveLength(components * columns);
        for (const [at, value] of found.entries()) {
          const [i, j] = [Math.floor(at / columns), at % columns];
          let sum = 0;
          for (let c = 0; c < channels; c++) {
            sum += (rows[i * channels + c] as number) * ((values[c * columns + j] as number) - (mean[c] as number));
          }
          expect(value).toBeCloseTo(sum, 4);
        }
      }),
    );
  });

  test('leads back by its other rows, from levels counted from the centre', () => {
    fc.assert(
      fc.property(maps, fc.integer({ min: 0, max: 7 }), fc.nat(), (map, columns, seed) => {
        const { channels, components, mean, back } = map;
        const random = seededRandom(seed);
        const levels = Uint8Array.from({ length: components * columns }, () => Math.floor(random() * 32));
        const found = wayBack(map, multiplier)(levels, 16, 0.25);
        expect(found).toHaveLength(channels * columns);
        for (const [at, value] of found.entries()) {
          const [c, j] = [Math.floor(at / columns), at % columns];
          let sum = mean[c] as number;
          for (let i = 0; i < components; i++) {
            sum += (back[i * channels + c] as number) * ((levels[i * columns + j] as number) - 16) * 0.25;
          }
          expect(value).toBeCloseTo(sum, 3);
        }
      }),
    );
  });
});
