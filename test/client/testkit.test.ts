/** The test kit as a user has it: an app, and what its tests make of the cloud, the device and the network. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BrowserClient, connect as connectOfSdk } from '../../client/browser.ts';
import { createTestkit, FakeClock, shapeLink, type Testkit } from '../../client/testkit/index.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import type { Picture, Plan, Tensors } from '../../client/types.ts';
import { samplePlan } from '../shared/sample-plan.ts';

const PHOTO: Picture = { width: 16, height: 4, data: new Uint8Array(16 * 4 * 4) };
const y = (...values: number[]): Tensors => ({
  y: { dtype: 'float32', shape: [1, values.length], data: Float32Array.from(values) },
});
const CLOUD = y(7, 7, 7, 7);
const DEVICE = y(2, 2, 2, 2);

/** The app under test: it knows nothing of the kit. */
async function startApp(connect: typeof connectOfSdk) {
  const policy = { labels: { public: 'input', secret: 'local' } };
  const client = await connect({ url: 'https://gateway.example', model: 'small', policy });
  return {
    client,
    async read(photo: Picture | Blob, label = 'public'): Promise<string> {
      try {
        const { outputs, route } = await client.infer(photo, { label, deadlineMs: 2000 });
        return `${outputs['y']?.data.join()} ${route.tier === null ? 'here' : 'in the cloud'}`;
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
  };
}

let kit: Testkit;
let clients: BrowserClient[];
beforeEach(() => {
  clients = [];
  kit = createTestkit({ answer: ({ by }) => (by === 'cloud' ? CLOUD : DEVICE) });
});
afterEach(() => Promise.all(clients.map((client) => client.close())));

async function app() {
  const started = await startApp(kit.connect);
  clients.push(started.client);
  return started;
}

test.each([
  ['nothing', {}, 'createTestkit needs `answer`'],
  ['the path of a plan', { answer: CLOUD, plan: 'plan.json' }, '`plan` is to be a plan.json, parsed'],
])('made of %s it says what it needs', (_, options, message) => {
  expect(() => createTestkit(options as never)).toThrow(message);
});

describe('the test says', () => {
  test('what the cloud and the device answer, and changes it', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    expect(await read(PHOTO, 'secret')).toBe('2,2,2,2 here');
    const sent = await client.infer(PHOTO, { label: 'public', force: { k: 1, tier: 'q8' } });
    expect(sent.outputs).toEqual(CLOUD);
    expect(sent.route).toMatchObject({ k: 1, tier: 'q8', provider: 'fake' });
    kit.answer = y(0, 1, 2, 3);
    expect(await read(PHOTO, 'secret')).toBe('0,1,2,3 here');
  });

  test('and sees all that left the device, as it went over the wire', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    await read(PHOTO, 'secret');
    expect(kit.cloud.received).toEqual([]);
    const { route } = await client.infer(PHOTO, { label: 'public', force: { k: 0 }, deadlineMs: 1000 });
    expect(kit.cloud.received).toMatchObject([{ k: 0, tier: 'webp-80', label: 'public', deadlineMs: 1000 }]);
    expect(kit.cloud.received[0]?.bytes).toBe(route.bytesUp);
  });

  test('an answer that the plan does not know, and is told so', () => {
    expect(() => createTestkit({ answer: { z: CLOUD['y'] as never } })).toThrow('expected a float32 tensor y, got z');
  });

  test('who is let in', async () => {
    kit = createTestkit({ answer: CLOUD, tokens: ['sesame'] });
    const link = async (token: string) => {
      const client = await kit.connect({ token });
      clients.push(client);
      await kit.pass(0);
      return client.state.link;
    };
    expect([await link('sesame'), await link('simsim')]).toEqual(['open', 'refused']);
  });
});

describe('the cloud', () => {
  test('keeps its answer back until it is released', async () => {
    kit.serveSegments(0);
    const { read } = await app();
    kit.cloud.hold();
    let text = '';
    const reading = read(PHOTO).then((line) => {
      text = line;
    });
    await kit.pass(500);
    expect(text).toBe('');
    kit.cloud.release();
    await reading;
    expect(text).toBe('7,7,7,7 in the cloud');
  });

  test('that keeps it back too long is given up: by the device if it can, else at the deadline', async () => {
    const { client } = await app();
    await kit.run(client.prepare());
    kit.cloud.hold();
    const { route } = await kit.run(client.infer(PHOTO, { label: 'public', force: { k: 0 } }));
    expect(route).toMatchObject({ k: 2, fallback: { reason: 'late' }, sent: [{ k: 0, outcome: 'late' }] });

    const bare = createTestkit({ answer: CLOUD });
    bare.serveSegments(0);
    const { read, client: other } = await startApp(bare.connect);
    clients.push(other);
    bare.cloud.hold();
    expect(await bare.run(read(PHOTO))).toBe('DEADLINE_EXCEEDED');
    expect(bare.clock.now()).toBe(2000);
  });

  test('fails with a code: one that may pass is asked again, one that does not is not', async () => {
    kit.serveSegments(0);
    const { client } = await app();
    await kit.pass(0);
    kit.cloud.failWith('OVERLOADED', 100);
    const reading = client.infer(PHOTO, { label: 'public' });
    await kit.pass(50);
    expect(kit.cloud.received).toHaveLength(1);
    kit.cloud.failWith(null);
    expect((await kit.run(reading)).route.sent).toMatchObject([{ outcome: 'failed' }, { outcome: 'answered' }]);
    kit.cloud.failWith('BAD_PAYLOAD');
    const refused = kit.run(client.infer(PHOTO, { label: 'public', deadlineMs: 20_000 }));
    await expect(refused).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(kit.cloud.received).toHaveLength(3);
  });

  test('is slow', async () => {
    kit.serveSegments(0);
    const { client } = await app();
    kit.cloud.msPerAnswer = 400;
    kit.link.delayMs = 30;
    const { route } = await kit.run(client.infer(PHOTO, { label: 'public' }));
    expect(route.timing).toMatchObject({ networkMs: 60, server: { computeMs: 400 }, totalMs: expect.any(Number) });
  });
});

