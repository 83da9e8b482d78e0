import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flatTier } from '../../client/testkit/small-plan.ts';
import { boundaryAt, depthOf, type Plan, planHead, type TensorSpec, tierAt } from '../../shared/plan.ts';
import { planContract } from '../../shared/plan-contract.ts';
import { parsePlan } from '../../shared/plan-schema.ts';
import { leakageOf } from '../../shared/policy/leakage.ts';
import { costTable, type TableRow } from '../../shared/schedule/table.ts';
import { costAt, shapeAt } from '../../shared/size.ts';
import { sizeOf } from '../../shared/size-of.ts';
import { changed } from './changed.ts';
import { chainPlan, samplePlan } from './sample-plan.ts';
import { tandemError } from './tandem-error.ts';

const plan = samplePlan();
const chain = chainPlan([['x'], ['a'], ['b'], ['y']]);
const parse = (value: unknown) => parsePlan(value, 'plan.json');

describe('parsing a plan', () => {
  test('gives a valid one as it is, also after a trip through JSON', () => {
    expect(parse(plan)).toEqual(plan);
    expect(parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
  });

  test('takes one that was not measured, needs no picture and has no assets', () => {
    const bare = { ...chainPlan([['x'], ['y']]), assets: {} };
    expect(parse(bare)).toEqual(bare);
  });

  test.each([null, 7, 'plan', [], {}])('refuses %j', (value) => {
    expect(() => parse(value)).toThrow(tandemError('BAD_PLAN', 'plan.json: '));
  });

  test.each<[string, unknown]>([
    ['version', 2],
    ['id', plan.id.toUpperCase()],
    ['id', `${plan.id}\n`],
    ['name', 'No Spaces'],
    ['model.bytes', 0],
    ['model.sha256', 'abc'],
    ['size.name', 'width/2'],
    ['size.step', 0],
    ['size.min', 0.5],
    ['preprocess', undefined],
    ['preprocess.channels', 'gray'],
    ['preprocess.mean.2', undefined],
    ['preprocess.std.1', '1'],
    ['boundaries', [plan.boundaries[0]]],
    ['boundaries.0.tensors.0.name', ''],
    ['boundaries.0.tensors.0.dtype', 'float8'],
    ['boundaries.0.tensors.0.shape.3', 'width/0'],
    ['boundaries.0.tensors.0.shape.3', 'width*2'],
    ['boundaries.0.tensors.0.shape.1', 0],
    ['boundaries.0.tiers.0.format', 'png'],
    ['boundaries.0.tiers.0.quality', 101],
    ['boundaries.0.tiers.0.name', 'WebP 80'],
    ['boundaries.0.tiers.0.type', 'audio'],
    ['boundaries.1.tiers.0.bits', 9],
    ['boundaries.1.tiers.0.tensors.0.step', 0],
    ['boundaries.1.tiers.0.tensors.0.low', null],
    ['boundaries.1.tiers.0.tensors.0.channels', 0],
    ['boundaries.1.tiers.0.tensors.0.classes', 'A'],
    ['boundaries.1.tiers.0.tensors.0.first', 'AB=='],
    ['boundaries.1.tiers.0.tensors.0.second', [0]],
    ['boundaries.1.tiers.0.tensors.0.map', 'none'],
    ['segments', []],
    ['segments.1.inputs.0', ''],
    ['segments.1.outputs', null],
    ['segments.1.server', undefined],
    ['segments.1.server.file', '../secret'],
    ['segments.1.server.file', '/etc/passwd'],
    ['segments.1.server.file', '.hidden'],
    ['segments.1.server.sha256', ''],
    ['segments.1.server.bytes', 0],
    ['segments.1.targets.wasm.recipe', undefined],
    ['segments.1.targets.wasm.file', 'a/b'],
    ['segments.1.targets.wasm.encoding', 'zip'],
    ['assets.characters.file', '..'],
    ['measured', undefined],
    ['measured.metrics', []],
    ['measured.accuracy.0.k', -1],
    ['measured.accuracy.0.tier', undefined],
    ['measured.accuracy.0.bytesMean', -1],
    ['measured.tiers.0.bytes.perSize', '1'],
    ['measured.timeMs.server.0', null],
  ])('refuses a bad %s, naming it: %j', (path, value) => {
    expect(() => parse(changed(plan, path, value))).toThrow(tandemError('BAD_PLAN', `plan.json: ${path}: `));
  });

  test.each<[string, unknown, string]>([
    ['a boundary too few', changed(plan, 'boundaries', plan.boundaries.slice(1)), 'got 3 and 3'],
    ['a segment too few', changed(plan, 'segments', plan.segments.slice(1)), 'got 4 and 2'],
    ['an input that no boundary carries', changed(plan, 'segments.1.inputs.0', 'z'), 'segment 2 reads z'],
    ['an input of an earlier boundary', changed(plan, 'segments.2.inputs.0', 'x'), 'segment 3 reads x'],
    ['tables for one of two tensors', changed(plan, 'boundaries.2.tiers.0', flatTier('q8', 8, [4])), 'codes 1 of 2'],
    [
      'a picture behind boundary 0',
      changed(plan, 'boundaries.1.tiers', plan.boundaries[0]?.tiers),
      'boundary 1 is not',
    ],
    ['a picture tier but no picture', changed(plan, 'preprocess', null), 'which boundary 0 is not'],
    ['a boundary that carries what nobody made', changed(chain, 'segments.1.outputs', ['c']), 'boundary 2 carries b'],
    ['a dimension of another variable', changed(plan, 'boundaries.1.tensors.0.shape.3', 'height/2'), 'a is height/2'],
    ['a greatest size below the least', changed(plan, 'size.max', 4), 'got 8, 16, 4'],
    ['a least size off the step', changed(plan, 'size.min', 10), 'in steps of 4, got 10'],
    ['a typical size out of range', changed(plan, 'size.typical', 128), 'got 8, 128, 64'],
    ['a deviation of 0 to divide by', changed(plan, 'preprocess.std.0', 0), 'preprocess.std'],
    ['two tiers of one name', changed(plan, 'boundaries.1.tiers.1.name', 'q8'), 'boundary 1 has two of the name q8'],
    ['two tensors of one name', chainPlan([['x'], ['a', 'a'], ['y']]), 'boundary 1 has two of the name a'],
  ])('refuses parts that do not fit together: %s', (_, value, message) => {
    expect(() => parse(value)).toThrow(tandemError('BAD_PLAN', `plan.json: `));
    expect(() => parse(value)).toThrow(tandemError('BAD_PLAN', message));
  });
});

describe('asking a plan', () => {
  test('its depth is the number of its segments', () => {
    expect(depthOf(plan)).toBe(3);
  });

  test('boundaries run from 0 to the depth', () => {
    expect([0, 1, 2, 3].map((k) => boundaryAt(plan, k).tensors[0]?.name)).toEqual(['x', 'a', 'b', 'y']);
    for (const k of [-1, 4, 1.5, Number.NaN]) {
      expect(() => boundaryAt(plan, k)).toThrow(tandemError('BAD_BOUNDARY', 'expected k from 0 to 3'));
    }
  });

  test('tiers go by their names', () => {
    expect(tierAt(plan, 1, 'q4')).toMatchObject({ type: 'quantized', bits: 4 });
    expect(() => tierAt(plan, 1, 'q6')).toThrow(tandemError('UNKNOWN_TIER', 'no tier q6, only q8, q4'));
    expect(() => tierAt(plan, 3, 'q8')).toThrow(tandemError('UNKNOWN_TIER', 'only none'));
  });

  test('a cost grows with the size and is never negative', () => {
    expect(costAt({ fixed: 3, perSize: 0.5 }, 10)).toBe(8);
    expect(costAt({ fixed: -30, perSize: 0.5 }, 10)).toBe(0);
  });
});

describe('shapes and sizes', () => {
  const spec: TensorSpec = { name: 'a', dtype: 'float32', shape: [1, 'width/4', 5, 'width'] };

  test('a size gives the shape', () => {
    expect(shapeAt(spec, 24)).toEqual([1, 6, 5, 24]);
  });

  test('a shape gives the size it was made for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 16 }), (steps) => {
        expect(sizeOf(spec, shapeAt(spec, 4 * steps), plan.size)).toBe(4 * steps);
      }),
    );
  });

  test('a shape that does not vary stands for no size', () => {
    expect(sizeOf({ ...spec, shape: [2, 3] }, [2, 3], plan.size)).toBeUndefined();
  });

  test.each([
    ['of a dimension less', [1, 6, 5], 'expected a of shape [1, width/4, 5, width], got [1, 6, 5]'],
    ['of a dimension more', [1, 6, 5, 24, 1], 'got [1, 6, 5, 24, 1]'],
    ['of another fixed dimension', [1, 6, 4, 24], 'got [1, 6, 4, 24]'],
    ['that disagrees with itself', [1, 6, 5, 20], 'got [1, 6, 5, 20]'],
    ['below the least size', [1, 1, 5, 4], 'with width from 8 to 64 in steps of 4'],
    ['above the greatest size', [1, 17, 5, 68], 'with width from 8 to 64 in steps of 4'],
    ['of size 0', [1, 0, 5, 0], 'with width from 8'],
  ])('a shape %s is refused', (_, shape, message) => {
    expect(() => sizeOf(spec, shape, plan.size)).toThrow(tandemError('BAD_TENSOR', message));
  });

  test('a shape off the step is refused', () => {
    const wide: TensorSpec = { ...spec, shape: ['width'] };
    expect(sizeOf(wide, [12], plan.size)).toBe(12);
    expect(() => sizeOf(wide, [14], plan.size)).toThrow(tandemError('BAD_TENSOR', 'in steps of 4'));
    expect(() => sizeOf(wide, [12.5], plan.size)).toThrow(tandemError('BAD_TENSOR', 'in steps of 4'));
  });
});

