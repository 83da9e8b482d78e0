import { expect, test } from 'vitest';
import { pruneSmallest } from '../../../compiler/compress/prune-weights.ts';

test('weights set to 0 are the smallest', () => {
  expect([...pruneSmallest(Float32Array.of(3, -1, 2, -4, 0.5), 0.5)]).toEqual([3, 0, 2, -4, 0]);
});
