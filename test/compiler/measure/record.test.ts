import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { COMPRESSION_VERSION, recipeDigest, type SegmentRecipe } from '../../../compiler/compress/segment-recipe.ts';
import type { CompressedChain } from '../../../compiler/compress-chain.ts';
import { isMeasurementOf, matchingRecord, measuredRecord } from '../../../compiler/measure/record.ts';
import type { ModelRecipe } from '../../../compiler/recipe.ts';
import type { Plan, PlanMeasured } from '../../../shared/plan.ts';
import { type TinyModel, tinyModel } from '../../helpers/tiny-model.ts';
import { coded } from '../coded.ts';

let tiny: TinyModel;
beforeAll(async () => {
  tiny = await tinyModel();
});
afterAll(() => tiny.remove());

const plan = smallPlan();
const measured = plan.measured as PlanMeasured;
const RECIPES: readonly SegmentRecipe[] = [{ layers: { h: 'w4' } }, { layers: {} }];
const compressed: CompressedChain = new Map([['wasm', { recipes: RECIPES, models: [], search: undefined }]]);

/** The recipe with what was measured for `plan`, as a file would carry it. */
function committed(change: Partial<ModelRecipe> = {}): ModelRecipe {
  const record = JSON.parse(JSON.stringify(measuredRecord(plan, tiny.recipe, compressed, measured)));
  return { ...tiny.recipe, committed: record, ...change };
}

describe('a committed record', () => {
  test('is found again for the same source and recipe', () => {
    expect(matchingRecord(committed(), plan.model.sha256)).toEqual({
      ...{ source: plan.model.sha256, recipe: expect.stringMatching(/^[0-9a-f]{64}$/), planId: plan.id },
      compression: COMPRESSION_VERSION,
      recipes: { wasm: RECIPES },
      searches: {},
      tiers: plan.boundaries.map(({ tiers }) => tiers),
      measured,
    });
  });

  test('is not there where nothing was committed', () => {
    expect(matchingRecord(tiny.recipe, plan.model.sha256)).toBeUndefined();
  });

  test('does not fit another source', () => {
    expect(matchingRecord(committed(), 'd'.repeat(64))).toBeUndefined();
  });

  test.each<[string, Partial<ModelRecipe>]>([
    ['outputs', { outputs: [] }],
    ['cuts', { cuts: [['stem']] }],
    ['size', { size: { ...smallPlan().size, max: 256 } }],
    ['preprocessing', { preprocess: { type: 'picture', height: 8, channels: 'bgr', mean: [0, 0, 0], std: [1, 1, 1] } }],
    ['pictures', { pictures: [{ format: 'webp', quality: 70 }] }],
    ['bits', { bits: [8] }],
    ['bottlenecks', { bottlenecks: [{ components: 4, bits: 5 }] }],
  ])('does not fit a recipe with other %s', (_, change) => {
    expect(matchingRecord(committed(change), plan.model.sha256)).toBeUndefined();
  });

  test('does not fit where recipes made other files', () => {
    const record = committed().committed as Record<string, unknown>;
    const older = committed({ committed: { ...record, compression: COMPRESSION_VERSION - 1 } });
    expect(matchingRecord(older, plan.model.sha256)).toBeUndefined();
  });

  test('still fits where only words of the recipe changed', () => {
    const recipe = committed({ name: 'other', source: 'elsewhere', file: '/nowhere' });
    expect(matchingRecord(recipe, plan.model.sha256)).toBeDefined();
  });

  test.each([
    ['no object', 'text', 'the measurements of tiny'],
    ['null', null, 'the measurements of tiny'],
    ['an object without a plan', { source: 'a', recipe: 'b' }, 'planId'],
  ])('that is %s is a bad configuration', (_, record, message) => {
    expect(() => matchingRecord(committed({ committed: record }), plan.model.sha256)).toThrow(
      coded('BAD_CONFIG', message),
    );
  });

  test('that lost its recipes is a bad configuration', () => {
    const { recipes: _lost, ...rest } = measuredRecord(plan, tiny.recipe, compressed, measured);
    expect(() => matchingRecord(committed({ committed: rest }), plan.model.sha256)).toThrow(coded('BAD_CONFIG'));
  });
});

describe('a record is the measurement of a plan', () => {
  const record = () => measuredRecord(plan, tiny.recipe, compressed, measured);
  const withRecipe = (recipeSha256: string): Plan => ({
    ...plan,
    segments: plan.segments.map((segment) => ({
      ...segment,
      targets: { wasm: { file: 'f', sha256: '0'.repeat(64), bytes: 1, recipe: 'w8 x 1', recipeSha256 } },
    })),
  });

  test('that came out with its id and its recipes, whatever rounding elsewhere made of the files', () => {
    const digests = RECIPES.map(recipeDigest);
    expect(digests[0]).not.toBe(digests[1]);
    const segments = plan.segments.map((segment, i) => ({
      ...segment,
      targets: withRecipe(digests[i] as string).segments[i]?.targets ?? {},
    }));
    expect(isMeasurementOf(record(), { ...plan, segments })).toBe(true);
  });

  test('and of none with another id', () => {
    expect(isMeasurementOf(record(), { ...plan, id: 'b'.repeat(64) })).toBe(false);
  });

  test('and of none with another recipe', () => {
    expect(isMeasurementOf(record(), withRecipe('e'.repeat(64)))).toBe(false);
  });

  test('and of none with a target that was not measured', () => {
    const segments = plan.segments.map(({ targets, ...segment }) => ({
      ...segment,
      targets: { ...targets, node: targets['wasm'] as never },
    }));
    expect(isMeasurementOf(record(), { ...plan, segments })).toBe(false);
  });
});
