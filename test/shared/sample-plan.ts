/**
 * A plan of three segments with everything that plans have: a varying width, a picture at boundary 0, and a skip
 * connection, so that boundary 2 carries two tensors.
 *
 *   x ─ segment 1 ─ a ─ segment 2 ─ b ─ segment 3 ─ y
 *                   └───────────────────┘
 */
import { flatTier } from '../../client/testkit/small-plan.ts';
import type { Plan, PlanFile } from '../../shared/plan.ts';
import { PLAN_VERSION } from '../../shared/plan-schema.ts';

export function samplePlan(): Plan {
  return {
    version: PLAN_VERSION,
    id: 'a'.repeat(64),
    name: 'sample',
    model: { source: 'made up for tests', sha256: 'b'.repeat(64), bytes: 1000, fixed: {} },
    size: { name: 'width', unit: 'px', step: 4, min: 8, max: 64, typical: 16 },
    preprocess: { type: 'picture', height: 4, channels: 'rgb', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    boundaries: [
      {
        tensors: [{ name: 'x', dtype: 'float32', shape: [1, 3, 4, 'width'] }],
        tiers: [{ type: 'picture', name: 'webp-80', format: 'webp', quality: 80 }],
      },
      {
        tensors: [{ name: 'a', dtype: 'float32', shape: [1, 2, 4, 'width/2'] }],
        tiers: [flatTier('q8', 8, [2]), flatTier('q4', 4, [2])],
      },
      {
        tensors: [
          { name: 'b', dtype: 'float32', shape: [1, 4, 2, 'width/4'] },
          { name: 'a', dtype: 'float32', shape: [1, 2, 4, 'width/2'] },
        ],
        tiers: [flatTier('q8', 8, [4, 2])],
      },
      { tensors: [{ name: 'y', dtype: 'float32', shape: [1, 'width/4', 5] }], tiers: [] },
    ],
    segments: [segment(1, ['x'], ['a']), segment(2, ['a'], ['b']), segment(3, ['b', 'a'], ['y'])],
    assets: { characters: planFile('characters.txt') },
    measured: {
      machine: 'no machine',
      seed: 1,
      samples: 10,
      metrics: [{ name: 'exact', isHigherBetter: true }],
      accuracy: [
        { target: 'server', k: 0, tier: null, metrics: { exact: 0.75 }, bytesMean: 0, bytesP95: 0 },
        { target: 'wasm', k: 1, tier: 'q4', metrics: { exact: 0.5 }, bytesMean: 50, bytesP95: 60 },
      ],
      tiers: [
        { k: 0, tier: 'webp-80', bytes: { fixed: 44, perSize: 50 }, decodeMs: { fixed: 1, perSize: 0 } },
        { k: 1, tier: 'q8', bytes: { fixed: 4, perSize: 5 }, decodeMs: { fixed: 1, perSize: 0 } },
      ],
      boundaryErrors: { wasm: [0] },
      timeMs: {
        server: [1, 2, 3].map((fixed) => ({ fixed, perSize: 0.5 })),
        wasm: [10, 20, 30].map((fixed) => ({ fixed, perSize: 1 })),
      },
    },
  };
}

/** A plan of nothing but names: the tensors of each boundary, from 0 to K. */
export function chainPlan(boundaries: readonly (readonly string[])[]): Plan {
  const spec = (name: string) => ({ name, dtype: 'float32' as const, shape: [1, 'width'] });
  return {
    ...samplePlan(),
    preprocess: null,
    boundaries: boundaries.map((names) => ({ tensors: names.map(spec), tiers: [] })),
    segments: boundaries.slice(1).map((outputs, k) => segment(k + 1, boundaries[k] ?? [], outputs)),
    measured: null,
  };
}

function segment(index: number, inputs: readonly string[], outputs: readonly string[]): Plan['segments'][number] {
  return {
    inputs: [...inputs],
    outputs: [...outputs],
    server: planFile(`${index}.server.onnx`),
    targets: { wasm: { ...planFile(`${index}.wasm.onnx`), recipe: 'int8', recipeSha256: 'c'.repeat(64) } },
  };
}

export function planFile(file: string): PlanFile {
  return { file, sha256: 'c'.repeat(64), bytes: 100 };
}
