/** The browser's client while it reads a picture: in Node, with what it takes of a browser stubbed. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BrowserClient } from '../../client/browser.ts';
import { connectBrowser } from '../../client/browser-client.ts';
import { begin, type Early } from '../../client/early.ts';
import type { WorkerRequest, WorkerResponse } from '../../client/worker-protocol.ts';
import { ClientHarness, POLICY } from '../helpers/client-harness.ts';

const PHOTO = new Blob([]);

let client: BrowserClient;
/** Ends the reading of each picture so far, as of one that is broken. */
let readings: (() => void)[];
beforeEach(async () => {
  readings = [];
  const window = new EventTarget();
  vi.stubGlobal(
    'document',
    Object.assign(new EventTarget(), { visibilityState: 'visible', baseURI: 'https://app.example/' }),
  );
  vi.stubGlobal('navigator', {});
  vi.stubGlobal('ImageData', class {});
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
  vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window));
  // A photo of 12 megapixels takes a phone a second.
  vi.stubGlobal(
    'createImageBitmap',
    () => new Promise((_, reject) => readings.push(() => reject(new Error('broken')))),
  );
  const harness = new ClientHarness();
  harness.head = harness.plan;
  const host = harness.host();
  client = await connectBrowser(
    { url: 'http://gateway', model: 'small', policy: POLICY, download: false },
    {
      token: () => null,
      connector: (url) => host.connector(url),
      response: (url, signal) => host.fetch(url, { signal: signal ?? null }),
      take: () => null,
      close() {},
    },
  );
});
afterEach(async () => {
  for (const end of readings) end();
  await client.close();
  vi.unstubAllGlobals();
});

const passed = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** What work ends with in so much time. */
const within = (ms: number, work: Promise<unknown>) =>
  Promise.race([
    work.then(
      () => 'answered',
      (error: Error & { code?: string }) => error.code ?? error.message,
    ),
    passed(ms).then(() => 'hangs'),
  ]);
/** Once its picture is being read. */
const reading = () => expect.poll(() => readings.length).toBe(1);

describe('while its picture is read', () => {
  test('a request ends at once with its signal', async () => {
    const abort = new AbortController();
    const result = client.infer(PHOTO, { label: 'public', signal: abort.signal });
    await reading();
    abort.abort(new Error('left'));
    expect(await within(100, result)).toBe('left');
  });

  test('a request has its deadline', async () => {
    const result = client.infer(PHOTO, { label: 'public', deadlineMs: 50 });
    expect(await within(500, result)).toBe('DEADLINE_EXCEEDED');
  });

  test('a request ends with the client', async () => {
    const result = client.infer(PHOTO, { label: 'public' });
    await reading();
    await client.close();
    expect(await within(100, result)).toBe('CLOSED');
  });

  test('requests of one key are one, and read it once', async () => {
    const ask = () => client.infer(PHOTO, { label: 'public', idempotencyKey: 'a' }).catch((error: unknown) => error);
    const both = [ask(), ask()];
    await passed(20);
    expect(readings).toHaveLength(1);
    readings[0]?.();
    const [first, second] = await Promise.all(both);
    expect(first).toMatchObject({ code: 'BAD_INPUT' });
    expect(second).toBe(first);
  });

  test('a stream ends at once with its signal', async () => {
    const abort = new AbortController();
    const frames = (async function* () {
      yield PHOTO;
      await new Promise(() => {});
    })();
    const stream = client.stream(frames, { label: 'public', signal: abort.signal })[Symbol.asyncIterator]();
    const next = stream.next();
    await reading();
    abort.abort(new Error('left'));
    expect(await within(100, next)).toBe('left');
  });
});

test('a page whose first connection is still waiting for a token asks for it once, however often it connects', async () => {
  let asked = 0;
  let give = (_token: string) => {};
  const token = () => {
    asked++;
    return new Promise<string>((resolve) => {
      give = resolve;
    });
  };
  const harness = new ClientHarness();
  harness.head = harness.plan;
  const host = harness.host();
  const options = { url: 'http://gateway', model: 'small', policy: POLICY, download: false, token };
  const early = begin(options, {
    connector: (url) => host.connector(url),
    fetch: (url, init) => host.fetch(url, init),
    pictures: { encode: async () => null },
    now: () => 0,
    inputOf: () => Promise.reject(new Error('none')),
  });
  const connector = (url: string) => early.connector(url) ?? host.connector(url);
  const own = await connectBrowser(options, { ...early, connector });
  // Somebody logs in elsewhere, and comes back.
  await passed(1100);
  document.dispatchEvent(new Event('visibilitychange'));
  await expect.poll(() => harness.channels.length).toBe(1);
  give('sesame');
  await expect.poll(() => own.state.link).toBe('open');
  expect(asked).toBe(1);
  await own.close();
});

test('a worker that died with providers comes back without them: what hangs in one would do so again', async () => {
  vi.stubGlobal('navigator', { gpu: {} });
  const workers: { readonly asked: WorkerRequest[]; onerror?: (event: object) => void }[] = [];
  const worker = () => {
    const made = {
      asked: [] as WorkerRequest[],
      onmessage: (_: { data: WorkerResponse }) => {},
      postMessage(request: WorkerRequest) {
        made.asked.push(request);
        queueMicrotask(() => made.onmessage({ data: { type: 'done', id: request.id, result: [] } }));
      },
      terminate() {},
    };
    workers.push(made);
    return made as unknown as Worker;
  };
  const host = new ClientHarness().host();
  const options = { url: 'http://gateway', model: 'small', policy: POLICY, download: false, worker };
  const early: Early = {
    connector: (url) => host.connector(url),
    response: (url, signal) => host.fetch(url, { signal: signal ?? null }),
    token: () => null,
    take: () => null,
    close() {},
  };
  const accelerated = await connectBrowser({ ...options, providers: ['webgpu'] }, early);
  workers[0]?.onerror?.({ message: 'the graphics driver hangs', preventDefault() {} });
  await expect.poll(() => workers[1]?.asked.length, { timeout: 5000 }).toBeGreaterThan(0);
  expect(workers.map(({ asked: [first] }) => first?.args)).toMatchObject([
    { providers: ['webgpu'] },
    { providers: [] },
  ]);
  await accelerated.close();
});
