/** What else the client offers around `infer`. */
import { beforeEach, describe, expect, test } from 'vitest';
import { answersByKey } from '../../client/answers.ts';
import { settle } from '../../client/testkit/fake-clock.ts';
import { createTestkit } from '../../client/testkit/index.ts';
import type { Client, ClientOptions, Input, StreamResult } from '../../client/types.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

describe('explain', () => {
  test('says what infer would decide, and runs and sends nothing', async () => {
    const ran: string[] = [];
    harness.onDevice = (device) => {
      const noted = (['begin', 'advance', 'addNoise', 'encode'] as const).map((step) => {
        const run = (...args: readonly unknown[]) => {
          ran.push(step);
          return Reflect.apply(device[step], device, args);
        };
        return [step, run];
      });
      return { ...device, ...Object.fromEntries(noted) };
    };
    const client = await harness.ready();
    const before = harness.messagesOf('infer').length;
    const decision = await client.explain(PICTURE, { label: 'personal' });
    expect(decision.chosen).not.toBeNull();
    expect(decision.removed).toContainEqual(
      expect.objectContaining({ k: 0, reason: expect.stringContaining('policy') }),
    );
    expect([harness.messagesOf('infer').length, ran]).toEqual([before, []]);
    const result = client.infer(PICTURE, { label: 'personal' });
    await harness.serve();
    expect(ran).toContain('begin');
    expect((await result).route.decisions[0]?.chosen).toEqual(decision.chosen);
  });

  test('refuses what infer refuses', async () => {
    const client = await harness.ready();
    await expect(client.explain(PICTURE, { label: 'secret', force: { k: 0 } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    await expect(client.explain({} as Input)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await client.close();
    await expect(client.explain(PICTURE)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('knows what the input and the device stand in the way of', async () => {
    const reasonAt0 = async (client: Client, input: Input) => {
      const { candidates, removed } = await client.explain(input, { label: 'public' });
      expect(candidates.map(({ k }) => k)).not.toContain(0);
      return removed.find(({ k }) => k === 0)?.reason;
    };
    const x = { dtype: 'float32', shape: [1, 3, 4, 16], data: new Float32Array(192) } as const;
    expect(await reasonAt0(await harness.ready(), { x })).toBe('the input was a tensor, not a picture');
    harness.webpWorks = false;
    expect(await reasonAt0(await harness.ready(), PICTURE)).toBe('this device cannot make the format');
  });

  test('heeds the deadline', async () => {
    const client = await harness.ready();
    await harness.pass(60_000);
    const { record } = await client.explain(PICTURE, { label: 'secret', deadlineMs: 1234 });
    expect(record.constraints.deadlineMs).toBe(1234);
  });
});

describe('an objective', () => {
  test('weighs what a request costs', async () => {
    const offloads = async (objective: ClientOptions['objective']) => {
      const client = await harness.ready({ objective });
      const { chosen } = await client.explain(PICTURE, { label: 'public' });
      return (chosen?.k ?? 0) < 2;
    };
    const slow = { fixed: 300, perSize: 0 };
    Object.assign(harness.plan.measured?.timeMs ?? {}, { wasm: [slow, slow] });
    expect([await offloads({}), await offloads({ msPerOffload: 10_000 })]).toEqual([true, false]);
  });

  test('that is none is refused before anything is asked of the gateway', async () => {
    await expect(harness.connect({ objective: { msPerJoule: -1 } })).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    expect([harness.channels.length, harness.fetches.length]).toEqual([0, 0]);
  });
});

test('an asset that the plan does not have is refused with the names of those that it has', async () => {
  const client = await harness.ready();
  harness.plan.assets = { charset: { file: 'charset.txt', sha256: 'a'.repeat(64), bytes: 3 } };
  const other = await harness.ready();
  await expect(client.asset('charset')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(other.asset('words')).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'small has no asset words, only charset',
  });
});

test('a client that could not connect leaves nothing behind that hears of the page', async () => {
  harness.planFails = true;
  const listeners = new Set<unknown>();
  const listen = (listener: unknown) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const signal = AbortSignal.abort(new Error('not any more'));
  const connecting = harness.connect({ signal }, { onWake: listen, onLeave: listen, onNetwork: listen });
  await expect(connecting).rejects.toThrow('not any more');
  expect(listeners.size).toBe(0);
});

describe('a preference', () => {
  test('for the device keeps a request there, for the cloud sends it as it is', async () => {
    const client = await harness.ready();
    const here = await client.infer(PICTURE, { label: 'public', prefer: 'device' });
    expect(here.route).toMatchObject({ k: 2, provider: 'fake', sent: [] });
    expect(here.route.why).toContain('all on the device');
    const result = client.infer(PICTURE, { label: 'public', prefer: 'cloud' });
    await harness.serve();
    const there = await result;
    expect(there.route).toMatchObject({ k: 0, provider: null, sent: [{ k: 0, outcome: 'answered' }] });
    expect(there.route.why).toMatch(/^k = 0 as webp-80: expected in \d+ ms, next k = [12] as \w+ at \d+ ms$/);
  });

  test('does not make policy give way', async () => {
    const client = await harness.ready();
    const { route } = await client.infer(PICTURE, { label: 'secret', prefer: 'cloud' });
    expect(route.k).toBe(2);
  });
});

describe('an idempotency key', () => {
  test('makes the same request of two, and a new one of one that failed', async () => {
    const client = await harness.ready();
    const ask = () => client.infer(PICTURE, { label: 'public', force: { k: 0 }, idempotencyKey: 'a' });
    const both = [ask(), ask()];
    await harness.serve();
    const [first, second] = await Promise.all(both);
    expect(second).toBe(first);
    expect(harness.messagesOf('infer')).toHaveLength(1);
    expect(client.diagnostics().routes).toHaveLength(1);
    const bad = { label: 'public', deadlineMs: -1, idempotencyKey: 'b' };
    await expect(client.infer(PICTURE, bad)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    const good = client.infer(PICTURE, { ...bad, deadlineMs: 1000, prefer: 'device' });
    expect(answerOf((await good).outputs)).toEqual(DEVICE_ANSWER);
  });

  test('is that of what is under way, however many keys came since', async () => {
    const answers = answersByKey<number>();
    let asked = 0;
    void answers.once('first', () => {
      asked++;
      return new Promise(() => {});
    });
    for (let i = 0; i < 256; i++) await answers.once(`other ${i}`, async () => i);
    void answers.once('first', async () => ++asked);
    expect(asked).toBe(1);
  });
});

describe('an idempotency key shared by two callers', () => {
  test('lets each leave by itself, and ends the request with the last of them', async () => {
    const client = await harness.ready();
    const ask = (signal?: AbortSignal) =>
      client.infer(PICTURE, { label: 'public', force: { k: 0 }, idempotencyKey: 'a', signal });
    const [one, two] = [new AbortController(), new AbortController()];
    const [first, second, third] = [ask(one.signal), ask(two.signal), ask()];
    const left = expect(first).rejects.toThrow('first left');
    const alsoLeft = expect(second).rejects.toThrow('second left');
    await harness.pass(1);
    one.abort(new Error('first left'));
    two.abort(new Error('second left'));
    await left;
    await alsoLeft;
    expect(harness.messagesOf('cancel')).toHaveLength(0);
    await harness.finish();
    expect(answerOf((await third).outputs)).toEqual(CLOUD_ANSWER);
    const last = new AbortController();
    const alone = client.infer(PICTURE, {
      ...{ label: 'public', force: { k: 0 }, idempotencyKey: 'b', signal: last.signal },
    });
    const leftAlone = expect(alone).rejects.toThrow('last left');
    await harness.pass(1);
    last.abort(new Error('last left'));
    await leftAlone;
    await harness.pass(1);
    expect(harness.messagesOf('cancel')).toHaveLength(1);
  });
});

describe('a stream', () => {
  /** A camera that a test triggers. */
  class Camera implements AsyncIterable<Input> {
    readonly closed: number[] = [];
    isStopped = false;
    private readonly frames: Input[] = [];
    private wake = () => {};
    private isOver = false;
    private taken = 0;

    take(): void {
      const number = this.taken++;
      this.frames.push(Object.assign({ ...PICTURE }, { close: () => this.closed.push(number) }));
      this.wake();
    }

    end(): void {
      this.isOver = true;
      this.wake();
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<Input, void> {
      try {
        for (;;) {
          const frame = this.frames.shift();
          if (frame) yield frame;
          else if (this.isOver) return;
          else {
            await new Promise<void>((resolve) => {
              this.wake = resolve;
            });
          }
        }
      } finally {
        this.isStopped = true;
      }
    }
  }

  test('answers the newest frame and lets go of those that came meanwhile', async () => {
    const client = await harness.ready();
    const camera = new Camera();
    const results: StreamResult[] = [];
    const reading = (async () => {
      for await (const result of client.stream(camera, { label: 'public', force: { k: 0 } })) results.push(result);
    })();
    camera.take();
    await harness.pass(1);
    for (let i = 0; i < 4; i++) {
      camera.take();
      await harness.pass(1);
    }
    await harness.finish();
    await harness.serve();
    camera.end();
    await reading;
    expect(results.map(({ dropped }) => dropped)).toEqual([0, 3]);
    expect(results.map(({ outputs }) => answerOf(outputs))).toEqual([CLOUD_ANSWER, CLOUD_ANSWER]);
    expect(harness.messagesOf('infer')).toHaveLength(2);
    // Dropped ones at once, used ones when they were answered.
    expect(camera.closed).toEqual([1, 2, 3, 0, 4]);
  });

  test('of a source that waits for nothing lets all else on the page go on', async () => {
    const client = await harness.ready();
    harness.deviceGate = settle();
    let taken = 0;
    async function* always() {
      while (taken++ < 10_000) yield PICTURE;
    }
    for await (const { dropped } of client.stream(always(), { label: 'secret' })) {
      expect(dropped).toBe(0);
      break;
    }
    expect(taken).toBeLessThan(100);
  });

  test('ends with an error of a frame, and stops its source', async () => {
    const client = await harness.ready();
    const camera = new Camera();
    const stream = client.stream(camera, { label: 'secret', force: { k: 0 } })[Symbol.asyncIterator]();
    camera.take();
    await expect(stream.next()).rejects.toMatchObject({ code: 'POLICY_DENIED' });
    expect(camera.closed).toEqual([0]);
    camera.take();
    await harness.pass(1);
    expect(camera.isStopped).toBe(true);
  });

  test.each(['its signal', 'the client'])('ends with %s while it waits for a frame', async (who) => {
    const client = await harness.ready();
    const controller = new AbortController();
    const stream = client.stream(new Camera(), { label: 'public', signal: controller.signal });
    let outcome: unknown = 'hangs';
    stream[Symbol.asyncIterator]()
      .next()
      .catch((error: unknown) => {
        outcome = error;
      });
    await harness.pass(1);
    if (who === 'the client') await client.close();
    else controller.abort(new Error('left'));
    await harness.pass(1);
    expect(outcome).toMatchObject(who === 'the client' ? { code: 'CLOSED' } : { message: 'left' });
  });

  test('ends with the error of its source', async () => {
    const client = await harness.ready();
    async function* broken(): AsyncGenerator<Input> {
      yield PICTURE;
      throw new Error('the camera was pulled out');
    }
    const seen: StreamResult[] = [];
    const work = (async () => {
      for await (const result of client.stream(broken(), { label: 'secret' })) seen.push(result);
    })();
    await expect(work).rejects.toThrow('the camera was pulled out');
    expect(seen).toHaveLength(1);
  });

  test('closes the frame that waits when it is left', async () => {
    const client = await harness.ready();
    const camera = new Camera();
    const leaving = new AbortController();
    const reading = (async () => {
      const { signal } = leaving;
      for await (const _ of client.stream(camera, { label: 'public', force: { k: 0 }, signal }));
    })();
    reading.catch(() => {});
    for (let i = 0; i < 2; i++) {
      camera.take();
      await harness.pass(1);
    }
    expect(camera.closed).toEqual([]);
    leaving.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    await harness.pass(1);
    expect([...camera.closed].sort()).toEqual([0, 1]);
  });

  test('closes the frame that comes after it was left', async () => {
    const client = await harness.ready();
    const camera = new Camera();
    camera.take();
    for await (const _ of client.stream(camera, { label: 'secret' })) break;
    camera.take();
    await harness.pass(1);
    expect(camera.closed).toEqual([0, 1]);
  });

  test('takes what a browser calls a stream, and cancels the request under way when it is left', async () => {
    const client = await harness.ready();
    let isCancelled = false;
    const frames = new ReadableStream<Input>({
      start: (controller) => controller.enqueue(PICTURE),
      cancel() {
        isCancelled = true;
      },
    });
    const controller = new AbortController();
    const stream = client.stream(frames, { label: 'public', force: { k: 0 }, signal: controller.signal });
    const next = stream[Symbol.asyncIterator]().next();
    next.catch(() => {});
    await harness.pass(1);
    controller.abort(new Error('left'));
    await expect(next).rejects.toThrow('left');
    await harness.pass(1);
    expect(isCancelled).toBe(true);
    expect(harness.messagesOf('cancel')).toHaveLength(1);
  });

  test('ends when it is returned while it waits for a frame, and stops its source', async () => {
    const client = await harness.ready();
    let stopped = 0;
    const never = new ReadableStream<Input>({ cancel: () => void stopped++ });
    const stream = client.stream(never, { label: 'public' })[Symbol.asyncIterator]();
    const ends: string[] = [];
    void stream.next().then(({ done }) => ends.push(`the frame: ${done}`));
    await harness.pass(1);
    void stream.return?.().then(({ done }) => ends.push(`the stream: ${done}`));
    await harness.pass(1);
    expect([ends, stopped]).toEqual([['the frame: true', 'the stream: true'], 1]);
  });

  test('cancels the request under way when it is returned', async () => {
    const client = await harness.ready();
    const frames = new ReadableStream<Input>({ start: (controller) => controller.enqueue(PICTURE) });
    const stream = client.stream(frames, { label: 'public', force: { k: 0 } })[Symbol.asyncIterator]();
    stream.next().catch(() => {});
    await harness.pass(1);
    expect(harness.messagesOf('infer')).toHaveLength(1);
    void stream.return?.();
    await harness.pass(1);
    expect(harness.messagesOf('cancel')).toHaveLength(1);
  });
});

describe('events', () => {
  test('tell of state, progress and every decision', async () => {
    const seen: string[] = [];
    const chosen: (number | undefined)[] = [];
    const client = await harness.connect({
      monitor: (events) => {
        events.addEventListener('statechange', ({ detail }) => seen.push(`state ${detail.device}`));
        events.addEventListener('progress', ({ detail }) => seen.push(`progress ${detail.loaded}/${detail.total}`));
        events.addEventListener('decision', ({ detail }) => {
          seen.push(`decision for ${detail.label}`);
          chosen.push(detail.decision.chosen?.k);
        });
      },
    });
    await harness.pass(1);
    await client.infer(PICTURE, { label: 'secret' });
    expect(seen).toContain('state available');
    expect(seen).toContain('progress 8/8');
    expect(seen.filter((line) => line === 'decision for secret')).toHaveLength(2);
    expect(chosen).toEqual([2, 2]);
    await client.close();
  });

  test('tell of the link that opened before there was a plan, also where nothing is downloaded', async () => {
    const states: string[] = [];
    const client = await harness.connect({
      download: false,
      monitor: (events) => events.addEventListener('statechange', ({ detail }) => states.push(detail.link)),
    });
    await harness.pass(1);
    expect(client.state.link).toBe('open');
    expect(states.at(-1)).toBe('open');
  });

  test('stop for a listener that is taken back', async () => {
    const client = await harness.ready();
    let calls = 0;
    const listener = () => calls++;
    client.addEventListener('decision', listener);
    await client.infer(PICTURE, { label: 'secret' });
    expect(calls).toBeGreaterThan(0);
    const before = calls;
    client.removeEventListener('decision', listener);
    await client.infer(PICTURE, { label: 'secret' });
    expect(calls).toBe(before);
  });

  test('and `await using` closes it', async () => {
    const client = await harness.ready();
    await client[Symbol.asyncDispose]();
    await expect(client.infer(PICTURE)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('diagnostics', () => {
  test('say what was done and measured, and nothing of what was asked', async () => {
    const client = await harness.ready({ token: 'very secret' });
    for (let i = 0; i < 20; i++) await client.infer(PICTURE, { label: 'secret' });
    const told = client.diagnostics();
    expect(told).toMatchObject({ plan: { name: 'small' }, state: { device: 'available' }, estimates: { queueMs: 0 } });
    expect(told.routes).toHaveLength(16);
    const text = JSON.stringify(told);
    expect(text.length).toBeLessThan(16_000);
    expect(text).not.toContain('very secret');
    expect(text).not.toContain('http://gateway');
    expect(told.routes[0]).not.toHaveProperty('decisions');
  });
});

const Y = { y: { dtype: 'float32', shape: [1, 4], data: Float32Array.of(7, 7, 7, 7) } } as const;

test('more than ten requests at once are no leak to Node', async () => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => warnings.push(message);
  process.on('warning', onWarning);
  const kit = createTestkit({ answer: Y });
  const client = await kit.connect();
  await kit.pass(1);
  await kit.run(Promise.all(Array.from({ length: 20 }, () => client.infer(PICTURE, { label: 'public' }))));
  await settle();
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
