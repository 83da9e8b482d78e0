/**
 * The bundles that a gateway serves, read once and checked: plans and server segments for the executor, device segments
 * and assets for clients, compressed ahead so that no request waits for it.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { type BundleSource, PLAN_FILE, readPlan, readPlanFile, SERVED_BROTLI_LEVEL } from '../shared/bundle.ts';
import { TandemError } from '../shared/errors.ts';
import { type Plan, type PlanFile, planHead } from '../shared/plan.ts';

/** Up to here what a first answer waits for is worth brotli's best, a second or so: scripts are 8 % smaller for it, texts 15 %. */
const BEST_BROTLI_BYTES_MAX = 512 * 1024;

/** Bytes to serve over HTTP, with their encoded forms where those are smaller. */
export interface StoredFile {
  /** A MIME type, or a file name's ending that stands for one. */
  readonly contentType: string;
  readonly etag: string;
  readonly identity: Uint8Array;
  readonly encodings: Readonly<Partial<Record<'br' | 'gzip', Uint8Array>>>;
}

export interface StoredBundle {
  readonly plan: Plan;
  readonly planFile: StoredFile;
  readonly headFile: StoredFile;
  /** Server segments 1..K. */
  readonly segments: readonly Uint8Array[];
  /** Device segments and assets, by SHA-256. */
  readonly files: ReadonlyMap<string, StoredFile>;
}

export type Store = ReadonlyMap<string, StoredBundle>;

/**
 * @param where names where the source of this number was asked for, in errors
 * @throws BAD_BUNDLE or BAD_PLAN; BAD_CONFIG where two bundles have one name
 */
export async function loadStore(sources: readonly BundleSource[], where: (i: number) => string): Promise<Store> {
  const store = new Map<string, StoredBundle>();
  for (const [i, source] of sources.entries()) {
    const bundle = await loadBundle(source);
    if (store.has(bundle.plan.name)) {
      const message = `two bundles are called ${bundle.plan.name}, the second is ${source.name}`;
      throw new TandemError('BAD_CONFIG', `${where(i)}: ${message}`);
    }
    store.set(bundle.plan.name, bundle);
  }
  return store;
}

async function loadBundle(source: BundleSource): Promise<StoredBundle> {
  const plan = await readPlan(source);
  const segments: Uint8Array[] = [];
  for (const { server } of plan.segments) segments.push(await readPlanFile(source, server));
  const files = new Map<string, StoredFile>();
  const add = async (file: PlanFile, isWaitedFor: boolean) => {
    const contentType = file.file.endsWith('.txt') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
    const bytes = await readPlanFile(source, file);
    const level = isWaitedFor ? bestLevel(bytes) : SERVED_BROTLI_LEVEL;
    files.set(file.sha256, await storeFile(bytes, contentType, file.sha256, level));
  };
  for (const { targets } of plan.segments) for (const file of Object.values(targets)) await add(file, false);
  for (const file of Object.values(plan.assets)) await add(file, true);
  const json = new TextEncoder().encode(await source.text(PLAN_FILE));
  const head = new TextEncoder().encode(JSON.stringify(planHead(plan)));
  const [planFile, headFile] = await Promise.all(
    [json, head].map(async (bytes) =>
      storeFile(bytes, 'application/json', await source.sha256(bytes), bestLevel(bytes)),
    ),
  );
  return { plan, planFile: planFile as StoredFile, headFile: headFile as StoredFile, segments, files };
}

/** All files below a folder, by the path that they are served at. */
export async function loadSite(dir: string): Promise<ReadonlyMap<string, StoredFile>> {
  const site = new Map<string, StoredFile>();
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const file = await storeFile(bytes, extname(path), sha256, bestLevel(bytes));
    const url = `/${relative(dir, path).split(sep).join('/')}`;
    site.set(url === '/index.html' ? '/' : url, file);
  }
  return site;
}

function bestLevel({ byteLength }: Uint8Array): number {
  return byteLength > BEST_BROTLI_BYTES_MAX ? SERVED_BROTLI_LEVEL : constants.BROTLI_MAX_QUALITY;
}

/** @param level of brotli */
async function storeFile(bytes: Uint8Array, contentType: string, sha256: string, level: number): Promise<StoredFile> {
  const params = { [constants.BROTLI_PARAM_QUALITY]: level };
  const [br, gz] = await Promise.all([promisify(brotliCompress)(bytes, { params }), promisify(gzip)(bytes)]);
  const encodings = {
    ...(br.byteLength < bytes.byteLength && { br }),
    ...(gz.byteLength < bytes.byteLength && { gzip: gz }),
  };
  return { contentType, etag: `"${sha256.slice(0, 32)}"`, identity: bytes, encodings };
}
