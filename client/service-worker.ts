/**
 * `tandem/service-worker`: an app's files, kept so that it starts without a network. The SDK keeps its own (engine, plan,
 * segments) by itself. In the app's service worker:
 *
 *   import { keepOffline } from 'tandem/service-worker';
 *   keepOffline(self, { version: '42', files: ['/', '/app.js', '/worker.js'] });
 */

import { orAborted } from './or-aborted.ts';

export interface OfflineFiles {
  /** Another one replaces what was kept, at the next visit with a network. */
  readonly version: string;
  /** Addresses of the page, its scripts and styles, and the SDK's worker. */
  readonly files: readonly string[];
}

/** The parts of a service worker's global scope that are used; the DOM types know only the window. */
export interface ServiceWorkerScope {
  addEventListener(type: 'install' | 'activate', listener: (event: LifecycleEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchLike) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  readonly location: { readonly href: string };
}

interface LifecycleEvent {
  waitUntil(work: Promise<unknown>): void;
}

interface FetchLike {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const PREFIX = 'tandem-app-';
/** A network that has not answered by now may as well not be there. */
const PATIENCE_MS = 3000;
/** What has begun to answer may take longer. */
const BODY_MS = 30_000;
/** Of what may be a page: its last part has no ending, or that of one. */
const PAGE_PATH = /(?:\/[^./]*|\.html?)$/;

/** Files come from the network while that answers, so that a new version is seen at once, and else from what was kept. */
export function keepOffline(scope: ServiceWorkerScope, { version, files }: OfflineFiles): void {
  const prefix = `${PREFIX}${new URL('.', scope.location.href).pathname}:`;
  const name = prefix + version;
  const own = new Set(files.map((file) => new URL(file, scope.location.href).href));
  scope.addEventListener('install', (event) => {
    event.waitUntil(
      caches
        .open(name)
        .then((cache) => Promise.all([...own].map((address) => keep(cache, address))))
        .then(() => scope.skipWaiting()),
    );
  });
  scope.addEventListener('activate', (event) => {
    const dropOld = async () => {
      for (const other of await caches.keys()) {
        if (other.startsWith(prefix) && other !== name) await caches.delete(other);
      }
      await scope.clients.claim();
    };
    event.waitUntil(dropOld());
  });
  scope.addEventListener('fetch', (event) => {
    const { request } = event;
    const address = new URL(request.url);
    address.hash = '';
    // What a page is asked with in its address is not part of the file, unless it is listed with that.
    if (!own.has(address.href)) address.search = '';
    if (request.method !== 'GET' || !own.has(address.href)) return;
    event.respondWith(networkFirst(request, name, address.href));
  });
}

async function keep(cache: Cache, address: string): Promise<void> {
  // Past the browser's own cache, which may have the file of the version before.
  const response = await fetch(address, { cache: 'reload' });
  if (!response.ok) throw new TypeError(`${address} answered with status ${response.status}`);
  // The version before stays, which has the script.
  if (response.redirected && isPage(response) && !PAGE_PATH.test(new URL(address).pathname))
    throw new TypeError(`${address} led to a page, as one to log in at`);
  await cache.put(address, asItself(response));
}

function isPage({ headers }: Response): boolean {
  return headers.get('Content-Type')?.startsWith('text/html') ?? false;
}

/** Browsers do not open a page from a response that says it was redirected. */
function asItself(response: Response): Response {
  return response.redirected ? new Response(response.body, response) : response;
}

async function networkFirst(request: Request, name: string, address: string): Promise<Response> {
  const cache = await caches.open(name);
  const kept = await cache.match(address);
  if (!kept) return fetch(request);
  try {
    const response = await orAborted(fetch(request), AbortSignal.timeout(PATIENCE_MS));
    // The page follows it itself.
    if (response.type === 'opaqueredirect') return response;
    // What leads on to another address, as to a page to log in at, is not the file.
    if (!response.ok || response.redirected) return kept;
    const whole = await orAborted(response.arrayBuffer(), AbortSignal.timeout(BODY_MS));
    const fresh = () => new Response(whole, response);
    // Without room it is served all the same.
    await cache.put(address, fresh()).catch(() => {});
    return fresh();
  } catch {
    return kept;
  }
}