describe('the device', () => {
  test('takes so many milliseconds a segment, and the route and the choice follow', async () => {
    kit.device.msPerSegment = [20, 300];
    const { client } = await app();
    await kit.run(client.prepare());
    const here = await kit.run(client.infer(PHOTO, { label: 'secret' }));
    expect(here.route.timing).toMatchObject({ deviceMs: 320, totalMs: 320 });
    expect((await client.explain(PHOTO, { label: 'public' })).chosen?.k).toBeLessThan(2);
    kit.device.msPerSegment = 1;
    for (let i = 0; i < 20; i++) await kit.run(client.infer(PHOTO, { label: 'secret' }));
    expect((await client.explain(PHOTO, { label: 'public' })).chosen?.k).toBe(2);
  });

  test('dies, and the app goes on: in the cloud at once, on the next device after a second', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    expect(client.state.device).toBe('available');
    kit.device.kill('out of memory');
    expect(client.state).toMatchObject({ device: 'unavailable', segmentsReady: 0 });
    const secret = read(PHOTO, 'secret');
    expect(await kit.run(secret)).toBe('2,2,2,2 here');
    expect(kit.device.made).toBe(2);
    expect(kit.clock.now()).toBeGreaterThanOrEqual(1000);
  });

  test('fails in a segment, and the cloud answers what it may', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    kit.device.failWith('out of memory');
    expect(await read(PHOTO, 'secret')).toBe('DEVICE_FAILED');
    expect(await read(PHOTO, 'public')).toBe('7,7,7,7 in the cloud');
  });

  test.each(['loads', 'runs'])('ends at once with its client, also while it %s a segment', async (what) => {
    kit.device.msPerSegment = 20;
    const { client, read } = await app();
    if (what === 'runs') await kit.run(client.prepare());
    const answer = read(PHOTO, 'secret');
    await kit.pass(1);
    let isClosed = false;
    void client.close().then(() => {
      isClosed = true;
    });
    await kit.pass(0);
    expect(isClosed).toBe(true);
    expect(await answer).toBe('CLOSED');
  });

  test('has the segments that are served, and no others', async () => {
    kit.serveSegments(1);
    const { client, read } = await app();
    await kit.pass(0);
    expect(client.state).toMatchObject({ device: 'downloading', segmentsReady: 1, segments: 2, bytesLoaded: 100 });
    const secret = read(PHOTO, 'secret');
    kit.serveSegments(2);
    expect(await kit.run(secret)).toBe('2,2,2,2 here');
  });

  test('is without those that are not there', async () => {
    kit.serveSegments(1, 'missing');
    const { client, read } = await app();
    await expect(kit.run(client.prepare())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(client.state.downloadError).toContain('404');
    expect(await read(PHOTO, 'secret')).toBe('UNAVAILABLE');
  });
});

