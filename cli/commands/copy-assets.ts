/** `tandem copy-assets DIR`: lays the files that a page serves itself into a folder of the app. */
import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
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

/** dist/cli/commands -> what cli/bundle.mjs made. */
const BUNDLED = resolve(fileURLToPath(import.meta.url), '../../../client/bundled');
const WASM = 'ort-wasm-simd-threaded.wasm';
/** What pages need besides that name providers: 27 MB. */
const ACCELERATED = { wasm: 'ort-wasm-simd-threaded.asyncify.wasm', worker: 'worker-accelerated.js' } as const;

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
 * The runtime, whose glue is in the worker, and the client and its worker as single files. Throws NOT_FOUND where the
 * package is not whole.
 */
async function assetPaths(isAccelerated: boolean): Promise<string[]> {
  const bundled = await readdir(BUNDLED).catch((error: unknown) => {
    throw new TandemError('NOT_FOUND', `this package has no bundled client: build it first (${messageOf(error)})`, {
      cause: error,
    });
  });
  try {
    const { resolve: find } = createRequire(import.meta.url);
    const engines = [WASM, ...(isAccelerated ? [ACCELERATED.wasm] : [])].map((name) => find(`onnxruntime-web/${name}`));
    const wanted = bundled.filter((name) => isAccelerated || name !== ACCELERATED.worker);
    return [...engines, ...wanted.toSorted().map((name) => join(BUNDLED, name))];
  } catch (error) {
    throw new TandemError('NOT_FOUND', `onnxruntime-web is not installed: ${messageOf(error)}`, { cause: error });
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
