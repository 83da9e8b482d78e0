import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { localDevice } from '../../client/device.ts';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import type { PictureCodec } from '../../shared/codec/picture.ts';
import { goldenAnswer } from '../../shared/golden.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import { float32 } from '../../shared/tensor.ts';
import { modelOf } from '../compiler/run-graph.ts';
import { graphOf } from '../compiler/text-graph.ts';
import { packedWhole } from '../helpers/packed-whole.ts';

const clock = new FakeClock();
const pictures = { encode: async () => null, decode: () => Promise.reject(new Error()) } satisfies PictureCodec;

function deviceOn(load: Runtime['load']) {
  return localDevice({
    plan: smallPlan(),
    target: 'wasm',
    runtime: { name: 'fake', load },
    pictures,
    clock,
    random: seededRandom(1),
  });
}

function session(changes: Partial<Session> = {}): Session {
  return {
    inputNames: ['x'],
    outputNames: ['h'],
    run: async () => ({ h: float32([1, 2, 1, 1], new Float32Array(2)) }),
    release: async () => {},
    ...changes,
  };
}

describe('a device in this thread', () => {
  test('does one thing at a time, and tells the time of each alone', async () => {
    let underWay = 0;
    const device = deviceOn(async () =>
      session({
        run: async () => {
          underWay++;
          expect(underWay).toBe(1);
          await new Promise<void>((resolve) => clock.after(10, resolve));
          underWay--;
          return { h: float32([1, 2, 1, 1], new Float32Array(2)) };
        },
      }),
    );
    const loading = device.load(0, new Uint8Array());
    await clock.advance(100);
    await loading;
    const crossing = { k: 0, size: 4, tensors: { x: float32([1, 3, 4, 4], new Float32Array(48)) }, picture: null };
    const both = Promise.all([device.advance(crossing), device.advance(crossing)]);
    await clock.advance(100);
    expect((await both).map(({ ms }) => ms)).toEqual([10, 10]);
  });

  test('runs a segment that comes packed as it runs the same one plain', async () => {
    const file = writeModel(
      modelOf(graphOf('in x [1,3,4,width]\nconst w [2,3,4,4]\nh = Conv(x, w) strides=[4,4]\nout h')),
    );
    const device = deviceOn((model) => nodeRuntime(ort, { threads: 1 }).load(model));
    const x = float32(
      [1, 3, 4, 8],
      Float32Array.from({ length: 96 }, (_, i) => Math.sin(i)),
    );
    const crossing = { k: 0, size: 8, tensors: { x }, picture: null };
    await device.load(0, file);
    const plain = await device.advance(crossing);
    const packed = packedWhole(file);
    await device.load(0, packed);
    expect((await device.advance(crossing)).value).toEqual(plain.value);
    await expect(device.load(0, packed.subarray(0, -1))).rejects.toMatchObject({ code: 'BAD_BUNDLE' });
    await device.close();
  });

  test('goes on after something failed', async () => {
    let runs = 0;
    const device = deviceOn(async () =>
      session({
        run: async () =>
          runs++ === 4 ? Promise.reject(new Error('once')) : { h: float32([1, 2, 1, 1], new Float32Array(2)) },
      }),
    );
    await device.load(0, new Uint8Array());
    const crossing = { k: 0, size: 4, tensors: { x: float32([1, 3, 4, 4], new Float32Array(48)) }, picture: null };
    await expect(device.advance(crossing)).rejects.toThrow('once');
    await expect(device.advance(crossing)).resolves.toMatchObject({ value: { k: 1 } });
  });

  test('runs elsewhere, in the same request, what fails on a provider that it chose, and does not try that one again', async () => {
    const [released, loaded]: [string[], string[]] = [[], []];
    let isLost = false;
    const runtimeOf = (name: string, ms: number): Runtime => ({
      name,
      async load() {
        loaded.push(name);
        return session({
          async run() {
            if (isLost && name === 'webgpu') throw new Error('the adapter is lost');
            await new Promise<void>((resolve) => clock.after(ms, resolve));
            return { h: float32([1, 2, 1, 1], new Float32Array(2).fill(1 + ms / 1000)) };
          },
          async release() {
            released.push(name);
            if (isLost) throw new Error('the adapter is lost');
          },
        });
      },
    });
    const plan = smallPlan();
    const ones = { h: float32([1, 2, 1, 1], Float32Array.of(1, 1)) };
    Object.assign(plan.segments[0]?.targets['wasm'] ?? {}, { golden: goldenAnswer(ones, ['h']) });
    const device = localDevice({
      ...{ plan, target: 'wasm', pictures, clock, random: seededRandom(1) },
      runtime: runtimeOf('wasm', 10),
      others: [{ name: 'webgpu', runtime: runtimeOf('webgpu', 1), takesIntegers: true }],
    });
    const finished = async <T>(work: Promise<T>): Promise<T> => {
      await clock.advance(200);
      return work;
    };
    expect((await finished(device.load(0, new Uint8Array()))).value.provider).toBe('webgpu');
    expect([loaded.splice(0), released.splice(0)]).toEqual([['wasm', 'webgpu'], ['wasm']]);
    const crossing = { k: 0, size: 4, tensors: { x: float32([1, 3, 4, 4], new Float32Array(48)) }, picture: null };

    isLost = true;
    const both = await finished(Promise.all([device.advance(crossing), device.advance(crossing)]));
    for (const { value, replaced } of both) {
      expect(value.tensors['h']?.data).toEqual(Float32Array.of(1.01, 1.01));
      const demoted = ['webgpu, from segment 1 on: the adapter is lost'];
      expect(replaced).toEqual({ provider: 'wasm', demoted });
    }
    expect([loaded, released]).toEqual([['wasm'], ['webgpu']]);
    expect(await finished(device.advance(crossing))).not.toHaveProperty('replaced');
  });

  test('loads at the next attempt what it had no memory for', async () => {
    let fails = 1;
    const device = deviceOn(async () => {
      if (fails-- > 0) throw new Error('out of memory');
      return session();
    });
    await expect(device.load(0, new Uint8Array())).rejects.toThrow('out of memory');
    expect((await device.load(0, new Uint8Array())).value.provider).toBe('fake');
  });

  test('lets go of a model that came after it was closed', async () => {
    let released = 0;
    let arrive = (_: Session) => {};
    const device = deviceOn(
      () =>
        new Promise<Session>((resolve) => {
          arrive = resolve;
        }),
    );
    const loading = device.load(0, new Uint8Array());
    await device.close();
    arrive(session({ release: async () => void released++ }));
    await expect(loading).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    expect(released).toBe(1);
  });
});
