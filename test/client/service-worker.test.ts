/** The service worker on a cache and a network of the test's. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepOffline, type ServiceWorkerScope } from '../../client/service-worker.ts';

class FakeCache {
  isFull = false;
  private readonly entries = new Map<string, { readonly body: string; readonly headers: Headers }>();

  async match(address: string): Promise<Response | undefined> {
    const kept = this.entries.get(address);
    return kept && new Response(kept.body, { headers: kept.headers });
  }

  async put(address: string, response: Response): Promise<void> {
    if (response.status === 206) throw new TypeError('a part is not kept');
    const body = await response.text();
    if (this.isFull) throw new DOMException('no room', 'QuotaExceededError');
    this.entries.set(address, { body, headers: response.headers });
  }
}

interface LifecycleEvent {
  waitUntil(work: Promise<unknown>): void;
}

interface FetchEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

type Listening =
  | [type: 'install' | 'activate', listener: (event: LifecycleEvent) => void]
  | [type: 'fetch', listener: (event: FetchEvent) => void];

/** The worker of an app, as browsers start it and as pages see it. */
class FakeScope implements ServiceWorkerScope {
  readonly clients = { claim: async () => {} };
  readonly location: { readonly href: string };
  private readonly lifecycle = new Map<string, (event: LifecycleEvent) => void>();
  private onFetch: (event: FetchEvent) => void = () => {};

  constructor(href: string, version: string, files: readonly string[]) {
    this.location = { href };
    keepOffline(this, { version, files });
  }

  addEventListener(...[type, listener]: Listening): void {
    if (type === 'fetch') this.onFetch = listener;
    else this.lifecycle.set(type, listener);
  }

  async skipWaiting(): Promise<void> {}

  async start(): Promise<void> {
    for (const type of ['install', 'activate']) {
      let work: Promise<unknown> | undefined;
      this.lifecycle.get(type)?.({
        waitUntil(given) {
          work = given;
        },
      });
      await work;
    }
  }

  /** What a page gets, from the worker or past it. */
  async get(url: string): Promise<string> {
    let answer: Promise<Response> | undefined;
    const request = new Request(url);
    this.onFetch({
      request,
      respondWith(given) {
        answer = given;
      },
    });
    return (await (answer ?? fetch(request))).text();
  }
}

/** Of this origin, by name. */
let stores: Map<string, FakeCache>;
let network: (url: string, init: RequestInit) => Response | Promise<Response>;
beforeEach(() => {
  stores = new Map();
  network = serve('1');
  vi.stubGlobal('caches', {
    async open(name: string) {
      const store = stores.get(name) ?? new FakeCache();
      stores.set(name, store);
      return store;
    },
    keys: async () => [...stores.keys()],
    delete: async (name: string) => stores.delete(name),
  });
  vi.stubGlobal('fetch', async (input: string | Request, init: RequestInit = {}) =>
    typeof input === 'string' ? network(input, init) : network(input.url, { cache: input.cache, ...init }),
  );
});
afterEach(() => vi.unstubAllGlobals());

const serve = (version: string) => (url: string) => new Response(`${version} of ${new URL(url).pathname}`);
const noNetwork = (): never => {
  throw new TypeError('Failed to fetch');
};

/** An app that keeps these, after its first visit. */
async function visited(...files: string[]): Promise<FakeScope> {
  const app = new FakeScope('https://app.example/sw.js', '1', files);
  await app.start();
  return app;
}

test('a new version is served though there is no room to keep it', async () => {
  const app = await visited('/', '/app.js');
  for (const store of stores.values()) store.isFull = true;
  network = serve('2');
  expect(await app.get('https://app.example/app.js')).toBe('2 of /app.js');
});

test('two apps of one origin leave each other alone', async () => {
  const one = new FakeScope('https://apps.example/one/sw.js', '7', ['/one/', '/one/app.js']);
  const two = new FakeScope('https://apps.example/two/sw.js', '42', ['/two/', '/two/app.js']);
  await one.start();
  await two.start();
  network = noNetwork;
  expect(await two.get('https://apps.example/two/app.js')).toBe('1 of /two/app.js');
  expect(await one.get('https://apps.example/one/app.js')).toBe('1 of /one/app.js');
});

test('a page to log in at is not kept in the place of a script', async () => {
  const app = await visited('/', '/app.js');
  // The session is over: every address leads to the page to log in at. A script's request follows by itself.
  network = () => {
    const page = new Response('<title>log in</title>', { headers: { 'Content-Type': 'text/html' } });
    return Object.defineProperties(page, {
      redirected: { value: true },
      url: { value: 'https://app.example/login' },
    });
  };
  await app.get('https://app.example/app.js');
  network = noNetwork;
  expect(await app.get('https://app.example/app.js')).toBe('1 of /app.js');
});

test('a page to log in at does not take the place of a script with a new version either', async () => {
  await visited('/', '/app.js');
  network = () => {
    const page = new Response('<title>log in</title>', { headers: { 'Content-Type': 'text/html' } });
    return Object.defineProperty(page, 'redirected', { value: true });
  };
  const next = new FakeScope('https://app.example/sw.js', '2', ['/', '/app.js']);
  await expect(next.start()).rejects.toThrow('https://app.example/app.js led to a page');
  expect([...stores.keys()]).toContain('tandem-app-/:1');
});

test('a file whose address has a query is there without a network', async () => {
  const app = await visited('/', '/app.js?v=3');
  network = noNetwork;
  expect(await app.get('https://app.example/app.js?v=3')).toBe('1 of /app.js');
});

test('what takes longer than the network is given to answer, and did answer, is not served old', async () => {
  const app = await visited('/app.js');
  network = (_, { signal }) => {
    // The head comes at once, the body over four seconds, as of a larger script on a slow network.
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        signal?.addEventListener('abort', () => controller.error(signal.reason));
        for (const piece of ['2 of ', '/app', '.js']) {
          await new Promise((resolve) => setTimeout(resolve, 1400));
          if (signal?.aborted) return;
          controller.enqueue(new TextEncoder().encode(piece));
        }
        controller.close();
      },
    });
    return new Response(body);
  };
  expect(await app.get('https://app.example/app.js')).toBe('2 of /app.js');
});

test('a new version is kept of what the server has, not of what the browser had cached', async () => {
  // As browsers do with `Cache-Control: max-age`: the old one, unless it is asked for past the cache.
  network = (_, { cache = 'default' }) =>
    new Response(['reload', 'no-cache', 'no-store'].includes(cache) ? 'new' : 'old');
  const app = await visited('/app.js');
  network = noNetwork;
  expect(await app.get('https://app.example/app.js')).toBe('new');
});
