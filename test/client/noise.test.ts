/** Noise that policy asks for: how it is drawn, and what a client sends with it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { withNoise } from '../../client/noise.ts';
import { secureRandom } from '../../client/secure-random.ts';
import type { Client } from '../../client/types.ts';
import type { Task } from '../../server/executor.ts';
import { boundaryCodec } from '../../shared/codec/boundary.ts';
import type { Noise } from '../../shared/codec/noise.ts';
import { TandemError } from '../../shared/errors.ts';
import type { Connector } from '../../shared/protocol/channel.ts';
import { decodeFrame, encodeFrame } from '../../shared/protocol/frames.ts';
import { parseServerMessage } from '../../shared/protocol/server-messages.ts';
import { seededRandom } from '../../shared/random.ts';
import { float32 } from '../../shared/tensor.ts';
import { answerOf, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

const NOISE = { type: 'gaussian', scale: 0.5 } as const;
/** Every label that these tests make up. */
const EVERYBODY = { anonymous: { labels: ['noisy', 'plain'] }, tokens: [] };

/** What the gateway reads of h. */
async function valuesOf({ plan }: ClientHarness, task: Task | undefined): Promise<number[]> {
  if (!task) throw new Error('nothing came');
  const codec = boundaryCodec(plan, { encode: async () => null, decode: () => Promise.reject() });
  return Array.from((await codec.decode(1, task.tier, task.payload)).tensors['h']?.data ?? [], Number);
}

/** Of the values of two copies. */
function furthest(values: readonly number[], others: readonly number[]): number {
  return Math.max(...values.map((value, i) => Math.abs(value - (others[i] as number))));
}

