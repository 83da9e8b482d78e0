import { describe, expect, test } from 'vitest';
import {
  candidateOf,
  costOf,
  type FormCost,
  type LayerItem,
  paretoFront,
  withoutWorst,
} from '../../../compiler/search/front.ts';

const FLOAT = { bytes: 1000, timeMs: 10 };
const float32: FormCost = { form: 'float32', bytes: 0, timeMs: 0, loss: 0 };
const items: LayerItem[] = [
  {
    segment: 0,
    layer: 'a',
    options: [
      float32,
      { form: 'w8', bytes: -300, timeMs: 0, loss: 1e-6 },
      { form: 'w4', bytes: -350, timeMs: 0, loss: 1e-3 },
    ],
  },
  {
    segment: 0,
    layer: 'b',
    options: [
      float32,
      { form: 'w8', bytes: -300, timeMs: 0, loss: 2e-6 },
      { form: 'int8', bytes: -300, timeMs: -4, loss: 1e-4 },
    ],
  },
];

describe('the Pareto front', () => {
  test('goes from the least loss to the most, each candidate cheaper than the one before', () => {
    const front = paretoFront(items, FLOAT);
    expect(front.length).toBeGreaterThan(2);
    expect(front[0]?.forms.map(({ form }) => form)).toEqual(['float32', 'float32']);
    expect(front.at(-1)?.forms.map(({ form }) => form)).toEqual(['w4', 'int8']);
    for (const [i, point] of front.entries()) {
      const before = front[i - 1];
      if (!before) continue;
      expect(point.loss).toBeGreaterThan(before.loss);
      expect(costOf(point, FLOAT)).toBeLessThan(costOf(before, FLOAT));
    }
  });

  test('keeps budgets of bytes and of time, whichever weighs more', () => {
    for (const point of paretoFront(items, FLOAT, { bytesMax: 450 })) expect(point.bytes).toBeLessThanOrEqual(450);
    const [first] = paretoFront(items, FLOAT, { timeMaxMs: 7 });
    expect(first?.forms[1]?.form).toBe('int8');
    expect(paretoFront(items, FLOAT, { bytesMax: 100 })).toEqual([]);
  });

  test('is left by putting the layer that loses most one form back', () => {
    const worst = candidateOf([items[0]?.options[2] as FormCost, items[1]?.options[2] as FormCost], FLOAT);
    const second = withoutWorst(items, worst, FLOAT);
    expect(second?.forms.map(({ form }) => form)).toEqual(['w8', 'int8']);
    const third = withoutWorst(items, second as NonNullable<typeof second>, FLOAT);
    expect(third?.forms.map(({ form }) => form)).toEqual(['w8', 'w8']);
    const none = candidateOf([float32, float32], FLOAT);
    expect(withoutWorst(items, none, FLOAT)).toBeUndefined();
  });
});
