import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PictureSteps } from '../../../shared/plan.ts';
import { fitPicture, fittedWidth } from '../../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../../shared/preprocess/picture-tensor.ts';
import { float32 } from '../../../shared/tensor.ts';

const steps: PictureSteps = { type: 'picture', height: 2, channels: 'rgb', mean: [0, 0, 0], std: [1, 1, 1] };
const size = { step: 8, min: 16, max: 64 };

/** Two pixels a row, two rows; alpha is not looked at. */
const picture = {
  width: 2,
  height: 2,
  data: Uint8Array.of(255, 51, 0, 9, 0, 255, 51, 9, 51, 0, 255, 9, 0, 0, 0, 9),
};

describe('the width of a fitted picture', () => {
  test.each([
    ['keeps the proportions', { width: 100, height: 50 }, 16, 32],
    ['is rounded down to the nearer step', { width: 35, height: 16 }, 16, 32],
    ['is rounded up to the nearer step', { width: 37, height: 16 }, 16, 40],
    ['is rounded up from the middle', { width: 36, height: 16 }, 16, 40],
    ['is at least the minimum', { width: 1, height: 1000 }, 16, 16],
    ['is at most the maximum', { width: 1000, height: 1 }, 16, 64],
  ])('%s', (_, original, height, expected) => {
    expect(fittedWidth(original, height, size)).toBe(expected);
  });

  test('is always a size that the plan allows', () => {
    const sides = fc.integer({ min: 1, max: 10_000 });
    fc.assert(
      fc.property(sides, sides, (width, height) => {
        const fitted = fittedWidth({ width, height }, 32, size);
        expect(fitted % size.step).toBe(0);
        expect(fitted).toBeGreaterThanOrEqual(size.min);
        expect(fitted).toBeLessThanOrEqual(size.max);
      }),
    );
  });

  test('is what a picture is resized to', () => {
    expect(fitPicture({ ...picture, data: picture.data }, steps, size)).toMatchObject({ width: 16, height: 2 });
  });
});

describe('the input tensor of a picture', () => {
  const planes = (of: PictureSteps) => pictureTensor(picture, of);
  const red = [1, 0, 0.2, 0];
  const green = [0.2, 1, 0, 0];
  const blue = [0, 0.2, 1, 0];

  test('is [1, 3, height, width], channel by channel, from 0 to 1', () => {
    expect(planes(steps)).toEqual(float32([1, 3, 2, 2], Float32Array.from([...red, ...green, ...blue])));
  });

  test('begins with blue where the channels are bgr', () => {
    expect(planes({ ...steps, channels: 'bgr' }).data).toEqual(Float32Array.from([...blue, ...green, ...red]));
  });

  test('takes mean and deviation in the order of the channels', () => {
    const scaled = planes({ ...steps, channels: 'bgr', mean: [0.5, 0.25, 0], std: [0.5, 0.25, 2] });
    const expected = [
      ...blue.map((value) => (value - 0.5) / 0.5),
      ...green.map((value) => (value - 0.25) / 0.25),
      ...red.map((value) => value / 2),
    ];
    for (const [i, value] of expected.entries()) expect(scaled.data[i]).toBeCloseTo(value, 5);
  });
});