describe('the link', () => {
  test('is cut and restored', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    kit.link.cut();
    await kit.pass(0);
    expect(client.state.link).toBe('connecting');
    expect(await read(PHOTO, 'public')).toBe('2,2,2,2 here');
    kit.link.restore();
    await kit.pass(0);
    expect(client.state.link).toBe('open');
    expect((await client.infer(PHOTO, { label: 'public', force: { k: 0 } })).route.k).toBe(0);
  });

  test('is cut with a request on its way, which the device ends', async () => {
    const { client } = await app();
    await kit.run(client.prepare());
    kit.cloud.hold();
    const reading = client.infer(PHOTO, { label: 'public', force: { k: 0 } });
    await kit.pass(1);
    kit.link.cut();
    expect((await reading).route).toMatchObject({ k: 2, fallback: { reason: 'failed' } });
  });

  test('is not needed on a second visit, unless what was kept is lost', async () => {
    const { client } = await app();
    await kit.run(client.prepare());
    await client.close();
    kit.link.cut();
    const { client: second, read } = await app();
    await kit.run(second.prepare());
    expect(await read(PHOTO, 'secret')).toBe('2,2,2,2 here');
    kit.forget();
    await expect(app()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('time', () => {
  test('is the test’s: a minute passes at once, and none passes by itself', async () => {
    const clock = new FakeClock();
    const rung: number[] = [];
    for (const ms of [60_000, 10, 10_000]) clock.after(ms, () => rung.push(ms));
    await clock.advance(59_999);
    expect(rung).toEqual([10, 10_000]);
    expect(clock.now()).toBe(59_999);
    await clock.advance(1);
    expect(rung).toEqual([10, 10_000, 60_000]);
  });

  test('runs until what is waited for is there, and says when it does not come', async () => {
    const clock = new FakeClock();
    await clock.run(new Promise<void>((resolve) => clock.after(123, resolve)));
    expect(clock.now()).toBe(123);
    await expect(clock.run(new Promise(() => {}), 1000)).rejects.toThrow('did not settle within 1000 ms');
    expect(clock.now()).toBe(1123);
  });

  test('has nothing to do with the timers that a test runner fakes', async () => {
    vi.useFakeTimers();
    try {
      const { client } = await app();
      kit.device.msPerSegment = 5;
      await kit.run(client.prepare());
      expect((await kit.run(client.infer(PHOTO, { label: 'secret' }))).route.timing.deviceMs).toBe(10);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('an app', () => {
  test('may hand over what only a browser can read', async () => {
    const { read, client } = await app();
    await kit.run(client.prepare());
    expect(await read(new Blob(['a photo']), 'secret')).toBe('2,2,2,2 here');
    async function* camera() {
      yield new Blob();
    }
    const results = [];
    for await (const { route } of client.stream(camera(), { label: 'secret' })) results.push(route.size);
    expect(results).toEqual([kit.plan.size.typical]);
  });

  test('is tested with its own plan, policy and assets', async () => {
    const plan = samplePlan();
    const shape = [1, 4, 5];
    const answer = { y: { dtype: 'float32', shape, data: new Float32Array(20).fill(1) } } as const;
    const policy = { labels: { faces: 'a' } };
    kit = createTestkit({ plan, answer, policy, assets: { characters: 'abc' } });
    const client = await kit.connect({ model: 'sample' });
    clients.push(client);
    await kit.run(client.prepare());
    // It is kept with the segments, and there without a network too.
    kit.link.cut();
    expect(new TextDecoder().decode(await client.asset('characters'))).toBe('abc');
    kit.link.restore();
    await kit.pass(1000);
    await expect(client.infer(PHOTO, { label: 'faces', force: { k: 0 } })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    const { outputs } = await client.infer(PHOTO, { label: 'faces', force: { k: 2 } });
    expect(outputs).toEqual(answer);
    expect(kit.cloud.received).toMatchObject([{ k: 2, label: 'faces', bytes: expect.any(Number) }]);
  });
});

test('a link of real sockets is shaped in Node too', async () => {
  const link = await shapeLink('http://127.0.0.1:9', { delayMs: 5 });
  expect(link.passed).toEqual({ up: 0, down: 0 });
  await link.close();
});

const CHARSET = Uint8Array.of(1, 2, 3);
const CHARSET_FILE = {
  file: 'charset.txt',
  sha256: createHash('sha256').update(CHARSET).digest('hex'),
  bytes: CHARSET.byteLength,
};

describe('the kit', () => {
  test('needs no contents of the assets of an own plan for its device to come', async () => {
    const plan: Plan = { ...smallPlan(), assets: { charset: CHARSET_FILE } };
    const kit = createTestkit({ answer: CLOUD, plan });
    const client = await kit.connect();
    await kit.pass(60_000);
    expect(client.state).toMatchObject({ device: 'available', downloadError: null });
  });

  test('rejects what is no input, and throws nothing', async () => {
    const kit = createTestkit({ answer: CLOUD });
    const client = await kit.connect();
    // A throw would be a rejection of the wrong promise.
    const work = () => client.infer(null as never).catch(({ code }) => code);
    expect(work).not.toThrow();
    expect(await work()).toBe('BAD_INPUT');
  });

  test('lets nothing overtake over a delay that was made shorter', async () => {
    const kit = createTestkit({ answer: CLOUD });
    const client = await kit.connect({ download: false });
    await kit.pass(1);
    const traced = (digit: string) => ({ label: 'public', traceparent: `00-${digit.repeat(32)}-${'1'.repeat(16)}-00` });
    kit.link.delayMs = 1_000;
    const first = client.infer(PHOTO, traced('1'));
    await kit.pass(10);
    kit.link.delayMs = 10;
    const second = client.infer(PHOTO, traced('2'));
    await kit.run(Promise.all([first, second]));
    expect(kit.cloud.received.map(({ trace }) => trace?.[3])).toEqual(['1', '2']);
  });
});

test.each([{ upBytesPerS: 0 }, { downBytesPerS: 0 }])(
  'a link of %o is refused: it would never come back',
  async (rate) => {
    await expect(shapeLink('http://127.0.0.1:9', rate)).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    const shaped = await shapeLink('http://127.0.0.1:9');
    expect(() => shaped.set(rate)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
    await shaped.close();
  },
);
