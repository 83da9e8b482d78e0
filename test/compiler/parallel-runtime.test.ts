import * as ort from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import { severalAtATime } from '../../compiler/several-at-a-time.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { parallelRuntime } from '../../runtimes/onnxruntime-node-parallel.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { tinyModelBytes } from '../helpers/tiny-model.ts';

const parallel = parallelRuntime(2);
afterAll(() => parallel.close());

const inputOf = (seed: number): Tensors => ({
  x: float32(
    [1, 3, 8, 32],
    Float32Array.from({ length: 768 }, (_, i) => Math.sin(i * seed)),
  ),
});

describe('onnxruntime-node in several threads', () => {
  test('gives bit for bit what it gives in one, in the order that was asked', async () => {
    const alone = await nodeRuntime(ort, { threads: 1 }).load(tinyModelBytes());
    const several = await parallel.runtime.load(tinyModelBytes());
    expect([several.inputNames, several.outputNames]).toEqual([alone.inputNames, alone.outputNames]);
    const seeds = Array.from({ length: 24 }, (_, i) => i + 1);
    const expected = await severalAtATime(seeds, (seed) => alone.run(inputOf(seed)));
    expect(await severalAtATime(seeds, (seed) => several.run(inputOf(seed)))).toEqual(expected);
    await several.release();
  });

  test('does not answer with nothing after a thread has ended', async () => {
    const mortal = parallelRuntime(1);
    const session = await mortal.runtime.load(tinyModelBytes());
    await mortal.close();
    await expect(session.run(inputOf(1))).rejects.toMatchObject({ code: 'INTERNAL' });
    await mortal.close();
  });

  test('says what a thread says of a model that is none', async () => {
    await expect(parallel.runtime.load(new Uint8Array(8))).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });
});

describe('work on several items at a time', () => {
  test('is never more than four, keeps the order, and fails with the first that fails', async () => {
    let [now, most] = [0, 0];
    const work = async (ms: number) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, ms));
      now--;
      return ms;
    };
    const items = [9, 1, 5, 2, 8, 3, 7, 4];
    expect(await severalAtATime(items, work)).toEqual(items);
    expect(most).toBe(4);
    async function* oneAfterAnother() {
      yield* items;
    }
    expect(await severalAtATime(oneAfterAnother(), work)).toEqual(items);
    await expect(severalAtATime(items, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
