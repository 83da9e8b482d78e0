import { describe, expect, test } from 'vitest';
import { chooseDeviceRecipe } from '../../../compiler/compress/device-recipe.ts';
import { smallPlan } from '../../helpers/small-plan.ts';

const { size } = smallPlan();
const FLOAT = { fixed: 2, perSize: 0.5 };

describe('the recipe of a device segment', () => {
  test.each([
    ['faster', { fixed: 1, perSize: 0.5 }, 'int8-storage'],
    ['as fast', FLOAT, 'int8-storage'],
    ['slower by no more than the noise of a machine', { fixed: 2.2, perSize: 0.56 }, 'int8-storage'],
    ['slower', { fixed: 2.4, perSize: 0.6 }, 'float32'],
    ['three times as slow', { fixed: 6, perSize: 1.5 }, 'float32'],
  ])('follows from what was timed: compressed is %s', (_, int8, expected) => {
    expect(chooseDeviceRecipe(int8, FLOAT, size)).toBe(expected);
  });

  test('is chosen at the typical size', () => {
    const steep = { fixed: 0, perSize: 0.7 };
    expect(chooseDeviceRecipe(steep, FLOAT, { ...size, typical: 4 })).toBe('int8-storage');
    expect(chooseDeviceRecipe(steep, FLOAT, { ...size, typical: 64 })).toBe('float32');
  });
});
