import { describe, expect, test } from 'vitest';
import { type OutputReduction, reduceOutputs } from '../../../compiler/passes/reduce-outputs.ts';
import { float32 } from '../../../shared/tensor.ts';
import { coded } from '../coded.ts';
import { runGraph } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

const BEST: OutputReduction[] = [
  { name: 'index', of: 's', op: 'argmax', axis: 1 },
  { name: 'score', of: 's', op: 'max', axis: 1 },
];
const TEXT = 'in x [2,3]\ns = Relu(x)\nout s';
const x = float32([2, 3], Float32Array.of(1, 5, 2, 9, 0, 3));

describe('reducing outputs', () => {
  test('gives the best class and its score instead of all scores', async () => {
    const graph = graphOf(TEXT);
    reduceOutputs(graph, BEST, 9);
    expect(await runGraph(graph, { x })).toEqual({
      index: { dtype: 'int32', shape: [2], data: Int32Array.of(1, 0) },
      score: { dtype: 'float32', shape: [2], data: Float32Array.of(5, 9) },
    });
  });

  test('says what the new outputs are', () => {
    const graph = graphOf(TEXT);
    reduceOutputs(graph, BEST, 9);
    expect(graph.outputs.map(({ name, elementType }) => `${name} ${elementType}`)).toEqual([
      'index int32',
      'score float32',
    ]);
  });

  test('leaves a graph alone that it is asked nothing of', () => {
    const graph = graphOf(TEXT);
    reduceOutputs(graph, [], 9);
    expect(graph).toEqual(graphOf(TEXT));
  });

  test('refuses an output that there is not, and a name that there is', () => {
    const reduce = (reduction: Partial<OutputReduction>) => () =>
      reduceOutputs(graphOf(TEXT), [{ name: 'score', of: 's', op: 'max', axis: 1, ...reduction }], 9);
    expect(reduce({ of: 'scores' })).toThrow(coded('BAD_MODEL', 'there is no output scores to reduce'));
    expect(reduce({ name: 'x' })).toThrow(coded('BAD_MODEL', 'value x is defined twice'));
  });

  test('stands behind everything else, so that text and order stay', () => {
    const graph = graphOf(TEXT);
    reduceOutputs(graph, BEST.slice(1), 9);
    expect(textOf(graph)).toBe('s = Relu(x)\nscore = ReduceMax(s) axes=[1] keepdims=0');
  });

  test('runs in opset 18, where ReduceMax has its axes as an input', async () => {
    const graph = graphOf(TEXT);
    reduceOutputs(graph, BEST, 18);
    const { score } = await runGraph(graph, { x }, 18);
    expect(score?.data).toEqual(Float32Array.of(5, 9));
  });
});
