/**
 * Files that a device keeps between visits, by SHA-256, and plans and estimates by the plan's address: what has come once need not come again,
 * and with all of it there the app works without a network. What a store gives may be broken: it is checked, dropped and
 * fetched anew.
 */
import { type BundleSource, PLAN_FILE, planOf } from '../shared/bundle.ts';
import type { Clock } from '../shared/clock.ts';
import type { Plan, PlanFile } from '../shared/plan.ts';

const PLAN_PREFIX = 'plan:';
/** What was learnt with a plan, by the address of the plan. */
export const ESTIMATES_PREFIX = 'estimates:';
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

/** The source with its files from the store, where they are there and whole. */
export function keptSource(source: BundleSource, store: FileStore): BundleSource {
  // What is not the file is its reader's to refuse.
  const fetched = async (file: PlanFile) => {
    const bytes = await source.bytes(file);
    return { bytes, isWhole: (await source.sha256(bytes)) === file.sha256 };
  };
  return { ...source, bytes: (file) => keptFile(source, store, file.sha256, () => fetched(file)) };
}

/** A file by its hash: kept, or fetched and kept if it is whole. One that is kept and broken is dropped. */
export async function keptFile(
  { sha256 }: Pick<BundleSource, 'sha256'>,
  store: FileStore,
  name: string,
  fetched: () => Promise<{ readonly bytes: Uint8Array; readonly isWhole: boolean }>,
): Promise<Uint8Array> {
  const kept = await store.get(name);
  if (kept && (await sha256(kept)) === name) return kept;
  if (kept) await store.delete(name);
  const { bytes, isWhole } = await fetched();
  if (isWhole) await store.put(name, bytes);
  return bytes;
}

/** The source's plan, or the one that is kept where the network brings none in time. A network's page to log in at is none. */
export async function readKeptPlan(source: BundleSource, store: FileStore, clock: Clock): Promise<Plan> {
  const name = `${PLAN_PREFIX}${source.name}`;
  const reading = store.get(name).then((bytes) => bytes && new TextDecoder().decode(bytes));
  const served = source.text(PLAN_FILE).then(async (text) => {
    const plan = await planOf(source, text);
    // WebKit's process for storage dies of a file that is written while it is read, and takes what is under way along.
    if ((await reading) !== text) await store.put(name, new TextEncoder().encode(text));
    return plan;
  });
  // It may fail before it is waited for.
  served.catch(() => {});
  const kept = await reading;
  if (!kept) return served;
  const old = () => planOf(source, kept);
  // Where there are bars and no network; a newer one replaces the plan when it comes.
  let stop = () => {};
  const late = new Promise<Plan>((resolve) => {
    // One that is kept may be another than is pinned.
    stop = clock.after(PATIENCE_MS, () => resolve(old().catch(() => served)));
  });
  return Promise.race([served.catch((error: unknown) => old().catch(() => Promise.reject(error))), late]).finally(stop);
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
    // One that cannot be read just now may name any of them.
    if (!plan) return;
    for (const [sha256] of plan.matchAll(/\b[0-9a-f]{64}\b/g)) wanted.add(sha256);
  }
  const isFile = (name: string) => !name.startsWith(PLAN_PREFIX) && !name.startsWith(ESTIMATES_PREFIX);
  for (const name of names) if (isFile(name) && !wanted.has(name)) await store.delete(name);
}
