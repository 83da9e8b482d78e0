import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { segmentCompressor } from '../../../compiler/compress/compress-segment.ts';
import { equalizedModel } from '../../../compiler/compress/equalize.ts';
import { constantOf, floatConstant, type Graph, type Model } from '../../../compiler/graph/graph.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { searchEqualization } from '../../../compiler/search/equalization.ts';
import type { Journal } from '../../../compiler/search/journal.ts';
import { referenceOf } from '../../../compiler/search/losses.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { seededRandom } from '../../../shared/random.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const PAIR = `
  in x [1,8,6,6]
  const w [16,8,3,3]
  const b [16]
  a = Conv(x, w, b)
  r = Relu(a)
  const v [8,16,1,1]
  y = Conv(r, v)
  out y`;

const runtime = nodeRuntime(ort, { threads: 1 });
const journal: Journal = { once: (_, measure) => measure() };

/** One channel a thousand times as large as the others before, and as much smaller behind: the codes between are lost on it. */
function uneven(text: string): Graph {
  const graph = graphOf(text);
  const scale = (name: string, factorOf: (i: number, stride: number) => number) => {
    const { shape, data } = floatConstant(graph, name) ?? { shape: [], data: new Float32Array(0) };
    const stride = data.length / 16;
    graph.initializers.set(
      name,
      constantOf({ dtype: 'float32', shape, data: data.map((value, i) => value * factorOf(i, stride)) }),
    );
  };
  scale('w', (i, stride) => (i < stride ? 1000 : 1));
  scale('b', (i) => (i === 0 ? 1000 : 1));
  scale('v', (i) => (i % 16 === 0 ? 1e-3 : 1));
  return graph;
}

async function choiceFor(model: Model): Promise<boolean[]> {
  const random = seededRandom(3);
  const sample = (): Tensors => ({
    x: float32(
      [1, 8, 6, 6],
      Float32Array.from({ length: 288 }, () => random() - 0.5),
    ),
  });
  const inputs = [sample(), sample(), sample()];
  const { segments, boundaries, ...plan } = smallPlan();
  const whole = { ...plan, segments: segments.slice(0, 1), boundaries: boundaries.slice(0, 2) };
  const reference = await referenceOf(whole, [model], runtime, ['y'], inputs);
  async function* samples(): AsyncIterable<Tensors> {
    yield* inputs;
  }
  const compressors = [segmentCompressor({ model, samples, runtime, literal }, { samples: 3, mayLackVnni: false })];
  return searchEqualization({
    models: [model],
    compressors,
    reference,
    runtime,
    journal,
    progress: () => {},
    worthIntegers: () => ['a', 'y'],
  });
}

describe('the choice of equalization', () => {
  test('falls on a segment whose integers lose less by it', async () => {
    expect(await choiceFor(modelOf(uneven(PAIR)))).toEqual([true]);
  });

  test('leaves a segment as it is that has nothing to even out', async () => {
    const model = modelOf(graphOf('in x [1,8,6,6]\nconst w [16,8,3,3]\na = Conv(x, w)\ny = Sigmoid(a)\nout y'));
    expect(equalizedModel(model)).toBeUndefined();
    expect(await choiceFor(model)).toEqual([false]);
  });

  test('changes no output in float', async () => {
    const model = modelOf(uneven(PAIR));
    const x = float32([1, 8, 6, 6], new Float32Array(288).fill(0.3));
    const [before, after] = await Promise.all(
      [model, equalizedModel(model) as Model].map(async (each) => (await runtime.load(writeModel(each))).run({ x })),
    );
    const [y, z] = [before?.['y']?.data ?? [], after?.['y']?.data ?? []];
    expect(y.length).toBe(z.length);
    for (let i = 0; i < y.length; i++) expect(Number(z[i])).toBeCloseTo(Number(y[i]), 3);
  });
});
