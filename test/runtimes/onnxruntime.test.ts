import type { InferenceSession } from 'onnxruntime-common';
import { expect, test } from 'vitest';
import { type OrtModule, ortRuntime } from '../../runtimes/onnxruntime.ts';

test('gives float16 as its bits, also where the platform has an array of its own for it', async () => {
  // 1 and -2. Node has no Float16Array: any other array of two bytes stands for it.
  const data = new Int16Array(Uint16Array.of(0, 0x3c00, 0xc000).buffer, 2);
  const session = {
    inputNames: [],
    outputNames: ['h'],
    run: async () => ({ h: { type: 'float16', dims: [2], data } }),
  };
  const create = async () => session as unknown as InferenceSession;
  const ort = { InferenceSession: { create }, env: { versions: { common: '' } } } as unknown as OrtModule;
  const { h } = await (await ortRuntime(ort, 'web', {}).load(new Uint8Array())).run({});
  expect(h).toEqual({ dtype: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) });
});
