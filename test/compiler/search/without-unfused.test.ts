import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { segmentCompressor } from '../../../compiler/compress/compress-segment.ts';
import type { Model } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { optimizedModel } from '../../../compiler/runtimes.ts';
import { candidateOf, type FormCost, type LayerItem } from '../../../compiler/search/front.ts';
import { withoutUnfused } from '../../../compiler/search/without-unfused.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf } from '../run-graph.ts';
import { graphOf } from '../text-graph.ts';

const TWO = `
  in x [1,8,6,6]
  const w [16,8,3,3]
  a = Conv(x, w)
  const v [8,16,1,1]
  y = Conv(a, v)
  out y`;

const BARE = { bytes: 1000, timeMs: 10 };
const int8: FormCost = { form: 'int8', bytes: -100, timeMs: -1, loss: 1e-3 };
const options: FormCost[] = [
  { form: 'float32', bytes: 0, timeMs: 0, loss: 0 },
  { form: 'w8', bytes: -90, timeMs: 0, loss: 1e-6 },
  int8,
];
const items: LayerItem[] = ['a', 'y'].map((layer) => ({ segment: 0, layer, options }));

async function tried(optimized: (model: Uint8Array) => Promise<Model>) {
  const model = modelOf(graphOf(TWO));
  async function* samples(): AsyncIterable<Tensors> {
    yield {
      x: float32(
        [1, 8, 6, 6],
        Float32Array.from({ length: 288 }, (_, i) => Math.sin(i)),
      ),
    };
  }
  const compressors = [
    segmentCompressor(
      { model, samples, runtime: nodeRuntime(ort, { threads: 1 }), literal },
      { samples: 1, mayLackVnni: false },
    ),
  ];
  const reverted: string[] = [];
  const request = { compressors, models: [model], structures: undefined, equalized: [false], optimized };
  const { forms, bytes } = await withoutUnfused(request, items, candidateOf([int8, int8], BARE), BARE, reverted);
  return { forms: forms.map(({ form }) => form), bytes, reverted };
}

describe('layers in integers', () => {
  test('stay where the runtime has kernels for them', async () => {
    expect(await tried((model) => optimizedModel(model, 'server'))).toEqual({
      ...{ forms: ['int8', 'int8'], bytes: 800 },
      reverted: [],
    });
  });

  test('are stored instead where the runtime computes them in float after all, and it is said why', async () => {
    const { forms, bytes, reverted } = await tried(async (model) => readModel(model, 'nothing is fused'));
    expect(forms).toEqual(['w8', 'w8']);
    expect(bytes).toBe(820);
    expect(reverted).toHaveLength(2);
    expect(reverted[0]).toMatch(/^a in integers: /);
  });
});
