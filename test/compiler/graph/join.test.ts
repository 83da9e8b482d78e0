import { describe, expect, test } from 'vitest';
import type { Model } from '../../../compiler/graph/graph.ts';
import { type JoinPart, joinModels } from '../../../compiler/graph/join.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { coded } from '../coded.ts';
import { modelOf, runModel } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

const ENDS = { input: 'first', shape: [2, 2], output: 'last' };
const add = (value: number): Model => modelOf(graphOf(`in x [2,2]\ny = Add(x, ${value})\nout y`), 13);

function joined(...parts: readonly Partial<JoinPart>[]): Model {
  const whole = joinModels(
    parts.map((part, i) => ({ prefix: `p${i}`, model: add(i), feed: [], ...part })),
    ENDS,
  );
  verifyGraph(whole.graph, 'joined');
  return whole;
}

async function run(model: Model, data: readonly number[]) {
  const feeds = { first: { dtype: 'float32', shape: ENDS.shape, data: Float32Array.from(data) } } as const;
  return (await runModel(writeModel(model), feeds))['last'];
}

describe('models in a row', () => {
  test('are one, in which equal names of two parts are told apart by their prefix', async () => {
    const whole = joined({}, { model: add(10) }, { model: add(100) });
    expect(textOf(whole.graph)).toBe('p0/y = Add(first, 0)\np1/y = Add(p0/y, 10)\nlast = Add(p1/y, 100)');
    expect((await run(whole, [1, 2, 3, 4]))?.data).toEqual(Float32Array.of(111, 112, 113, 114));
  });

  test('are fed what the one before gave, scaled and shifted', async () => {
    const whole = joined({}, { feed: [{ type: 'affine', scale: 2, offset: -1 }] });
    expect((await run(whole, [1, 2, 3, 4]))?.data).toEqual(Float32Array.of(2, 4, 6, 8));
  });

  test('are fed windows of it, which may overlap', async () => {
    const windows = { type: 'windows', length: 2, step: 1, count: 3 } as const;
    const pairs = modelOf(graphOf('in x [3,2]\ny = Identity(x)\nout y'), 13);
    const whole = joined({ feed: [{ type: 'reshape', shape: [4] }, windows], model: pairs });
    expect(await run(whole, [1, 2, 3, 4])).toEqual({
      ...{ dtype: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 2, 3, 3, 4) },
    });
  });

  test('are refused where one has two inputs or another operator set', () => {
    const two = modelOf(graphOf('in x [2,2]\nin z [2,2]\ny = Add(x, z)\nout y'), 13);
    expect(() => joined({}, { model: two })).toThrow(coded('UNSUPPORTED', 'p1 to have 1 input'));
    expect(() => joined({}, { model: { ...add(1), opsets: new Map([['', 12]]) } })).toThrow(
      coded('UNSUPPORTED', 'p1 uses ai.onnx 12, the models before it 13'),
    );
  });
});
