import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseOptions, type Option } from '../../../compiler/search/knapsack.ts';

/** All choices of one option an item. */
function* choices(items: readonly (readonly Option[])[]): Generator<number[]> {
  const [first, ...rest] = items;
  if (!first) {
    yield [];
    return;
  }
  for (const index of first.keys()) for (const others of choices(rest)) yield [index, ...others];
}

function totals(items: readonly (readonly Option[])[], choice: readonly number[]) {
  const taken = choice.map((index, i) => items[i]?.[index] as Option);
  return {
    cost: taken.reduce((sum, { cost }) => sum + cost, 0),
    loss: taken.reduce((sum, { loss }) => sum + loss, 0),
  };
}

const option = fc.record({ cost: fc.integer({ min: -20, max: 50 }), loss: fc.integer({ min: 0, max: 64 }) });
const someItems = fc.array(fc.array(option, { minLength: 1, maxLength: 4 }), { maxLength: 5 });

describe('the knapsack', () => {
  test('finds what trying all choices finds', () => {
    fc.assert(
      // A budget that the steps divide, so that rounding up loses nothing.
      fc.property(someItems, fc.constantFrom(0, 32, 64, 128), (items, lossMax) => {
        const within = [...choices(items)].filter((choice) => totals(items, choice).loss <= lossMax);
        const found = chooseOptions(items, lossMax);
        if (within.length === 0) {
          expect(found).toBeNull();
          return;
        }
        const { cost, loss } = totals(items, found as number[]);
        expect(loss).toBeLessThanOrEqual(lossMax);
        expect(cost).toBe(Math.min(...within.map((choice) => totals(items, choice).cost)));
      }),
      { numRuns: 200 },
    );
  });

  test('never passes the budget where losses are no round numbers', () => {
    const losses = fc.array(
      fc.array(
        fc.record({
          cost: fc.double({ min: 0, max: 1, noNaN: true }),
          loss: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(losses, fc.double({ min: 0.01, max: 5, noNaN: true }), (items, lossMax) => {
        const found = chooseOptions(items, lossMax);
        if (found) expect(totals(items, found).loss).toBeLessThanOrEqual(lossMax * (1 + 1e-9));
      }),
      { numRuns: 100 },
    );
  });
});
