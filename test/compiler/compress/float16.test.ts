import { describe, expect, test } from 'vitest';
import { float16Bits, float16Values } from '../../../compiler/compress/float16.ts';
import { int, makeGraph, makeNode } from '../../../compiler/graph/graph.ts';
import { seededRandom } from '../../../shared/random.ts';
import { float32 } from '../../../shared/tensor.ts';
import { runGraph } from '../run-graph.ts';

describe('float16', () => {
  test('bits give back their own values, all of them', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((half) => (half & 0x7fff) <= 0x7c00);
    expect(float16Bits(float16Values(bits))).toEqual(bits);
  });

  test('rounds as onnxruntime does: ties, subnormals, overflow and signed zeros among them', async () => {
    const random = seededRandom(2);
    const many = Array.from({ length: 20_000 }, () => (random() - 0.5) * 2 ** Math.floor(random() * 48 - 30));
    // Just on, below and above the middle of two neighbours.
    const ties = Array.from({ length: 2000 }, (_, i) => (1 + (2 * i + 1) / 2048) * 2 ** ((i % 30) - 14));
    const fine = Array.from({ length: 64 }, (_, i) => (i / 2) * 2 ** -24);
    const edges = [0, -0, 65504, 65519.99, 65520, 1e6, -1e6, 1e-10, 2 ** -25, 2 ** -14, Infinity, -Infinity];
    const values = Float32Array.from([...many, ...ties, ...ties.map((x) => x * (1 + 1e-6)), ...fine, ...edges]);
    const graph = makeGraph({
      inputs: [{ name: 'x', elementType: 'float32', shape: [values.length] }],
      outputs: [{ name: 'y', elementType: 'float16', shape: null }],
      nodes: [makeNode('Cast', ['x'], ['y'], { to: int(10) })],
    });
    const { y } = await runGraph(graph, { x: float32([values.length], values) }, 13);
    expect(float16Bits(values)).toEqual(Uint16Array.from(y?.data as Uint16Array));
    expect(float16Bits(Float32Array.of(Number.NaN))[0]).toBeGreaterThan(0x7c00);
  });
});
