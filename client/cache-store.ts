/** A FileStore on the browser's Cache API, which quota, private windows, sandboxed frames and plain http may take away: then nothing is kept. */
import type { FileStore } from './file-store.ts';

const CACHE = 'tandem';
/** Names as addresses, which is what a cache has for keys; no such page is ever asked for. */
const PREFIX = '/.tandem/';
/** Of a file that is given as one all bytes are copied at once, for which a page stands still. */
const BYTES_AT_ONCE = 2 ** 18;

/** Whether there is one: not on plain http, and sandboxed frames may not even ask. */
export function canKeep(): boolean {
  try {
    return Boolean(globalThis.caches);
  } catch {
    return false;
  }
}

export function cacheStore(): FileStore {
  const keyOf = (name: string) => new URL(PREFIX + encodeURIComponent(name), location.origin).href;
  /** Undefined where the browser does not let us. */
  const tried = async <T>(work: (cache: Cache) => Promise<T>): Promise<T | undefined> => {
    try {
      return await work(await caches.open(CACHE));
    } catch {
      return undefined;
    }
  };
  return {
    async get(name) {
      const bytes = await tried(async (cache) => (await cache.match(keyOf(name)))?.arrayBuffer());
      return bytes && new Uint8Array(bytes);
    },
    async put(name, bytes) {
      let at = 0;
      const bitByBit = new ReadableStream({
        pull(controller) {
          if (at >= bytes.length) return controller.close();
          controller.enqueue(bytes.subarray(at, at + BYTES_AT_ONCE));
          at += BYTES_AT_ONCE;
        },
      });
      await tried((cache) => cache.put(keyOf(name), new Response(bitByBit)));
    },
    async delete(name) {
      await tried((cache) => cache.delete(keyOf(name)));
    },
    async names() {
      const keys = await tried((cache) => cache.keys());
      return (keys ?? []).map(({ url }) => decodeURIComponent(new URL(url).pathname.slice(PREFIX.length)));
    },
  };
}
