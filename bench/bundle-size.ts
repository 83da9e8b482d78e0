/**
 * What the SDK costs a page: `tandem/client` as esbuild bundles it, minified, in gzip. Prints JSON: bytes before `connect`
 * (the entry and what it imports at once), until a first answer (what `connect` loads as well), in all, and the largest files.
 * `node dist/bench/bundle-size.js`
 */
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile, type OutputFile } from 'esbuild';

export interface BundleSizes {
  /** Our own code: without msgpackr, valibot and hashes. */
  readonly own: BundleSize;
  /** All that a page over https loads of the client: everything but the worker and the runtime. */
  readonly client: BundleSize;
  /** The worker without onnxruntime. */
  readonly worker: BundleSize;
}

export interface BundleSize {
  /** Loaded with the import, in bytes after gzip. */
  readonly gzipBytes: number;
  /** With what it loads by itself when it is first used: all that a first answer needs. */
  readonly firstAnswerGzipBytes: number;
  /** With what is loaded where it is needed. */
  readonly allGzipBytes: number;
  /** Minified bytes before gzip of the files that take most, largest first. */
  readonly largest: Readonly<Record<string, number>>;
}

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const RUNTIME = ['onnxruntime-web', 'onnxruntime-common'];
const LIBRARIES = ['msgpackr', 'valibot'];
/** For pages without `crypto.subtle` alone. */
const HASHES = '@noble/hashes';
const SHOWN = 12;

const sizes: BundleSizes = {
  own: await sizeOf('client/browser.js', [...RUNTIME, ...LIBRARIES, HASHES]),
  client: await sizeOf('client/browser.js', [...RUNTIME, HASHES]),
  worker: await sizeOf('client/worker.js', RUNTIME),
};
process.stdout.write(`${JSON.stringify(sizes, null, 2)}\n`);

async function sizeOf(entry: string, external: string[]): Promise<BundleSize> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(ROOT, 'dist', entry)],
    absWorkingDir: ROOT,
    outdir: 'out',
    external,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    write: false,
    metafile: true,
    logLevel: 'warning',
  });
  const entries = Object.keys(metafile.outputs).filter(
    (path) => metafile.outputs[path]?.entryPoint === `dist/${entry}`,
  );
  const atOnce = withImports(metafile, entries);
  const firstUsed = withImports(
    metafile,
    [...atOnce].flatMap((path) => importsOf(metafile, path, 'dynamic-import')),
  );
  const sizeOfThese = (paths: Set<string>) =>
    gzipBytes(outputFiles.filter(({ path }) => paths.has(relative(ROOT, path))));
  return {
    gzipBytes: sizeOfThese(atOnce),
    firstAnswerGzipBytes: sizeOfThese(new Set([...atOnce, ...firstUsed])),
    allGzipBytes: gzipBytes(outputFiles),
    largest: largest(metafile),
  };
}

/** These outputs and all that they import at once, not what they may import later. */
function withImports(metafile: Metafile, paths: readonly string[]): Set<string> {
  const found = new Set(paths);
  for (const path of found) for (const other of importsOf(metafile, path, 'import-statement')) found.add(other);
  return found;
}

function importsOf({ outputs }: Metafile, path: string, wanted: 'import-statement' | 'dynamic-import'): string[] {
  const imports = outputs[path]?.imports ?? [];
  return imports.filter(({ kind, external }) => kind === wanted && !external).map((other) => other.path);
}

function gzipBytes(files: readonly OutputFile[]): number {
  return files.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).byteLength, 0);
}

function largest({ outputs }: Metafile): Record<string, number> {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const named = inputs.map(([path, { bytesInOutput }]) => [shortName(path), bytesInOutput] as const);
  return Object.fromEntries(named.toSorted(([, a], [, b]) => b - a).slice(0, SHOWN));
}

function shortName(path: string): string {
  return path.replace(/^.*node_modules\//, '').replace(/^dist\//, '');
}
