import { expect, test } from 'vitest';
import { type Fate, parseReceipt, receiptOf } from '../../shared/receipt.ts';
import { chainPlan } from './sample-plan.ts';

/** Segment 1 makes `text`, an output that segment 2 reads, and `early`, one that nothing reads. */
function withEarlyOutputs() {
  const plan = chainPlan([['x'], ['h', 'text'], ['text', 'early', 'x', 'y']]);
  const made = [['h', 'text', 'early'], ['y']];
  return { ...plan, segments: plan.segments.map((segment, i) => ({ ...segment, outputs: made[i] ?? [] })) };
}

test('a receipt names every output that the gateway learned: those it made, and those that crossed', () => {
  const at = (k: number) => of(k, 'yes').disclosed;
  expect(at(0)).toEqual(['text', 'early', 'x', 'y']);
  expect(at(1)).toEqual(['text', 'y']);
});

test('a receipt of what was not computed names those alone that crossed', () => {
  expect(of(0, 'no').disclosed).toEqual(['x']);
  expect(of(1, 'no').disclosed).toEqual(['text']);
  expect(of(1, 'begun').disclosed).toEqual(['text', 'y']);
});

test('a receipt of no boundary that there is says what came, and that nothing was computed', () => {
  const plan = withEarlyOutputs();
  const unknown = { boundary: [], leakage: null, computed: 'no', disclosed: [], retained: false, bytes: 1, label: 'l' };
  const fate = { computed: 'yes', retained: false } as const;
  expect(receiptOf(plan, sent(2), fate)).toMatchObject({ ...unknown, model: plan.name, k: 2 });
  expect(receiptOf(undefined, sent(1), fate)).toMatchObject({ ...unknown, model: null, plan: sent(1).plan });
});

test('a receipt of an earlier gateway is of an answer: it signed nothing else', () => {
  const { computed: _new, ...fields } = of(1, 'yes');
  const old = { id: 'one', time: 'then', sha256: '0'.repeat(64), ...fields };
  expect(parseReceipt(JSON.stringify(old))).toEqual({ ...old, computed: 'yes' });
});

function sent(k: number) {
  return { plan: withEarlyOutputs().id, k, tier: 'raw', label: 'l', noise: [], bytes: 1 };
}

function of(k: number, computed: Fate['computed']) {
  return receiptOf(withEarlyOutputs(), sent(k), { computed, retained: true });
}
