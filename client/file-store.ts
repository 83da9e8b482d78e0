/**
 * Files that a device keeps between visits, by SHA-256, and plans by their address: what has come once need not come again,
 * and with all of it there the app works without a network. What a store gives may be broken: it is checked, dropped and
 * fetched anew.
 */
import { type BundleSource, PLAN_FILE, readPlan } from '../shared/bundle.ts';
import type { Clock } from '../shared/clock.ts';
import type { PlanFile } from '../shared/plan.ts';

const PLAN_PREFIX = 'plan:';
/** How long a plan may take that is kept already. */
const PATIENCE_MS = 3000;

/** Of this origin, shared by its tabs. Nothing rejects: a store that has no room or is not allowed keeps nothing. */
export interface FileStore {
  get(name: string): Promise<Uint8Array | undefined>;
  put(name: string, bytes: Uint8Array): Promise<void>;
  delete(name: string): Promise<void>;
  names(): Promise<readonly string[]>;
}

/** Where nothing can be kept. */
export const NO_STORE: FileStore = {
  get: async () => undefined,
  put: async () => {},
  delete: async () => {},
  names: async () => [],
};

/** The source's files, from the store where they are there and whole. */
export function keptSource(source: BundleSource, store: FileStore, clock: Clock): BundleSource {
  return {
    ...source,
    bytes: (file) => keptFile(source, store, file),
    async text(file) {
      const name = `${PLAN_PREFIX}${source.name}`;
      const served = source.text(file).then(async (text) => {
        if (file !== PLAN_FILE) return text;
        // A network's page to log in at is no plan.
        await readPlan({ ...source, text: async () => text });
        await store.put(name, new TextEncoder().encode(text));
        return text;
      });
      // It may fail before it is waited for.
      served.catch(() => {});
      const kept = file === PLAN_FILE ? await store.get(name) : undefined;
      if (!kept) return served;
      const old = () => new TextDecoder().decode(kept);
      // Where there are bars and no network; a newer one replaces the plan when it comes.
      return Promise.race([
        served.catch(old),
        new Promise<string>((resolve) => clock.after(PATIENCE_MS, () => resolve(old()))),
      ]);
    },
  };
}

async function keptFile(source: BundleSource, store: FileStore, file: PlanFile): Promise<Uint8Array> {
  const kept = await store.get(file.sha256);
  if (kept && (await source.sha256(kept)) === file.sha256) return kept;
  if (kept) await store.delete(file.sha256);
  const bytes = await source.bytes(file);
  // What is not the file is its reader's to refuse.
  if ((await source.sha256(bytes)) === file.sha256) await store.put(file.sha256, bytes);
  return bytes;
}

/** Whether the source's plan is kept. */
export async function isPlanKept(store: FileStore, source: string): Promise<boolean> {
  return (await store.names()).includes(`${PLAN_PREFIX}${source}`);
}

/** Drops the files that no kept plan names. */
export async function evict(store: FileStore, needed: readonly string[] = []): Promise<void> {
  const names = await store.names();
  const wanted = new Set(needed);
  for (const name of names.filter((each) => each.startsWith(PLAN_PREFIX))) {
    const plan = new TextDecoder().decode(await store.get(name));
    for (const [sha256] of plan.matchAll(/\b[0-9a-f]{64}\b/g)) wanted.add(sha256);
  }
  for (const name of names) if (!name.startsWith(PLAN_PREFIX) && !wanted.has(name)) await store.delete(name);
}
