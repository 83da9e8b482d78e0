/** `tandem copy-assets DIR`: lays the files that a page serves itself into a folder of the app. */
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, TandemError } from '../../shared/errors.ts';
import { readArguments } from '../arguments.ts';

export const usage = 'tandem copy-assets DIR [--accelerated] [--json]';

interface Copied {
  readonly file: string;
  readonly bytes: number;
  /** False where the same file was there already. */
  readonly written: boolean;
}

/** dist/cli/commands -> the client, where cli/bundle.mjs lays the runtime and, in a folder of their own, the bundles. */
const CLIENT = resolve(fileURLToPath(import.meta.url), '../../../client');
/** For pages that name providers: 27 MB. */
const ACCELERATED = ['ort-wasm-simd-threaded.asyncify.wasm', 'worker-accelerated.js'];

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(argv, { accelerated: { type: 'boolean' }, json: { type: 'boolean' } }, [
    'DIR',
  ]);
  const [dir = ''] = positionals;
  const sources = await assetPaths(values.accelerated ?? false);
  await mkdir(dir, { recursive: true }).catch((error: unknown) => {
    throw new TandemError('USAGE', `expected a folder to copy to, got ${dir}: ${messageOf(error)}`, { cause: error });
  });
  const copied: Copied[] = [];
  for (const source of sources) copied.push(await copyOne(source, dir));
  const text = values.json ? JSON.stringify({ dir, files: copied }) : copied.map(describe).join('\n');
  process.stdout.write(`${text}\n`);
  return 0;
}

/**
 * The runtime, whose glue is in the worker, and the client and its worker as single files with their source maps. Throws NOT_FOUND where the
 * package is not whole.
 */
async function assetPaths(isAccelerated: boolean): Promise<string[]> {
  const bundled = join(CLIENT, 'bundled');
  try {
    const runtimes = (await readdir(CLIENT)).filter((name) => name.endsWith('.wasm')).map((name) => join(CLIENT, name));
    const bundles = (await readdir(bundled)).map((name) => join(bundled, name));
    const all = [...runtimes, ...bundles.toSorted()];
    return all.filter((path) => isAccelerated || !ACCELERATED.includes(basename(path, '.map')));
  } catch (error) {
    const message = `this package has no bundled client: build it first (${messageOf(error)})`;
    throw new TandemError('NOT_FOUND', message, { cause: error });
  }
}

/** Leaves a file alone that is the same: tools that watch the folder see no change. */
async function copyOne(source: string, dir: string): Promise<Copied> {
  const file = join(dir, basename(source));
  const content = await readFile(source);
  const there = await readFile(file).catch(() => null);
  const written = there === null || !content.equals(there);
  try {
    if (written) await copyFile(source, file);
  } catch (error) {
    throw new TandemError('USAGE', `cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
  return { file, bytes: content.byteLength, written };
}

function describe({ file, bytes, written }: Copied): string {
  return `${written ? 'copied' : 'kept  '}  ${file}  ${bytes.toLocaleString('en')} bytes`;
}
