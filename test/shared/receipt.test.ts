import { expect, test } from 'vitest';
import { receiptOf } from '../../shared/receipt.ts';
import { chainPlan } from './sample-plan.ts';

/** Segment 1 makes `text`, an output that segment 2 reads, and `early`, one that nothing reads. */
function withEarlyOutputs() {
  const plan = chainPlan([['x'], ['h', 'text'], ['text', 'early', 'x', 'y']]);
  const made = [['h', 'text', 'early'], ['y']];
  return { ...plan, segments: plan.segments.map((segment, i) => ({ ...segment, outputs: made[i] ?? [] })) };
}

test('a receipt names every output that the gateway learned: those it made, and those that crossed', () => {
  const at = (k: number) =>
    receiptOf(withEarlyOutputs(), { k, tier: 'raw', label: 'l', noise: [], bytes: 1 }, true).disclosed;
  expect(at(0)).toEqual(['text', 'early', 'x', 'y']);
  expect(at(1)).toEqual(['text', 'y']);
});
