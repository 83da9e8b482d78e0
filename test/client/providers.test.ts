import { describe, expect, test } from 'vitest';
import type { Timed } from '../../client/device.ts';
import { type Provider, providersFor } from '../../client/providers.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { goldenAnswer, goldenError } from '../../shared/golden.ts';
import type { Plan } from '../../shared/plan.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';

const right = (): Tensors => ({ h: float32([1, 2, 1, 1], Float32Array.of(0.5, -3)) });
const wrong = (): Tensors => ({ h: float32([1, 2, 1, 1], Float32Array.of(0.5, 3)) });

function goldenPlan(recipe = 'float32'): Plan {
  const plan = smallPlan();
  const file = plan.segments[0]?.targets['wasm'];
  Object.assign(file ?? {}, { golden: goldenAnswer(right(), ['h']), recipe });
  return plan;
}

/** Runs take so many milliseconds; the first `coldMs`. */
function provider(
  name: string,
  ms: number,
  { answers = [right], takesIntegers = false, coldMs = ms, fails = false } = {},
): Provider & { released: number; runs: number } {
  const self = {
    ...{ name, takesIntegers, released: 0, runs: 0 },
    runtime: {
      name,
      load: async () => {
        if (fails) throw new Error('no adapter');
        return {
          inputNames: ['x'],
          outputNames: ['h'],
          run: async () => {
            elapsed = self.runs++ === 0 ? coldMs : ms;
            return (answers[Math.min(self.runs - 1, answers.length - 1)] as () => Tensors)();
          },
          release: async () => {
            self.released++;
          },
        };
      },
    },
  };
  return self;
}

let elapsed = 0;
const timed = async (work: () => Promise<Tensors>): Promise<Timed<Tensors>> => {
  const value = await work();
  return { value, ms: elapsed };
};
const providersOf = (plan: Plan, ...all: Provider[]) => providersFor(plan, 'wasm', timed, all);
const MODEL = new Uint8Array();

describe('what runs a segment', () => {
  test('is the fastest that is right, first runs left out; the others are let go', async () => {
    const [wasm, webgpu] = [provider('wasm', 10), provider('webgpu', 4, { coldMs: 900 })];
    const providers = providersOf(goldenPlan(), wasm, webgpu);
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'webgpu', ms: 4 });
    expect([wasm.released, webgpu.released]).toEqual([1, 0]);
    expect(providers.demoted).toEqual(['wasm, from segment 1 on: 10.0 ms, slower than webgpu']);
  });

  test('is what is trusted where nothing else is clearly faster', async () => {
    const providers = providersOf(goldenPlan(), provider('wasm', 10), provider('webgpu', 9.8));
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
  });

  test('is no provider that gives wrong numbers, even only now and then, however fast', async () => {
    const sometimes = provider('webgpu', 1, { answers: [right, right, wrong] });
    const providers = providersOf(goldenPlan(), provider('wasm', 10), sometimes);
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
    expect(providers.demoted[0]).toMatch(/^webgpu, from segment 1 on: webgpu is wrong by [\d.]+ in segment 1$/);
    expect(sometimes.released).toBe(1);
    // And it is not asked again.
    const { runs } = sometimes;
    await providers.choose(0, MODEL);
    expect(sometimes.runs).toBe(runs);
  });

  test('is what is trusted where no right answer is known', async () => {
    const webgpu = provider('webgpu', 1);
    const providers = providersOf(smallPlan(), provider('wasm', 10), webgpu);
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
    expect([webgpu.runs, providers.demoted]).toEqual([0, []]);
  });

  test('takes no integers where it would turn them back and forth', async () => {
    const webgpu = provider('webgpu', 1);
    const providers = providersOf(
      goldenPlan('int8 x 3, w8 x 2'),
      provider('wasm', 10, { takesIntegers: true }),
      webgpu,
    );
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
    expect(webgpu.runs).toBe(0);
    expect(providers.demoted).toEqual([]);
  });

  test('is what was slower where the faster one cannot', async () => {
    const plan = goldenPlan();
    const [wasm, webgpu] = [provider('wasm', 10, { takesIntegers: true }), provider('webgpu', 1)];
    const providers = providersOf(plan, wasm, webgpu);
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'webgpu' });
    Object.assign(plan.segments[0]?.targets['wasm'] ?? {}, { recipe: 'int8 x 1' });
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
  });

  test('is what was slower where the faster one is wrong', async () => {
    const [wasm, webgpu] = [
      provider('wasm', 10),
      provider('webgpu', 1, { answers: [right, right, right, right, wrong] }),
    ];
    const providers = providersOf(goldenPlan(), wasm, webgpu);
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'webgpu' });
    expect(await providers.choose(0, MODEL)).toMatchObject({ provider: 'wasm' });
  });

  test('fails where none can, with the reason of the one that is trusted', async () => {
    const providers = providersOf(
      goldenPlan(),
      provider('wasm', 1, { answers: [wrong] }),
      provider('webgpu', 1, { fails: true }),
    );
    await expect(providers.choose(0, MODEL)).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: expect.stringContaining('wasm is wrong'),
    });
  });
});

describe('the golden answer', () => {
  const names = ['h'];
  const near = (factor: number): Tensors => ({
    h: float32(
      [1, 2, 1, 64],
      Float32Array.from({ length: 128 }, (_, i) => Math.sin(i * i) * factor + (i === 77 ? 1 - factor : 0)),
    ),
  });

  test('forgives what half precision does, and nothing that is wrong', () => {
    const golden = goldenAnswer(near(1), names);
    expect(goldenError(golden, near(1.002), names)).toBeNull();
    expect(goldenError(golden, near(1.1), names)).toBeGreaterThan(0.02);
    // Same values in another order: the norm alone would not tell.
    const { data } = near(1)['h'] as { data: Float32Array };
    expect(goldenError(golden, { h: float32([1, 2, 1, 64], data.slice().reverse()) }, names)).toBeGreaterThan(0.1);
    expect(
      goldenError(
        golden,
        {
          h: float32(
            [1, 2, 1, 64],
            data.map(() => Number.NaN),
          ),
        },
        names,
      ),
    ).toBe(Number.POSITIVE_INFINITY);
    expect(goldenError(golden, {}, names)).toBeGreaterThan(0.9);
  });
});

test('a provider whose session was let go in vain is not chosen', async () => {
  const released: string[] = [];
  const made = (name: string, ms: number) => {
    const own = provider(name, ms);
    const load = async () => ({
      ...(await own.runtime.load(MODEL)),
      release: async () => {
        released.push(name);
        throw new Error('the device was lost');
      },
    });
    return { ...own, runtime: { name, load } };
  };
  const { provider: chosen } = await providersOf(goldenPlan(), made('wasm', 10), made('webgpu', 1)).choose(0, MODEL);
  expect([chosen, released]).toEqual(['webgpu', ['wasm']]);
});
