import { describe, expect, test } from 'vitest';
import { calibrateRanges } from '../../../compiler/compress/activation-ranges.ts';
import { layersOf } from '../../../compiler/compress/layers.ts';
import { canSaturate, codesOf, saturatedPairs, saturatingLayers } from '../../../compiler/compress/saturation.ts';
import { floatConstant } from '../../../compiler/graph/graph.ts';
import { randomInt, seededRandom } from '../../../shared/random.ts';
import { float32 } from '../../../shared/tensor.ts';
import { dataOf, modelOf } from '../run-graph.ts';
import { floats, graphOf } from '../text-graph.ts';

/** A dot product as a CPU without VNNI does it: pairs of products in an Int16 that stays at its ends. */
function int16Dot(a: ArrayLike<number>, w: ArrayLike<number>): { sum: number; exact: number } {
  let [sum, exact] = [0, 0];
  for (let k = 0; k < a.length; k += 2) {
    const pair = (a[k] ?? 0) * (w[k] ?? 0) + (a[k + 1] ?? 0) * (w[k + 1] ?? 0);
    sum += Math.max(-(2 ** 15), Math.min(2 ** 15 - 1, pair));
    exact += pair;
  }
  return { sum, exact };
}

/** Large inputs against weights of one sign, in the layer `wide`; small weights beside an outlier in the layer `calm`. */
const GRAPH = graphOf('in x [1,2,4,4]\nwide = Conv(x, w)\ncalm = Conv(x, v)\nout wide\nout calm');
GRAPH.initializers.set('w', floats([1, 2, 1, 1], [1, 0.9]));
GRAPH.initializers.set('v', floats([1, 2, 1, 1], [1, 0.001]));
const X = float32(
  [1, 2, 4, 4],
  Float32Array.from({ length: 32 }, (_, i) => 0.9 + (i % 16) / 160),
);
const data = dataOf(modelOf(GRAPH, 13), [{ x: X }]);

describe('saturation of sums of two products', () => {
  test('is found where it happens, and only there', async () => {
    const ranges = await calibrateRanges(data, ['x'], 'min-max');
    const found = await saturatingLayers(data, ranges, 'channel');
    expect(found.map(({ layer }) => layer.name)).toEqual(['wide']);
    expect(found[0]?.share).toBe(1);
  });

  test('is counted as an emulated dot product counts it', () => {
    const random = seededRandom(4);
    const activations = Uint8Array.from({ length: 600 }, () => randomInt(random, 100, 255));
    const weights = Int8Array.from({ length: 600 }, () => randomInt(random, -127, 127));
    let differing = 0;
    for (let i = 0; i < 600; i += 2) {
      const { sum, exact } = int16Dot(activations.subarray(i, i + 2), weights.subarray(i, i + 2));
      if (sum !== exact) differing++;
      expect(saturatedPairs(activations.subarray(i, i + 2), weights.subarray(i, i + 2), 2)).toBe(sum === exact ? 0 : 1);
    }
    expect(differing).toBeGreaterThan(0);
  });

  test('never happens with weights of 7 bits', () => {
    for (const layer of layersOf(GRAPH)) {
      const codes = codesOf(layer, floatConstant(GRAPH, layer.weight)?.data ?? new Float32Array(0), 'channel', 7);
      expect(canSaturate(codes, 2)).toBe(false);
    }
    const most = new Int8Array(64).fill(63);
    const { sum, exact } = int16Dot(new Uint8Array(64).fill(255), most);
    expect(sum).toBe(exact);
    expect(canSaturate(most, 64)).toBe(false);
    expect(canSaturate(new Int8Array(64).fill(65), 64)).toBe(true);
    // Second and third are neighbours, but no pair.
    expect(canSaturate(Int8Array.of(1, 127, 127, 1), 4)).toBe(false);
  });

  test('of a convolution is between neighbours of channels, not of the kernel', () => {
    const graph = graphOf('in x [1,2,4,4]\ny = Conv(x, w)\nout y');
    // Large in the two taps of the first channel: apart from each other where channels run fastest.
    graph.initializers.set('w', floats([1, 2, 1, 2], [1, 1, 0, 0]));
    const [layer] = layersOf(graph);
    if (!layer) throw new Error('expected a layer');
    const codes = codesOf(layer, Float32Array.of(1, 1, 0, 0), 'channel', 8);
    expect([...codes]).toEqual([127, 0, 127, 0]);
    expect(canSaturate(codes, 4)).toBe(false);
  });
});
