/** What an app in JavaScript may hand over by mistake: it is said at the door, and nothing is done with it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { availabilityOf } from '../../client/availability.ts';
import { connect } from '../../client/browser.ts';
import { settle } from '../../client/testkit/fake-clock.ts';
import { createTestkit } from '../../client/testkit/index.ts';
import type { ClientOptions, InferOptions, Picture } from '../../client/types.ts';
import { ClientHarness, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe('connect', () => {
  test.each<[string, Partial<Record<keyof ClientOptions, unknown>>]>([
    ['no number of points', { accuracyDropMax: Number.NaN }],
    ['less than none', { accuracyDropMax: -0.1 }],
    ['an address with a query', { url: 'http://gateway/?a=1' }],
    ['an address that is none', { url: 'gateway' }],
  ])('refuses %s', async (_, options) => {
    const connecting = harness.connect(options as Partial<ClientOptions>);
    await expect(connecting).rejects.toMatchObject({ code: 'BAD_CONFIG' });
    expect(harness.fetches).toEqual([]);
  });

  test('takes a URL for an address', async () => {
    const client = await harness.ready({ url: new URL('http://gateway/') as unknown as string });
    expect(client.state.link).toBe('open');
  });

  test.each(['', () => ''])('takes an empty token for none', async (token) => {
    const client = await harness.ready({ token });
    expect(client.state.link).toBe('open');
    expect(harness.messagesOf('hello')).toMatchObject([{ token: null }]);
  });
});

describe('infer', () => {
  const detached = (): Picture => {
    const { width, height, data } = PICTURE;
    const picture = { width, height, data: data.slice() };
    structuredClone(picture.data.buffer, { transfer: [picture.data.buffer] });
    return picture;
  };

  test.each<[string, string, Partial<Record<keyof InferOptions, unknown>>, Picture?]>([
    ['a controller in the place of its signal', 'BAD_INPUT', { signal: new AbortController() }],
    ['a cut that is a text', 'BAD_BOUNDARY', { force: { k: '1' } }],
    ['a picture whose pixels were handed on', 'BAD_INPUT', {}, detached()],
  ])('refuses %s', async (_, code, options, picture = PICTURE) => {
    const client = await harness.ready();
    const all = { label: 'public', ...options } as InferOptions;
    await expect(client.infer(picture, all)).rejects.toMatchObject({ code });
    await expect(client.explain(picture, all)).rejects.toMatchObject({ code });
    expect(harness.messagesOf('infer')).toEqual([]);
  });
});

test('what is aborted already asks for nothing', async () => {
  const client = await harness.ready();
  const signal = AbortSignal.abort(new Error('left'));
  await expect(client.explain(PICTURE, { label: 'public', signal })).rejects.toThrow('left');
  const fetched = harness.fetches.length;
  await expect(availabilityOf(harness.host(), 'http://gateway', 'small', signal)).rejects.toThrow('left');
  expect(harness.fetches).toHaveLength(fetched);
});

describe('stream', () => {
  test('refuses what gives no frames', async () => {
    const client = await harness.ready();
    const frames = client.stream([PICTURE] as unknown as AsyncIterable<Picture>)[Symbol.asyncIterator]();
    await expect(frames.next()).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });

  test('answers each frame by itself, whatever key it is given', async () => {
    const client = await harness.ready();
    const frames = (async function* () {
      yield PICTURE;
      yield PICTURE;
    })();
    const options = { label: 'public', force: { k: 0 }, idempotencyKey: 'camera' };
    const answers = client.stream(frames, options)[Symbol.asyncIterator]();
    for (let i = 1; i <= 2; i++) {
      const next = answers.next();
      await harness.serve();
      expect((await next).done).toBe(false);
      expect(harness.messagesOf('infer')).toHaveLength(i);
    }
  });
});

test('statechange comes with a change, and never without', async () => {
  const texts: string[] = [];
  const monitor: ClientOptions['monitor'] = (events) =>
    events.addEventListener('statechange', ({ detail }) => texts.push(JSON.stringify(detail)));
  const client = await harness.ready({ monitor });
  for (let i = 0; i < 3; i++) {
    await harness.cut();
    harness.wakeUp();
    await harness.pass(20_000);
  }
  expect(texts.length).toBeGreaterThan(6);
  expect(texts.filter((text, i) => text === texts[i - 1])).toEqual([]);
  expect(texts.at(-1)).toBe(JSON.stringify(client.state));
});

const Y = { y: { dtype: 'float32', shape: [1, 4], data: Float32Array.of(7, 7, 7, 7) } } as const;

describe('a signal', () => {
  test('that is none leaves no connection open that was begun early', async () => {
    const open = new Set<object>();
    class FakeSocket {
      constructor() {
        open.add(this);
      }
      close() {
        open.delete(this);
      }
    }
    vi.stubGlobal('WebSocket', FakeSocket);
    vi.stubGlobal('fetch', () => new Promise(() => {}));
    const connecting = connect({ url: 'https://gateway.test', model: 'm', signal: {} as never });
    await expect(connecting).rejects.toThrow(TypeError);
    await settle();
    expect(open.size).toBe(0);
  });

  test('that is none ends a stream with BAD_INPUT, and its frames', async () => {
    const kit = createTestkit({ answer: Y });
    const client = await kit.connect();
    let isStopped = false;
    const camera = {
      next: () => settle().then(() => ({ done: isStopped, value: PICTURE })),
      return: async () => {
        isStopped = true;
        return { done: true, value: undefined };
      },
    };
    const frames = { [Symbol.asyncIterator]: () => camera } as never;
    const answers = client.stream(frames, { label: 'public', signal: { aborted: false } as never });
    await expect(answers[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'BAD_INPUT' });
    const wasStopped = isStopped;
    isStopped = true;
    expect(wasStopped).toBe(true);
  });

  test('may be null, as for fetch', async () => {
    const kit = createTestkit({ answer: Y });
    const client = await kit.connect({ download: false });
    const { route } = await client.infer(PICTURE, { label: 'public', signal: null as never });
    expect(route.k).toBe(0);
  });
});