describe('noise', () => {
  const crossing = {
    k: 1,
    size: 16,
    tensors: { h: float32([1, 2, 1, 4], new Float32Array(8).fill(0.5)) },
    picture: null,
  };

  test('is the same for a seed, of every kind that is asked for, and leaves what it is added to', async () => {
    const { plan } = new ClientHarness();
    const noises = [{ type: 'dropout', scale: 0.5 }, NOISE] as const;
    const noisy = withNoise(plan, crossing, noises, seededRandom(1));
    expect(noisy).toEqual(withNoise(plan, crossing, noises, seededRandom(1)));
    expect(noisy).not.toEqual(withNoise(plan, crossing, noises, seededRandom(2)));
    expect(crossing.tensors.h.data).toEqual(new Float32Array(8).fill(0.5));
    expect(withNoise(plan, crossing, [], seededRandom(1))).toBe(crossing);
  });

  const deviationOf = (values: ArrayLike<number>) => {
    const mean = Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
    return Math.sqrt(Array.from(values).reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  };
  const COUNT = 20_000;
  // The deviation of so many values is itself known to 0.5 %; of laplace, which has longer tails, to 0.8 %.
  test.each([
    ['gaussian alone', [{ type: 'gaussian', scale: 0.5 }], 0.5],
    ['laplace alone', [{ type: 'laplace', scale: 2 }], 2],
    // What is dropped is left with the other's noise.
    ['dropout of all before gaussian', [{ type: 'dropout', scale: 1 }, NOISE], 0.5],
    [
      'dropout of most before laplace',
      [
        { type: 'dropout', scale: 0.99 },
        { type: 'laplace', scale: 2 },
      ],
      2,
    ],
    ['gaussian before laplace', [NOISE, { type: 'laplace', scale: 2 }], Math.sqrt(0.5 ** 2 + 2 ** 2)],
    ['clipped', [{ ...NOISE, clip: 0.25 }], 0.5],
  ] satisfies [string, Noise[], number][])('is as strong as is asked for: %s', (_, noises, multiple) => {
    const { plan } = new ClientHarness();
    const values = new Float32Array(COUNT).fill(3);
    const tensors = { h: float32([1, 2, 1, COUNT / 2], values) };
    const noisy = withNoise(plan, { ...crossing, tensors }, noises, seededRandom(1)).tensors['h'];
    expect(Math.abs(deviationOf(Array.from(noisy?.data ?? [], Number)) / (3 * multiple) - 1)).toBeLessThan(0.03);
    expect(new Set(Array.from(noisy?.data ?? [], Number)).size).toBeGreaterThan(0.99 * COUNT);
  });

  test('is added to what crosses alone, and to fractions alone', () => {
    const { plan } = new ClientHarness();
    const made = float32([1, 4], new Float32Array(4));
    const { tensors, picture } = withNoise(
      plan,
      { ...crossing, picture: PICTURE, tensors: { ...crossing.tensors, made } },
      [NOISE],
      seededRandom(1),
    );
    expect([Object.keys(tensors), picture]).toEqual([['h'], null]);
    const codes = { dtype: 'int8', shape: [1, 2, 1, 4], data: new Int8Array(8) } as const;
    expect(() => withNoise(plan, { ...crossing, tensors: { h: codes } }, [NOISE], seededRandom(1))).toThrow(
      'noise is added to float32, and h is int8',
    );
  });

  test('is made of numbers in [0, 1) of the platform’s generator, and of no other', () => {
    const random = secureRandom(globalThis.crypto);
    const numbers = Array.from({ length: 20_000 }, random);
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
    // Six standard errors.
    expect(Math.abs(mean - 0.5)).toBeLessThan(6 * Math.sqrt(1 / 12 / numbers.length));
    expect(new Set(numbers).size).toBe(numbers.length);
    const highest = secureRandom({ getRandomValues: (words) => words.fill(0xffffffff) });
    expect(highest()).toBeLessThan(1);
    expect(() => secureRandom(undefined)()).toThrow('crypto.getRandomValues');
  });
});

describe('a client', () => {
  test('adds the noise that either policy asks for, says so, and goes on without it by itself', async () => {
    const rule = { from: 'h', noise: NOISE };
    const harness = new ClientHarness({ policy: { labels: { noisy: rule, plain: 'h' } }, credentials: EVERYBODY });
    const labels = { noisy: { from: 'h', noise: { type: 'dropout', scale: 0.1 } }, plain: 'h' } as const;
    const client = await harness.ready({ policy: { labels } });
    const noise = [{ type: 'dropout', scale: 0.1 }, NOISE];
    const ask = async (label: string) => {
      const result = client.infer(PICTURE, { label, force: { k: 1, tier: 'q8' } });
      await harness.serve();
      return (await result).route;
    };
    const route = await ask('noisy');
    expect(route.sent).toMatchObject([{ k: 1, noise, outcome: 'answered' }]);
    expect(route.receipt?.receipt.noisePromised).toEqual(noise);
    expect(harness.messagesOf('infer')).toMatchObject([{ noise }]);
    expect((await ask('plain')).sent).toMatchObject([{ noise: [] }]);
    const [noisy, plain] = harness.gateway.executor.seen;
    expect(new Set(await valuesOf(harness, plain)).size).toBe(1);
    expect(new Set(await valuesOf(harness, noisy)).size).toBeGreaterThan(3);
    // The device's own answer is made of what it had before.
    const late = client.infer(PICTURE, { label: 'noisy', force: { k: 1, tier: 'q8' } });
    await harness.pass(10_000);
    const { outputs, route: own } = await late;
    expect(own.fallback?.reason).toBe('late');
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
  });

  test('draws noise once for a request, for every tier and however often it is asked to send it again', async () => {
    const harness = new ClientHarness({ policy: { labels: { noisy: 'h' } }, credentials: EVERYBODY });
    harness.segmentsAllowed = 1;
    const client = await harness.ready({ policy: { labels: { noisy: { from: 'h', noise: NOISE } } } });
    const { executor } = harness.gateway;
    const ask = async (deadlineMs: number) => {
      const before = executor.seen.length;
      const result = client.infer(PICTURE, { label: 'noisy', deadlineMs });
      result.catch(() => {});
      await harness.pass(1);
      for (let step = 0; step < 10; step++) {
        // The first tier is too large; nothing can be taken now of the second.
        executor.fail(new TandemError(step === 0 ? 'PAYLOAD_TOO_LARGE' : 'OVERLOADED', 'no'));
        await harness.pass(deadlineMs / 10);
      }
      await expect(result).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      const tasks = executor.seen.slice(before);
      return Promise.all(tasks.map(async (task) => ({ tier: task.tier, values: await valuesOf(harness, task) })));
    };
    const copies = await ask(30_000);
    expect(copies.length).toBeGreaterThan(3);
    expect(new Set(copies.map(({ tier }) => tier))).toEqual(new Set(['q8', 'q4']));
    const [first] = copies;
    // Half a step of each tier.
    for (const { values } of copies) expect(furthest(values, first?.values ?? [])).toBeLessThan(1 / 255 + 1 / 15);
    // Another request has noise of its own.
    const [other] = await ask(1_000);
    expect(furthest(other?.values ?? [], first?.values ?? [])).toBeGreaterThan(0.2);
  });

  test('sends no picture where noise is to be added', async () => {
    const harness = new ClientHarness({ policy: { labels: { noisy: 'input' } }, credentials: EVERYBODY });
    const client = await harness.ready({ policy: { labels: { noisy: { from: 'input', noise: NOISE } } } });
    const decision = await client.explain(PICTURE, { label: 'noisy' });
    const picture = decision.removed.find(({ k }) => k === 0);
    expect(picture?.reason).toBe('policy: noise is to be added, and webp-80 is a picture as it is');
  });

  describe('sends no copies of a tensor whose mean would be the tensor', () => {
    const policy = { labels: { noisy: { from: 'h', noise: NOISE } } } as const;
    /** Of a picture as wide as this, whose h is 0.5 everywhere; whatever becomes of it. */
    const ask = (client: Client, width: number) => {
      const picture = { width, height: 4, data: new Uint8Array(width * 4 * 4) };
      client.infer(picture, { label: 'noisy', deadlineMs: 120_000 }).catch(() => {});
    };
    let harness: ClientHarness;
    beforeEach(() => {
      harness = new ClientHarness({ policy: { labels: { noisy: 'h' } }, credentials: EVERYBODY, concurrency: 64 });
      harness.segmentsAllowed = 1;
    });
    const copies = () => Promise.all(harness.gateway.executor.seen.map((task) => valuesOf(harness, task)));

    test('where a gateway asks for a little more noise at each connection', async () => {
      const { connector } = harness.host();
      let scale = NOISE.scale;
      /** A gateway whose policy is stricter each time. */
      const stricter =
        (url: string): Connector =>
        (events) =>
          connector(url)({
            ...events,
            onFrame(frame) {
              const message = parseServerMessage(decodeFrame(frame).header);
              if (message.type !== 'welcome') return events.onFrame(frame);
              scale += 0.001;
              const labels = message.labels.map((each) => ({
                ...each,
                terms: [...each.terms, { noise: { ...NOISE, scale } }],
              }));
              events.onFrame(encodeFrame({ ...message, labels }));
            },
          });
      const client = await harness.connect({ policy }, { connector: stricter });
      await harness.pass(1);
      ask(client, 64);
      for (let i = 0; i < 11; i++) {
        await harness.pass(10_500);
        await harness.cut();
      }
      const sent = await copies();
      expect(sent.length).toBeGreaterThan(7);
      const off = (values: readonly number[]) =>
        Math.sqrt(values.reduce((sum, value) => sum + (value - 0.5) ** 2, 0) / values.length);
      const [first = []] = sent;
      const mean = first.map((_, at) => sent.reduce((sum, copy) => sum + (copy[at] as number), 0) / sent.length);
      expect(off(mean)).toBeGreaterThan(0.8 * off(first));
    });

    test('where the gateway serves another plan each time', async () => {
      const random = seededRandom(7);
      harness.onDevice = (device) => ({
        ...device,
        // Of a generator that is not sown anew for each device.
        addNoise: async (crossing, noise) => ({ value: withNoise(harness.plan, crossing, noise, random), ms: 0 }),
      });
      ask(await harness.ready({ policy }), 32);
      for (let i = 0; i < 5; i++) {
        await harness.pass(10_500);
        harness.changePlan();
        await harness.cut();
      }
      const [first, ...others] = await copies();
      expect(first).toHaveLength(16);
      expect(others.filter((values) => furthest(values, first ?? []) > 0.2)).toEqual([]);
    });
  });
});