describe('the contract of a plan', () => {
  const contractWith = (path: string, value: unknown) => planContract(changed(plan, path, value) as Plan);

  test.each<[string, unknown]>([
    ['measured', null],
    ['measured.seed', 99],
    ['assets', {}],
    ['size.typical', 32],
    ['segments.0.targets', {}],
    ['segments.0.targets.wasm.sha256', 'd'.repeat(64)],
    ['segments.0.server.file', 'renamed.onnx'],
    ['id', 'd'.repeat(64)],
  ])('does not change with %s', (path, value) => {
    expect(contractWith(path, value)).toBe(planContract(plan));
  });

  test.each<[string, unknown]>([
    ['version', 2],
    ['name', 'other'],
    ['size.max', 128],
    ['size.step', 8],
    ['preprocess.channels', 'bgr'],
    ['preprocess.std.2', 1],
    ['preprocess', null],
    ['boundaries.2.tensors.1.name', 'skip'],
    ['boundaries.1.tensors.0.shape.1', 3],
    ['boundaries.0.tiers.0.quality', 81],
    ['boundaries.1.tiers.1.bits', 8],
    ['boundaries.1.tiers.0.tensors.0.low', -2],
    ['boundaries.1.tiers.0.tensors.0.first', 'AAAA'],
    ['boundaries.1.tiers', []],
    ['segments.2.inputs', ['a', 'b']],
    ['segments.2.outputs', ['z']],
    ['segments.2.server.sha256', 'd'.repeat(64)],
  ])('changes with %s', (path, value) => {
    expect(contractWith(path, value)).not.toBe(planContract(plan));
  });

  test('does not depend on the order of keys', () => {
    expect(planContract(reversed(plan) as Plan)).toBe(planContract(plan));
  });

  test('survives JSON and the parser', () => {
    expect(planContract(parse(JSON.parse(JSON.stringify(plan))))).toBe(planContract(plan));
  });
});

