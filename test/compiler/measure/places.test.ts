import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { loadPlaces, type TimingPlace } from '../../../compiler/measure/places.ts';
import type { Runtime, Session } from '../../../shared/runtime.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';

const INPUT: Tensors = { x: float32([1, 3, 4, 8], new Float32Array(96)) };

/** Of a chain of two segments: what the first makes, and how long each takes by the engine's own clock. */
function place(h: number, changes: { ms?: number; load?: () => never; target?: string } = {}): TimingPlace {
  const session = (output: string, value: number): Session => {
    const outputs = { [output]: float32([1, 8], new Float32Array(8).fill(value)) };
    const own = { inputNames: [], outputNames: [output], release: async () => {} };
    const { ms } = changes;
    return { ...own, run: async () => outputs, ...(ms !== undefined && { runTimed: async () => ({ outputs, ms }) }) };
  };
  const runtime: Runtime = {
    name: 'fake',
    load: async (model) => changes.load?.() ?? (model[0] === 1 ? session('h', h) : session('y', 1)),
  };
  return { target: changes.target ?? 'wasm', runtime };
}

const load = (places: Record<string, TimingPlace>) =>
  loadPlaces(smallPlan(), new Map(Object.entries(places)), () => [Uint8Array.of(1), Uint8Array.of(2)], INPUT);
const fails = (message: string) => () => {
  throw new Error(message);
};

describe('places to time segments in', () => {
  test('are those whose engine loads, runs, and makes the boundaries that the target’s own makes', async () => {
    const { chains, remarks } = await load({
      wasm: place(1),
      threads: place(1.001),
      wrong: place(1.2),
      nan: place(Number.NaN),
      broken: place(1, { load: fails('no kernel for Foo') }),
    });
    expect([...chains.keys()]).toEqual(['wasm', 'threads']);
    expect(chains.get('threads')).toHaveLength(2);
    expect(remarks).toEqual([
      'wrong is left out: its boundaries are off by 0.20',
      'nan is left out: its boundaries are off by Infinity',
      'broken is left out: it does not run: no kernel for Foo',
    ]);
  });

  test('are compared with their own target: two targets may store segments differently', async () => {
    const { chains } = await load({ wasm: place(1), node: place(2, { target: 'node' }) });
    expect([...chains.keys()]).toEqual(['wasm', 'node']);
  });

  test('do not include one that takes too long, but for the target’s own', async () => {
    const { chains, remarks } = await load({ wasm: place(1, { ms: 60_000 }), webgpu: place(1, { ms: 8000 }) });
    expect([...chains.keys()]).toEqual(['wasm']);
    expect(remarks).toEqual(['webgpu is left out: its first run takes more than 15 s']);
  });

  test('must include the target’s own: what that throws is thrown', async () => {
    const own = place(1, { load: fails('no memory') });
    await expect(load({ wasm: own })).rejects.toThrow('no memory');
  });
});
