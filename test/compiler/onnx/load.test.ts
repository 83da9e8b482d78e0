import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { loadModel } from '../../../compiler/onnx/load.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import type { ExternalData, Runtime } from '../../../shared/runtime.ts';
import { modelOf, randomFeeds, runGraph } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const graph = graphOf(
  'in x [2,40]\nconst w [40,40]\nconst v [40,3]\nconst b [3]\nh = MatMul(x, w)\nm = MatMul(h, v)\ny = Add(m, b)\nout y',
);
/** 6,400 + 480 + 12 bytes. */
const WEIGHT_BYTES = 6892;

/** A runtime that tells what it was given. */
function spied() {
  const given: { bytes: number; external: readonly ExternalData[] }[] = [];
  const inner = nodeRuntime(ort, { threads: 1 });
  const runtime: Runtime = {
    ...inner,
    load(model, external = []) {
      given.push({ bytes: model.byteLength, external });
      return inner.load(model, external);
    },
  };
  return { runtime, given };
}

describe('loading a graph', () => {
  test('hands over one message while that holds the weights', async () => {
    const { runtime, given } = spied();
    await loadModel(runtime, modelOf(graph), WEIGHT_BYTES);
    expect(given[0]?.external).toEqual([]);
    expect(given[0]?.bytes).toBeGreaterThan(WEIGHT_BYTES);
  });

  test('hands over large weights beside the message where it does not, and computes the same', async () => {
    const { runtime, given } = spied();
    const session = await loadModel(runtime, modelOf(graph), WEIGHT_BYTES - 1);
    expect(given[0]?.external.map(({ path, data }) => [path, data.byteLength])).toEqual([['weights.0', 6400]]);
    expect(given[0]?.bytes).toBeLessThan(1000);
    const feeds = randomFeeds(graph);
    const [got, expected] = [await session.run(feeds), await runGraph(graph, feeds)];
    expect(got['y']?.shape).toEqual([2, 3]);
    for (const [i, value] of [...(expected['y']?.data ?? [])].entries()) {
      expect(Number(got['y']?.data[i])).toBeCloseTo(Number(value), 4);
    }
  });
});
