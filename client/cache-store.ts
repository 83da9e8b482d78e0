/** A FileStore on the browser's Cache API, which quota, private windows, sandboxed frames and plain http may take away: then nothing is kept. */
import type { FileStore } from './file-store.ts';

const CACHE = 'tandem';
/** Names as addresses, which is what a cache has for keys; no such page is ever asked for. */
const PREFIX = '/.tandem/';

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
      await tried((cache) => cache.put(keyOf(name), new Response(bytes as Uint8Array<ArrayBuffer>)));
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
