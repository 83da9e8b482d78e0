import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { allBoundaries, boundarySpecs } from '../../../compiler/cut/boundary-specs.ts';
import type { Session } from '../../../shared/runtime.ts';
import { type DType, float32, type Tensors } from '../../../shared/tensor.ts';
import { coded } from '../coded.ts';

/** A segment that makes `output` in a shape that follows from the width of what it is given. */
function fakeSession(output: string, shapeOf: (columns: number) => number[], dtype: DType = 'float32'): Session {
  return {
    inputNames: [],
    outputNames: [output],
    run: async (feeds) => {
      const columns = Object.values(feeds)[0]?.shape.at(-1) ?? 0;
      return { [output]: { ...zeros(shapeOf(columns)), dtype } };
    },
    release: async () => {},
  };
}

const zeros = (shape: number[]) => float32(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
const input = (width: number): Tensors => ({ x: zeros([1, 3, 4, width]) });
const quarter = fakeSession('h', (width) => [1, 2, 1, width / 4]);
const row = fakeSession('y', (columns) => [1, columns], 'int32');

/** Specs of a plan x -> h -> y whose width is 16, and 20 at the second look. */
function specsOf(first: Session, size = smallPlan().size, makeInput = input) {
  return boundarySpecs({ ...smallPlan(), size }, [first, row], makeInput);
}

describe('shapes of boundaries', () => {
  test('are numbers where the size does not matter, and fractions of it where it does', async () => {
    expect(await specsOf(quarter)).toEqual([
      [{ name: 'x', dtype: 'float32', shape: [1, 3, 4, 'width'] }],
      [{ name: 'h', dtype: 'float32', shape: [1, 2, 1, 'width/4'] }],
      [{ name: 'y', dtype: 'int32', shape: [1, 'width/4'] }],
    ]);
  });

  test('are found where the typical size is the largest', async () => {
    const widths: number[] = [];
    const [, boundary] = await specsOf(quarter, { ...smallPlan().size, max: 16 }, (width) => {
      widths.push(width);
      return input(width);
    });
    expect(boundary?.[0]?.shape).toEqual([1, 2, 1, 'width/4']);
    expect(Math.max(...widths)).toBe(16);
  });

  test.each<[string, (width: number) => number]>([
    ['grow faster than the size', (width) => 2 * width],
    ['are a fraction and a bit', (width) => width / 4 + 1],
    ['are a fraction with a remainder', (width) => Math.ceil(width / 3)],
    ['are a fraction of one size only', (width) => (width === 16 ? 4 : 6)],
    ['shrink', (width) => 64 - width],
  ])('that %s are not supported', async (_, columns) => {
    await expect(specsOf(fakeSession('h', (width) => [1, columns(width)]))).rejects.toThrow(
      coded('UNSUPPORTED', `a dimension of h is ${columns(16)} at width 16 and ${columns(32)} at 32`),
    );
  });

  test('that only change from every second size on are not taken for numbers', async () => {
    await expect(specsOf(fakeSession('h', (width) => [1, Math.floor(width / 8)]))).rejects.toThrow(
      coded('UNSUPPORTED'),
    );
  });

  test('all boundaries of an input are K + 1, the input first', async () => {
    const boundaries = await allBoundaries(smallPlan(), [quarter, row], input(8));
    expect(boundaries.map((tensors) => Object.entries(tensors).map(([name, { shape }]) => [name, ...shape]))).toEqual([
      [['x', 1, 3, 4, 8]],
      [['h', 1, 2, 1, 2]],
      [['y', 1, 2]],
    ]);
  });
});