/** The same value with the keys of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, reversed(inner)] as const);
  return Object.fromEntries(entries.reverse());
}

describe('the head of a plan', () => {
  const row = {
    ...{
      noise: null,
      leakage: 0.5,
      sd: 0,
      ssim: 0.5,
      ssimGuess: 0.1,
      psnr: 20,
      psnrGuess: 10,
      distanceCorrelation: 0.5,
    },
    ...{ task: {}, accuracy: {}, bytesMean: 100, attack: 'linear' },
  };
  const leakage = {
    ...{ attack: 'linear', view: 'input', trainingSamples: 1, samples: 1, accuracySamples: 1, seeds: 1 },
    ...{ taskOriginal: {}, taskGuess: {}, accuracy: {} },
    rows: [
      { ...row, k: 0, tier: 'webp-80', leakage: 1 },
      { ...row, k: 1, tier: 'q4' },
    ],
  };
  const accuracy = [0, 1, 3].flatMap((k) =>
    ['server', 'wasm'].map((target) => ({
      ...{ target, k, tier: k === 3 ? null : (['webp-80', 'q4'][k] ?? null) },
      ...{ metrics: { exact: 0.5 + k / 10 }, bytesMean: 10, bytesP95: 20 },
    })),
  );
  const whole: Plan = {
    ...plan,
    measured: plan.measured && {
      ...{ ...plan.measured, leakage },
      accuracy: [...plan.measured.accuracy, ...accuracy],
    },
  };
  const head = planHead(whole);

  test('is a plan that says of boundary 0, and of sending nothing, what the plan says', () => {
    expect(parse(JSON.parse(JSON.stringify(head)))).toEqual(head);
    const of = (rows: readonly TableRow[]) => rows.filter(({ k, tier }) => k === 0 || tier === null);
    for (const target of ['server', 'wasm']) {
      const rows = of(costTable(head, target).rows);
      expect(rows).toEqual(of(costTable(whole, target).rows));
      expect(rows.length).toBeGreaterThan(1);
    }
    expect(leakageOf(head, 0, 'webp-80')).toBe(1);
  });

  test('has nothing of tiers behind it', () => {
    expect(head.boundaries.map(({ tiers }) => tiers.length > 0)).toEqual([true, false, false, false]);
    const behind = ({ k, tier }: { readonly k: number; readonly tier: string | null }) => k > 0 && tier !== null;
    const { measured } = head;
    expect(
      [measured?.accuracy, measured?.tiers, measured?.leakage?.rows].flatMap((rows) => rows?.filter(behind)),
    ).toEqual([]);
    expect(head.id).toBe(plan.id);
  });
});
