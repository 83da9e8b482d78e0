/** A plan of two segments that needs no model: x [1,3,4,width] -> h [1,2,1,width/4] -> y [1,width/4]. */
import { toBase64 } from '../../shared/base64.ts';
import { bucketCount, stateCount } from '../../shared/codec/context-model.ts';
import type { Plan, QuantizedTier, TierBits } from '../../shared/plan.ts';
import { PLAN_VERSION } from '../../shared/plan-schema.ts';

export function smallPlan(): Plan {
  const file = (name: string) => ({ file: name, sha256: 'f'.repeat(64), bytes: 100 });
  const segment = (index: number, input: string, output: string) => ({
    inputs: [input],
    outputs: [output],
    server: file(`${index}.server.onnx`),
    targets: { wasm: { ...file(`${index}.wasm.onnx`), recipe: 'float32', recipeSha256: 'c'.repeat(64) } },
  });
  return {
    version: PLAN_VERSION,
    id: 'a'.repeat(64),
    name: 'small',
    model: { source: 'made up', sha256: 'e'.repeat(64), bytes: 100, fixed: {} },
    size: { name: 'width', unit: 'px', step: 4, min: 4, max: 64, typical: 16 },
    preprocess: { type: 'picture', height: 4, channels: 'rgb', mean: [0, 0, 0], std: [1, 1, 1] },
    boundaries: [
      {
        tensors: [{ name: 'x', dtype: 'float32', shape: [1, 3, 4, 'width'] }],
        tiers: [{ type: 'picture', name: 'webp-80', format: 'webp', quality: 80 }],
      },
      {
        tensors: [{ name: 'h', dtype: 'float32', shape: [1, 2, 1, 'width/4'] }],
        tiers: [flatTier('q8', 8, [2]), flatTier('q4', 4, [2])],
      },
      { tensors: [{ name: 'y', dtype: 'float32', shape: [1, 'width/4'] }], tiers: [] },
    ],
    segments: [segment(1, 'x', 'h'), segment(2, 'h', 'y')],
    assets: {},
    measured: {
      machine: 'none',
      seed: 1,
      samples: 1,
      metrics: [{ name: 'exactMatch', isHigherBetter: true }],
      accuracy: [],
      tiers: [
        { k: 0, tier: 'webp-80', bytes: { fixed: 200, perSize: 5 }, decodeMs: { fixed: 1, perSize: 0 } },
        { k: 1, tier: 'q8', bytes: { fixed: 10, perSize: 0.5 }, decodeMs: { fixed: 1, perSize: 0 } },
        { k: 1, tier: 'q4', bytes: { fixed: 10, perSize: 0.25 }, decodeMs: { fixed: 1, perSize: 0 } },
      ],
      boundaryErrors: { wasm: [0] },
      timeMs: {
        server: [
          { fixed: 2, perSize: 0 },
          { fixed: 2, perSize: 0 },
        ],
        wasm: [
          { fixed: 10, perSize: 0 },
          { fixed: 10, perSize: 0 },
        ],
      },
    },
  };
}

/** A tier over [-1, 1] whose tables expect every symbol alike. */
export function flatTier(name: string, bits: TierBits, channels: readonly number[]): QuantizedTier {
  const buckets = bucketCount(bits);
  const width = 2 ** bits / buckets;
  const tensors = channels.map((count) => ({
    low: -1,
    step: 2 / (2 ** bits - 1),
    channels: count,
    map: null,
    classes: toBase64(new Uint8Array(count)),
    starts: toBase64(Uint8Array.from({ length: width > 1 ? buckets : 0 }, (_, b) => b * width)),
    first: toBase64(new Uint8Array(stateCount(bits) * buckets).fill(32)),
    second: toBase64(new Uint8Array(width > 1 ? 2 ** bits : 0).fill(32)),
  }));
  return { type: 'quantized', name, bits, tensors };
}
